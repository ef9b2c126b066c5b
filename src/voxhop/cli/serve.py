"""``voxhop serve``: a page to try it, and LocalAI's audio-transform interface."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from voxhop.cli.verb import (
    add_door,
    add_model_options,
    add_session_options,
    door_settings,
    model_options,
    new_verb,
    session_options,
)

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="serve",
        summary="serve a page to try it, and the interface of LocalAI's audio transforms",
        example="voxhop serve\n  voxhop serve --port 8080 --streams 2",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="name or GGUF file; may be repeated (default: the bundled ones)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address (default: this machine only)")
    parser.add_argument("--port", type=int, default=8750, help="0: a free one (default 8750)")
    parser.add_argument(
        "--max-mb", type=int, default=256, metavar="MB", help="of an upload (default 256)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=3600.0, metavar="S", help="of a job or a stream"
    )
    parser.add_argument("--streams", type=int, default=8, metavar="N", help="at once (default 8)")
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="S", help="0 to 1 (default 1: all)"
    )
    add_door(parser)
    add_model_options(parser)
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from voxhop import SessionOptions  # noqa: PLC0415 - the parser needs none of it
    from voxhop.serve import ServeLimits, serve  # noqa: PLC0415 - the same

    limits = ServeLimits(
        max_bytes=args.max_mb * 2**20, max_seconds=args.max_seconds, streams=args.streams
    )
    settings = {"strength": args.strength} | door_settings(args)
    serve(
        args.model,
        host=args.host,
        port=args.port,
        limits=limits,
        ready=_tell,
        options=SessionOptions(**session_options(args)),
        settings=settings,
        values=model_options(args),
    )
    return 0


def _tell(host: str, port: int) -> None:
    sys.stdout.write(f"http://{host}:{port}/ (Ctrl-C ends it)\n")
    sys.stdout.flush()
