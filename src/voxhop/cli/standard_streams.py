"""``-`` for standard input and output, and a terminal without the chatter of decoders."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voxhop.errors import ArgumentError, VoxhopError

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD: Final = "-"
_NAMES: Final = {"in": "standard input", "out": "standard output"}


@contextlib.contextmanager
def standard_files(
    inputs: tuple[str, ...], out: str, suffix: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Enter with files in place of ``-``: standard input in one, standard output from the other.

    What comes in is kept in a temporary file, as formats are read back and forth. What goes
    out is written when it is complete, so a program behind us never sees half a file.

    Parameters
    ----------
    inputs
        Names of files to read, ``-`` at most once.
    out
        Name of the file to make, or ``-``.
    suffix
        Of the format on standard output, such as ``".wav"``.

    Raises
    ------
    ArgumentError
        For ``-`` twice among the inputs, or a terminal in its place.
    """
    if inputs.count(STANDARD) > 1:
        raise ArgumentError("-: standard input can be read once; expected another file")
    if STANDARD in inputs and sys.stdin.isatty():
        raise ArgumentError("standard input: a terminal, expected a file or a program's output")
    if out == STANDARD and sys.stdout.isatty():
        raise ArgumentError("standard output: a terminal, expected a file or a program")
    if STANDARD not in (*inputs, out):
        yield inputs, out
        return
    import shutil  # noqa: PLC0415 - files that have names need neither
    import tempfile  # noqa: PLC0415 - the same

    with tempfile.TemporaryDirectory(prefix="voxhop-") as folder:
        places = {name: str(Path(folder) / name) for name in _NAMES}
        places["out"] += suffix
        if STANDARD in inputs:
            with Path(places["in"]).open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        chosen = tuple(places["in"] if name == STANDARD else name for name in inputs)
        try:
            yield chosen, places["out"] if out == STANDARD else out
        except VoxhopError as error:
            text = str(error)
            for place, path in places.items():
                text = text.replace(path, _NAMES[place])
            raise type(error)(text) from error
        if out == STANDARD:
            with Path(places["out"]).open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


@contextlib.contextmanager
def quiet_decoders() -> Iterator[None]:
    """Keep what C libraries write on stderr off it; what Python writes still goes there."""
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # no file behind it: nothing to keep clean
        yield
        return
    sys.stderr.flush()
    kept, python = os.dup(number), sys.stderr
    silent = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, number)
        sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=python.encoding)
        yield
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.close()
        sys.stderr = python
        os.dup2(kept, number)
        os.close(kept)
        os.close(silent)
