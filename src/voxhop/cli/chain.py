"""``voxhop chain``: a recording through models one after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING

from voxhop.cli.standard_streams import STANDARD, quiet_decoders, standard_files
from voxhop.cli.verb import ProgressBar, new_verb, print_json, say

if TYPE_CHECKING:
    import argparse

    from voxhop.chain import ChainReport, LinkMetrics
    from voxhop.cli.verb import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="chain",
        summary="send a recording through several models one after the other",
        example=(
            "voxhop chain call.toml mic.wav -o out.wav --ref speaker.wav\n\n"
            "  where call.toml says, for example:\n"
            '    [[link]]\n    model = "voxhop-localvqe-1.3M"\n\n'
            '    [[link]]\n    task = "bwe"\n    solver = "euler4"'
        ),
    )
    parser.add_argument("recipe", help="TOML file with the links, in order")
    parser.add_argument("source", help="recording, - for standard input")
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        help="file to make; its suffix says the format; - for standard output",
    )
    parser.add_argument("--ref", help="what the loudspeaker played, for links that hear it")
    parser.add_argument(
        "--format",
        default="wav",
        metavar="SUFFIX",
        help="with -o -: the format, as a suffix such as flac (default wav)",
    )
    parser.add_argument("--subtype", help="encoding, such as PCM_24 (default: as the recording)")


def run(args: argparse.Namespace) -> int:
    """Send the file through the chain and say what each link did."""
    from voxhop.chain import chain_file, read_recipe  # noqa: PLC0415 - the parser needs none of it

    recipe = read_recipe(args.recipe)
    inputs = (args.source,) if args.ref is None else (args.source, args.ref)
    suffix = "." + args.format.lower().removeprefix(".")
    with (
        standard_files(inputs, args.out, suffix) as (files, out),
        quiet_decoders(),
        ProgressBar("chain") as bar,
    ):
        report = chain_file(
            recipe,
            files[0],
            out,
            ref=files[1] if args.ref is not None else None,
            subtype=args.subtype,
            progress=bar.update,
        )
    notes = report.notes
    for name, file in zip(inputs, files, strict=True):
        if name == STANDARD:
            notes = tuple(note.replace(file, "standard input") for note in notes)
    told = dataclasses.replace(report, source=args.source, ref=args.ref, out=args.out, notes=notes)
    for note in notes:
        sys.stderr.write(f"voxhop chain: {note}\n")
    # Standard output may be sound: what is said goes beside it then.
    beside = sys.stderr if args.out == STANDARD else sys.stdout
    with contextlib.redirect_stdout(beside):
        if args.json:
            print_json(told)
        else:
            _tell(told)
    return 0


def _tell(report: ChainReport) -> None:
    plural = "s" if report.channels > 1 else ""
    first = report.sides[0]
    say(
        f"{report.out}: {report.seconds:.1f} s, {report.channels} channel{plural}, "
        f"{report.sample_rate} Hz, {report.format} {report.subtype}, "
        f"made at {report.speed:.1f} times real time"
    )
    say(f"as a stream: {first.latency_ms:.1f} ms late, {first.load or 0.0:.0%} of a core")
    width = max(len(link.name) for link in first.links)
    for link in first.links:
        say(f"{link.name:{width}}  {_link_text(link, report.sample_rate)}")
    if report.clipped_samples:
        say(f"{report.clipped_samples} samples were beyond full scale and were cut to it")


def _link_text(link: LinkMetrics, rate: int) -> str:
    lost = f", {link.lost_packets} of {link.packets} packets lost" if link.packets else ""
    return (
        f"{link.level_in_dbfs:6.1f} dBFS in, {link.level_out_dbfs:6.1f} dBFS out, "
        f"{1000 * link.latency_samples / rate:5.1f} ms, "
        f"{link.hop_p50_ms or 0.0:.2f} ms per hop ({link.load or 0.0:.0%}){lost}"
    )
