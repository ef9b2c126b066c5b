"""The ``voxhop`` command: one module per verb, found through `VERBS`.

A verb is a module of this package named like the verb, with

``add_parser(subparsers)``
    adds its parser, by `voxhop.cli.verb.new_verb`; and
``run(args) -> int``
    does the work and returns the exit code.

Building the parsers imports every verb, so a verb imports at its top only the standard
library and this package, and what it works with inside `run`.

Exit codes: 0 done, 1 failed, 2 the command line asks for something that does not exist or
does not fit, 130 interrupted by Ctrl-C, 143 ended by SIGTERM.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final, NoReturn

from voxhop._version import __version__
from voxhop.errors import ArgumentError, VoxhopError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPT: Final = 130
EXIT_TERMINATED: Final = 143

# One line per verb, in the order of the help.
VERBS: Final[tuple[str, ...]] = (
    "enhance",
    "pipe",
    "probe",
    "plot",
    "report",
    "doctor",
    "demo",
    "info",
    "eval",
    "models",
    "bench",
    "train",
    "export",
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command, with one subparser per verb."""
    parser = argparse.ArgumentParser(
        prog="voxhop",
        description="Echo cancellation, noise suppression and dereverberation on one CPU core.",
        epilog="Each verb has its own help with an example: voxhop VERB --help",
    )
    parser.add_argument("--version", action="version", version=f"voxhop {__version__}")
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for name in VERBS:
        importlib.import_module(f"voxhop.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; never raises.

    Parameters
    ----------
    argv
        Arguments after the program name; ``sys.argv[1:]`` when None.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed what it had to say
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    _end_cleanly_on_sigterm()
    return _guarded(args)


def _guarded(args: argparse.Namespace) -> int:
    """Run the verb; turn what it raises into one line on stderr and an exit code."""
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _complain("interrupted", EXIT_INTERRUPT)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_FAILURE
    except BrokenPipeError:
        # The reader of our output went away; keep the interpreter from complaining again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except ArgumentError as error:
        return _complain(f"voxhop {args.verb}: {error}", EXIT_USAGE)
    except (VoxhopError, OSError, ImportError, MemoryError) as error:
        return _complain(f"voxhop {args.verb}: {error or type(error).__name__}", EXIT_FAILURE)
    return code


def _complain(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code


def _end_cleanly_on_sigterm() -> None:
    """Make SIGTERM unwind the stack, so that temporary files are removed."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_signum: int, _frame: object) -> NoReturn:
    raise SystemExit(EXIT_TERMINATED)
