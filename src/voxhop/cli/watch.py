"""``voxhop watch``: clean what recorders drop into a folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from voxhop.cli.batch import add_recipe, recipe_of, tell_batch
from voxhop.cli.verb import new_verb, print_json

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="watch",
        summary="clean each recording of a folder when it is finished, until Ctrl-C",
        example="voxhop watch recorder/ -o clean/ --cross",
    )
    parser.add_argument("folder", help="where recordings appear, there and below")
    parser.add_argument(
        "--settle",
        type=float,
        default=2.0,
        metavar="S",
        help="a recording is finished when it has not changed for so long (default 2)",
    )
    add_recipe(parser)


def run(args: argparse.Namespace) -> int:
    """Wait for recordings and do them."""
    from voxhop import watch  # noqa: PLC0415 - the parser needs none of it

    sys.stderr.write(f"voxhop watch: {args.folder}; Ctrl-C ends it\n")
    report = watch(args.folder, args.out, settle_s=args.settle, tell=_tell, **recipe_of(args))
    if args.json:
        print_json(report)
    else:
        tell_batch(report)
    return 0


def _tell(row: dict[str, Any]) -> None:
    """Name each recording on stderr as it is done."""
    if row["status"] == "failed":
        line = f"failed: {row['error']}"
    else:
        doubts = f"; doubtful: {', '.join(row['flags'])}" if row["flags"] else ""
        line = f"{row['out']}: {row['seconds']:.1f} s{doubts}"
    sys.stderr.write(f"voxhop watch: {line}\n")
    sys.stderr.flush()
