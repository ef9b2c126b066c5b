"""``voxhop report``: one page to listen to, look at and send on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxhop.cli.losses import add_loss_arguments, plcmos_of, read_losses
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
from voxhop.errors import ArgumentError
from voxhop.media.partial import partial_beside

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers

_SECONDS = 120.0  # the page holds the audio: about 4 MB a minute at 48 kHz


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="report",
        summary="make one HTML page: players, spectrograms, curves and findings",
        example=(
            "voxhop report mic.wav --ref speaker.wav -o call.html\n"
            "  voxhop report call.wav --model voxhop-seflow --losses trace.txt -o call.html"
        ),
    )
    add_track_arguments(parser, seconds=_SECONDS)
    parser.add_argument("-o", "--out", required=True, help="page to make: .html")
    parser.add_argument("--title", help="heading (default: the name of the recording)")
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")
    add_loss_arguments(parser)
    add_model_options(parser)
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """Enhance the stretch and write the page."""
    out = Path(args.out)
    if out.suffix.lower() not in {".html", ".htm"}:
        raise ArgumentError(f"{out}: suffix {out.suffix!r}, expected .html")
    if not out.parent.is_dir():
        raise ArgumentError(f"{out}: no folder {out.parent}")
    from voxhop import SessionOptions, load  # noqa: PLC0415 - the parser needs none of it
    from voxhop.report import analyse, findings, report_page  # noqa: PLC0415

    mic, ref, rate = read_tracks(args)
    model = load(args.model) if args.model else load()
    options = SessionOptions(**session_options(args))
    losses = read_losses(args, args.start + len(mic) / rate)
    with ProgressBar("enhancing") as bar:
        analysis = analyse(
            mic,
            ref,
            rate,
            model=model,
            options=options,
            losses=losses,
            start_s=args.start,
            progress=bar.update,
            **stream_model_options(args),
        )
    if analysis.lost:
        before, after = (plcmos_of(side, rate) for side in (analysis.mic, analysis.out))
        if before is not None and after is not None:
            analysis = replace(analysis, plcmos=(before, after))
    write_whole(out, report_page(analysis, args.title or Path(args.mic).name))
    said = findings(analysis)
    if args.json:
        print_json({"out": str(out), "findings": said, "metrics": analysis.metrics})
    else:
        say(f"{out}: {analysis.seconds:.1f} s")
        for finding in said:
            say(f"{finding.kind}: {finding.text}")
    return 0


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears under its name only when it is complete."""
    partial = partial_beside(path)
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
