"""``voxhop plot``: before and after as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxhop.cli.tracks import add_track_arguments, read_tracks
from voxhop.cli.verb import (
    ProgressBar,
    add_model_options,
    add_session_options,
    new_verb,
    print_json,
    say,
    session_options,
    stream_model_options,
)

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="plot",
        summary="draw a recording before and after, with delay and ERLE over time",
        example="voxhop plot mic.wav --ref speaker.wav -o call.png",
    )
    add_track_arguments(parser)
    parser.add_argument("-o", "--out", required=True, help="picture to make: .png, .svg or .pdf")
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")
    add_model_options(parser)
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """Enhance the stretch and draw it."""
    from voxhop import SessionOptions, load, plots  # noqa: PLC0415 - the parser needs none of it
    from voxhop.report import analyse  # noqa: PLC0415

    out = plots.check_picture(args.out)
    mic, ref, rate = read_tracks(args)
    model = load(args.model) if args.model else load()
    options = SessionOptions(**session_options(args))
    with ProgressBar("enhancing") as bar:
        analysis = analyse(
            mic,
            ref,
            rate,
            model=model,
            options=options,
            progress=bar.update,
            **stream_model_options(args),
        )
    tracks = {"microphone": mic, "enhanced": analysis.out}
    c = analysis.curves
    curves = {"level, dBFS": (c.time_s, {"microphone": c.mic_dbfs, "enhanced": c.out_dbfs})}
    if ref is not None:
        tracks = {"microphone": mic, "reference": ref, "enhanced": analysis.out}
        curves["ERLE, dB"] = (c.time_s, {"ERLE": c.erle_db})
        curves["delay, ms"] = (c.time_s, {"echo": c.delay_ms, "pre-delay": c.pre_delay_ms})
    plots.overview(out, tracks, curves, sample_rate=rate, title=Path(args.mic).name)
    if args.json:
        print_json({"out": str(out), "seconds": analysis.seconds, "metrics": analysis.metrics})
    else:
        say(f"{out}: {analysis.seconds:.1f} s")
    return 0
