"""``voxhop decode``: coded speech as a recording."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from voxhop.cli.encode import tell
from voxhop.cli.standard_streams import standard_files
from voxhop.cli.verb import ProgressBar, new_verb

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="decode",
        summary="make a recording of coded speech",
        example="voxhop decode talk.vxc -o heard.wav\n  voxhop decode talk.vxc -o - > heard.wav",
    )
    parser.add_argument("source", help="coded file, - for standard input")
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
    parser.add_argument("--subtype", help="encoding, such as PCM_24 (default: 16 bits)")
    parser.add_argument(
        "--kbps", type=int, choices=(1, 6), help="1: hear the first 20 bits of each frame only"
    )
    parser.add_argument(
        "--damaged",
        action="store_true",
        help="decode a file that is cut short or damaged as far as it is whole",
    )
    parser.add_argument("--model", help="name or GGUF file (default: voxhop-sublime)")


def run(args: argparse.Namespace) -> int:
    """Decode the file and say what came out."""
    from voxhop.codec import DEFAULT_CODEC, decode_file  # noqa: PLC0415 - only here

    suffix = "." + args.format.lower().removeprefix(".")
    with (
        standard_files((args.source,), args.out, suffix) as ((source,), out),
        ProgressBar("decoding") as bar,
    ):
        report = decode_file(
            source,
            out,
            model=args.model or DEFAULT_CODEC,
            kbps=args.kbps,
            damaged=args.damaged,
            subtype=args.subtype,
            progress=bar.update,
        )
    tell(dataclasses.replace(report, source=args.source, out=args.out), args, source)
    return 0
