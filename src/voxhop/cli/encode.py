"""``voxhop encode``: a recording as coded speech."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING

from voxhop.cli.standard_streams import STANDARD, quiet_decoders, standard_files
from voxhop.cli.verb import ProgressBar, new_verb, print_json, say

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.codec import CodecReport


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="encode",
        summary="code speech at 6 or 1 kbit/s",
        example=(
            "voxhop encode talk.wav -o talk.vxc\n"
            "  voxhop encode talk.wav -o talk.vxc --kbps 1\n"
            "  voxhop encode street.wav -o street.vxc --enhance\n"
            "  voxhop encode - -o - < talk.wav | voxhop decode - -o - > heard.wav"
        ),
    )
    parser.add_argument("source", help="recording or video, - for standard input")
    parser.add_argument(
        "-o", "--out", required=True, help="coded file to make, - for standard output"
    )
    parser.add_argument("--kbps", type=int, choices=(1, 6), default=6, help="bit rate (default 6)")
    parser.add_argument(
        "--enhance",
        action="store_true",
        help="take away noise and reverberation, by the model's front-end or an enhancer before it",
    )
    parser.add_argument(
        "--channel", type=int, metavar="N", help="code this channel; the first is 0 (default: mean)"
    )
    parser.add_argument("--model", help="name or GGUF file (default: voxhop-sublime)")


def run(args: argparse.Namespace) -> int:
    """Code the file and say what came out."""
    from voxhop.codec import DEFAULT_CODEC, SUFFIX, encode_file  # noqa: PLC0415 - only here

    with (
        standard_files((args.source,), args.out, SUFFIX) as ((source,), out),
        quiet_decoders(),
        ProgressBar("encoding") as bar,
    ):
        report = encode_file(
            source,
            out,
            model=args.model or DEFAULT_CODEC,
            kbps=args.kbps,
            enhance=args.enhance,
            channel=args.channel,
            progress=bar.update,
        )
    tell(dataclasses.replace(report, source=args.source, out=args.out), args, source)
    return 0


def tell(report: CodecReport, args: argparse.Namespace, source: str) -> None:
    """Say what was done, beside standard output where that is the result."""
    for note in report.notes:
        if args.source == STANDARD:
            note = note.replace(source, "standard input")  # noqa: PLW2901
        sys.stderr.write(f"voxhop {args.verb}: {note}\n")
    beside = sys.stderr if args.out == STANDARD else sys.stdout
    with contextlib.redirect_stdout(beside):
        if args.json:
            print_json(report)
            return
        rate = "changing bit rates" if report.kbps == 0 else f"{report.kbps} kbit/s"
        clean = ", noise taken away" if report.enhanced else ""
        clean += f" by {report.enhanced_by}" if report.enhanced_by else ""
        say(
            f"{report.out}: {report.seconds:.1f} s at {report.sample_rate} Hz, {rate}{clean}, "
            f"{report.coded_bytes:,} bytes coded, made at {report.speed:.1f} times real time"
        )
