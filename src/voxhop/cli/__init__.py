"""The ``voxhop`` command: one module per verb, found through `VERBS`.

A verb is a module of this package named like the verb, with

``add_parser(subparsers)``
    adds its parser, by `voxhop.cli.verb.new_verb`; and
``run(args) -> int``
    does the work and returns the exit code.

Only the module of the verb that is asked for is imported, and the help of the whole command
imports them all, so a verb imports at its top only the standard library and this package, and
what it works with inside `run`.

Exit codes: 0 done, 1 failed, 2 the command line asks for something that does not exist or
does not fit, 130 interrupted by Ctrl-C, 143 ended by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

from voxhop._version import __version__
from voxhop.cli.signals import unwinding_on_signals
from voxhop.cli.verb import HelpText
from voxhop.errors import ArgumentError, VoxhopError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPT: Final = 130

# One line per verb, in the order of the help.
VERBS: Final[tuple[str, ...]] = (
    "enhance",
    "restore",
    "chain",
    "batch",
    "watch",
    "conceal",
    "pipe",
    "live",
    "serve",
    "probe",
    "plot",
    "report",
    "doctor",
    "demo",
    "encode",
    "decode",
    "info",
    "eval",
    "models",
    "plugin",
    "bench",
    "train",
    "export",
)


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command.

    Parameters
    ----------
    verb
        The verb that the command line names: the others get no parser. Anything that is no
        verb: all of them.
    """
    parser = argparse.ArgumentParser(
        prog="voxhop",
        description="Speech on one CPU core: cleaned, filled in, coded, restored.",
        epilog="Each verb has its own help with an example: voxhop VERB --help",
        formatter_class=HelpText,
    )
    parser.add_argument("--version", action="version", version=f"voxhop {__version__}")
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for name in (verb,) if verb in VERBS else VERBS:
        importlib.import_module(f"voxhop.cli.{name}").add_parser(subparsers)
    return parser


_BLAS_THREADS: Final = "OPENBLAS_NUM_THREADS"
# Verbs whose packages may multiply large matrices.
_MATRICES: Final = frozenset({"eval", "export", "train"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; never raises.

    Parameters
    ----------
    argv
        Arguments after the program name; ``sys.argv[1:]`` when None.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        args = build_parser(argv[0] if argv else None).parse_args(argv)
    except SystemExit as stop:  # argparse has printed what it had to say
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    with unwinding_on_signals(), _no_threads_for_matrices(args.verb):
        return _guarded(args)


@contextlib.contextmanager
def _no_threads_for_matrices(verb: str) -> Iterator[None]:
    """Let numpy's BLAS, when it is loaded, start no thread per core: 50 ms of CPU, for nothing.

    Whoever calls `main` in a process of his own finds the environment as it was.
    """
    if verb in _MATRICES or _BLAS_THREADS in os.environ:
        yield
        return
    os.environ[_BLAS_THREADS] = "1"
    try:
        yield
    finally:
        os.environ.pop(_BLAS_THREADS, None)


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
        return _complain(f"voxhop {args.verb}: {_words(error)}", EXIT_FAILURE)
    return code


def _words(error: Exception) -> str:
    """Put what the system says of a file into words, without its number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        if isinstance(error, FileExistsError):  # of mkdir: nothing else here wants a new name
            return f"{error.filename}: a file, expected a folder"
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return str(error) or type(error).__name__


def _complain(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code
