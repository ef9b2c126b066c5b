"""The record of a batch: a file of JSON lines, one per recording, that survives a crash.

The first line says with what the batch is made; every other is one recording that was done or
failed, the last of its name counts. A line is appended in one write and is on the disk before
the next recording is told of, so a killed program leaves at most one torn line, which the next
run cuts off.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from voxhop.engine.closing import Closing
from voxhop.engine.lock import try_lock
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST_NAME: Final = "voxhop-batch.jsonl"
_FORMAT: Final = 1

Row = dict[str, Any]
Stamp = list[int] | None


class Manifest(Closing):
    """The open manifest of an output folder. A context manager.

    Parameters
    ----------
    folder
        Where the results are; it exists.
    made_with
        What the results depend on, as JSON has it.
    restart
        Forget what was done.

    Attributes
    ----------
    path
        The file.

    Raises
    ------
    ArgumentError
        When another batch is writing it, or the folder was made with other settings.
    """

    def __init__(self, folder: Path, made_with: Mapping[str, Any], *, restart: bool) -> None:
        self.path = folder / MANIFEST_NAME
        self._file = self.path.open("a+b")
        # What each name was done from and to, as a hash: archives have many names.
        self._done: dict[str, bytes] = {}
        try:
            self._read(folder, dict(made_with), restart=restart)
        except BaseException:
            self._file.close()
            raise

    def is_done(self, name: str, out: str, stamps: list[Stamp]) -> bool:
        """Return whether a recording was done from these very files to this one.

        Parameters
        ----------
        name, out
            Of its job.
        stamps
            Of its microphone, reference and output, from `stamp_of`.
        """
        return None not in (stamps[0], stamps[2]) and self._done.get(name) == _key(out, stamps)

    def append(self, row: Row) -> None:
        """Write one row, all of it or none."""
        line = json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n"
        self._file.write(line.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._take(row)

    def close(self) -> None:
        """Close the file, which unlocks it. May be repeated."""
        self._file.close()

    def _read(self, folder: Path, made_with: dict[str, Any], *, restart: bool) -> None:
        if not try_lock(self._file):
            raise ArgumentError(f"{self.path}: another batch is writing it")
        if restart:
            self._file.truncate(0)
        self._file.seek(0)
        header = {"voxhop_batch": _FORMAT, "made_with": made_with}
        whole = first = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            row = _parsed(line)
            if not first:
                self._check(folder, row, header)
                first = 1
            elif row is not None:
                self._take(row)
        self._file.truncate(whole)
        if not first:
            self.append(header)

    def _check(self, folder: Path, found: Row | None, header: Row) -> None:
        if found is None or found.get("voxhop_batch") != _FORMAT:
            raise ArgumentError(f"{self.path}: not a manifest of this version of voxhop batch")
        then, now = found["made_with"], json.loads(json.dumps(header["made_with"]))
        for name in sorted({*then, *now}):
            if then.get(name) != now.get(name):
                raise ArgumentError(
                    f"{folder}: made with {name} {then.get(name)!r}, now {now.get(name)!r}; "
                    "expected the same, another folder, or a restart"
                )

    def _take(self, row: Row) -> None:
        if row.get("status") == "done":
            self._done[row["file"]] = _key(row["out"], row["stamps"])
        else:
            self._done.pop(row.get("file", ""), None)


def stamp_of(path: Path | None) -> Stamp:
    """Return size and time of a file, None for one that is not there."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _key(out: str, stamps: list[Stamp]) -> bytes:
    """Return a hash of what must not have changed; of the output only the size counts."""
    mic, ref, made = stamps
    text = json.dumps([out, mic, ref, made and made[0]])
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _parsed(line: bytes) -> Row | None:
    """Return a row, None for a line that a failing disk spoilt: its recording is done again."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
