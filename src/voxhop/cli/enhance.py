"""``voxhop enhance``: clean one file."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.cli.standard_streams import STANDARD, quiet_decoders, standard_files
from voxhop.cli.verb import (
    ProgressBar,
    add_door,
    add_model_options,
    add_session_options,
    door_settings,
    new_verb,
    print_json,
    say,
    session_options,
    stream_model_options,
)
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.files.enhance import EnhanceReport
    from voxhop.stream.types import StreamMetrics

_SETTINGS: Final = (
    "delay_ms",
    "strength",
    "floor_db",
    "gate_dbfs",
    "high_band",
    "lookahead_ms",
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="enhance",
        summary="remove echo, noise and reverberation from a recording",
        example=(
            "voxhop enhance mic.wav --ref speaker.wav -o clean.wav\n"
            "  voxhop enhance mic.wav --ref speaker.wav -o clean.wav --align\n"
            "  voxhop enhance call.wav --cross -o clean.wav\n"
            "  voxhop enhance film.mp4 -o clean.mp4\n"
            "  cat mic.wav | voxhop enhance - -o - > clean.wav"
        ),
    )
    parser.add_argument("mic", help="microphone recording or video, - for standard input")
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        help="file to make; its suffix says the format; - for standard output",
    )
    parser.add_argument(
        "--format",
        default="wav",
        metavar="SUFFIX",
        help="with -o -: the format, as a suffix such as flac (default wav)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 when a recording ends before its header says; the output is made",
    )
    parser.add_argument("--ref", help="what the loudspeaker played; without it no echo is removed")
    parser.add_argument(
        "--mic-channel", type=int, metavar="N", help="enhance this channel only; the first is 0"
    )
    parser.add_argument(
        "--ref-channel",
        type=int,
        metavar="N",
        help="the reference is this channel of --ref; without --ref, of the recording",
    )
    parser.add_argument(
        "--cross", action="store_true", help="a call, one party per channel: clean both sides"
    )
    parser.add_argument("--subtype", help="encoding, such as PCM_24 (default: as the recording)")
    parser.add_argument(
        "--model",
        help="name or GGUF file (default: of those inside, the one that serves the recording best)",
    )
    add_model_options(parser)
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="work on N stretches of a long recording at the same time (default 1)",
    )
    add_alignment(parser)
    add_taste(parser)
    add_session_options(parser)


def add_alignment(parser: argparse.ArgumentParser) -> None:
    """Add how the reference is aligned: ``--align``, ``--delay-ms``, ``--lookahead-ms``."""
    group = parser.add_argument_group("alignment")
    group.add_argument(
        "--align",
        action="store_true",
        help="find the delay of the echo and follow it; --cross does it unasked",
    )
    group.add_argument(
        "--delay-ms",
        metavar="MS",
        help="delay the reference by so much (default 0); auto: as --align",
    )
    group.add_argument(
        "--lookahead-ms",
        type=float,
        metavar="MS",
        help="the reference may come so much later than its echo (default 0)",
    )


def add_taste(parser: argparse.ArgumentParser) -> None:
    """Add how much is done: strength, floor, gate and the upper band."""
    group = parser.add_argument_group("how much")
    group.add_argument(
        "--strength", type=float, metavar="S", help="0 (microphone) to 1 (the model, default)"
    )
    group.add_argument(
        "--floor-db", type=float, metavar="DB", help="lower no moment by more than this"
    )
    group.add_argument(
        "--gate-dbfs", type=float, metavar="DB", help="mute moments below this level"
    )
    group.add_argument(
        "--high-band",
        choices=["follow", "drop"],
        help="above 8 kHz: the gain of the band below (default), or nothing",
    )
    add_door(group)


def run(args: argparse.Namespace) -> int:
    """Enhance the file and say what changed."""
    from voxhop import SessionOptions, enhance_file  # noqa: PLC0415 - the parser needs none of it

    inputs = (args.mic,) if args.ref is None else (args.mic, args.ref)
    suffix = "." + args.format.lower().removeprefix(".")
    with (
        standard_files(inputs, args.out, suffix) as (files, out),
        quiet_decoders(),
        ProgressBar("enhancing") as bar,
    ):
        report = enhance_file(
            files[0],
            out,
            ref=files[1] if args.ref is not None else None,
            cross=args.cross,
            model=args.model,
            mic_channel=args.mic_channel,
            ref_channel=args.ref_channel,
            subtype=args.subtype,
            workers=args.workers,
            progress=bar.update,
            options=SessionOptions(**session_options(args)),
            **stream_settings(args),
        )
    told = dataclasses.replace(report, mic=args.mic, ref=args.ref, out=args.out)
    for name, file in zip(inputs, files, strict=True):
        if name == STANDARD:
            notes = tuple(note.replace(file, "standard input") for note in told.notes)
            told = dataclasses.replace(told, notes=notes)
    for note in told.notes:
        sys.stderr.write(f"voxhop enhance: {note}\n")
    # Standard output may be sound: what is said goes beside it then.
    beside = sys.stderr if args.out == STANDARD else sys.stdout
    with contextlib.redirect_stdout(beside):
        if args.json:
            print_json(told)
        else:
            aligned = stream_settings(args).get("delay_ms", "auto" if args.cross else 0.0) == "auto"
            has_ref = args.cross or args.ref is not None or args.ref_channel is not None
            _tell(told, cross=args.cross, aligned=aligned, has_ref=has_ref)
    return 1 if args.strict and told.notes else 0


def stream_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the stream that the command line asks for."""
    settings = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    settings |= door_settings(args)
    delay = settings.get("delay_ms", "auto")
    if args.align and delay != "auto":
        raise ArgumentError("--align: finds the delay itself; expected no --delay-ms with it")
    if delay != "auto":
        try:
            settings["delay_ms"] = float(delay)
        except ValueError:
            raise ArgumentError(f"--delay-ms {delay}: expected a number or auto") from None
    elif args.align:
        settings["delay_ms"] = "auto"
    return settings | stream_model_options(args)


def _tell(report: EnhanceReport, *, cross: bool, aligned: bool, has_ref: bool) -> None:
    plural = "s" if report.channels > 1 else ""
    say(
        f"{report.out}: {report.seconds:.1f} s, {report.channels} channel{plural}, "
        f"{report.sample_rate} Hz, {report.format} {report.subtype}, "
        f"made at {report.speed:.1f} times real time"
    )
    say(f"level: {report.level_in_dbfs:.1f} dBFS in, {report.level_out_dbfs:.1f} dBFS out")
    if report.ref_active_reduction_db is not None:
        when = "while the other party was heard" if cross else "while the loudspeaker played"
        say(
            f"{when} ({report.ref_active_s:.1f} s): "
            f"{report.ref_active_reduction_db:.1f} dB less power"
        )
    elif not has_ref:
        say(f"no reference: noise and reverberation only, by {Path(report.model).stem}")
    else:
        say("the reference is silent: noise and reverberation only")
    if aligned and has_ref:
        for i, side in enumerate(report.sides):
            name = f"channel {i}" + (f" against channel {1 - i}" if cross else "")
            say(f"{name}: {_side(side)}" if report.channels > 1 else _side(side))
    elif report.delay_ms is not None:
        say(f"echo delay: {report.delay_ms:.0f} ms (confidence {report.delay_confidence:.2f})")
    if report.ref_missing_s > 0:
        say(f"the reference ends {report.ref_missing_s:.1f} s before the recording")
    restored = sum(side.declipped_samples for side in report.sides)
    if restored:
        say(f"{restored} samples were cut in the recording and restored")
    if report.clipped_samples:
        keeps = "; --subtype FLOAT keeps them" if restored else ""
        say(f"{report.clipped_samples} samples were beyond full scale and were cut to it{keeps}")


def _side(metrics: StreamMetrics) -> str:
    if metrics.ref_unrelated:
        return "no echo of the reference found; it was not used"
    if metrics.delay_ms is None:
        return "echo delay not found"
    drift = "" if metrics.drift_ppm is None else f", drift {metrics.drift_ppm:+.1f} ppm"
    times = "once" if metrics.realignments == 1 else f"{metrics.realignments} times"
    jumps = f", re-aligned {times}" if metrics.realignments else ""
    return (
        f"echo delay {metrics.delay_ms:.1f} ms at the end (confidence "
        f"{metrics.delay_confidence:.2f}){drift}{jumps}"
    )
