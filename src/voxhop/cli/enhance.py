"""``voxhop enhance``: clean one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxhop.cli.enhance_stream import add_stream_options, run_stream, wants_stream
from voxhop.cli.verb import (
    ProgressBar,
    add_session_options,
    new_verb,
    print_json,
    say,
    session_options,
)

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.files import EnhanceReport


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="enhance",
        summary="remove echo, noise and reverberation from a recording",
        example="voxhop enhance mic.wav --ref speaker.wav -o clean.wav",
    )
    parser.add_argument("mic", help="microphone recording, any format, rate and channels")
    parser.add_argument("-o", "--out", required=True, help="file to make; the suffix says how")
    parser.add_argument("--ref", help="what the loudspeaker played; without it, silence")
    parser.add_argument("--mic-channel", type=int, metavar="N", help="this channel only, from 0")
    parser.add_argument(
        "--ref-channel",
        type=int,
        metavar="N",
        help="this channel of --ref; without --ref, of the recording itself",
    )
    parser.add_argument("--subtype", help="encoding, such as PCM_24; as the recording's")
    parser.add_argument("--model", help="name or GGUF file; the bundled default")
    add_stream_options(parser)
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """Enhance the file and say what changed."""
    if wants_stream(args):
        return run_stream(args)
    from voxhop import SessionOptions, enhance_file  # noqa: PLC0415 - the parser needs none of it

    with ProgressBar("enhancing") as bar:
        report = enhance_file(
            args.mic,
            args.out,
            ref=args.ref,
            model=args.model,
            mic_channel=args.mic_channel,
            ref_channel=args.ref_channel,
            subtype=args.subtype,
            progress=bar.update,
            options=SessionOptions(**session_options(args)),
        )
    if args.json:
        print_json(report)
    else:
        _tell(report)
    return 0


def _tell(report: EnhanceReport) -> None:
    plural = "s" if report.channels > 1 else ""
    say(
        f"{report.out}: {report.seconds:.1f} s, {report.channels} channel{plural}, "
        f"{report.sample_rate} Hz, {report.format} {report.subtype}, "
        f"made at {report.speed:.1f} times real time"
    )
    say(f"level: {report.level_in_dbfs:.1f} dBFS in, {report.level_out_dbfs:.1f} dBFS out")
    if report.ref_active_reduction_db is not None:
        say(
            f"while the loudspeaker played ({report.ref_active_s:.1f} s): "
            f"{report.ref_active_reduction_db:.1f} dB less power"
        )
    elif report.ref is not None:
        say("the reference is silent: noise and reverberation only")
    if report.delay_ms is not None:
        say(f"echo delay: {report.delay_ms:.0f} ms (confidence {report.delay_confidence:.2f})")
    if report.ref_missing_s > 0:
        say(f"the reference ends {report.ref_missing_s:.1f} s before the recording")
    if report.clipped_samples:
        say(f"{report.clipped_samples} samples were beyond full scale and were cut to it")
