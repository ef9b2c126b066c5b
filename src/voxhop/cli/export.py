"""``voxhop export``: model files of a training run, while it runs or after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxhop.cli.verb import new_verb, print_json, say
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = new_verb(
        subparsers,
        run,
        name="export",
        summary="write model files of a training run, which may be running still",
        example="voxhop export runs/mine/best.pt && voxhop eval --cases cases "
        "--model runs/mine/voxhop-localvqe.gguf",
    )
    parser.add_argument("checkpoint", type=Path, help="best.pt, or last.pt: averaged weights")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="for the files; beside the checkpoint"
    )
    parser.add_argument("--name", default="", help="of the model and its files; the run's")
    parser.add_argument("--card", action="store_true", help="write MODEL_CARD.md too")


def run(args: argparse.Namespace) -> int:
    """Write the files and say where they are."""
    from voxhop.training.release.publish import publish, publish_with_card  # noqa: PLC0415 - torch

    if not args.checkpoint.is_file():
        raise ArgumentError(f"{args.checkpoint}: no such file")
    if "/" in args.name or "\\" in args.name:
        raise ArgumentError(
            f"--name {args.name!r}: a path, expected a name; --output is the folder"
        )
    write = publish_with_card if args.card else publish
    files = write(args.checkpoint, args.output or args.checkpoint.parent, name=args.name)
    if args.json:
        print_json({"model": files.half, "model_f32": files.full})
    else:
        say(f"model: {files.half}\nmodel, f32: {files.full}")
    return 0
