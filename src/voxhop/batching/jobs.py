"""Which recordings there are to do, from a folder or a list, and where each result goes."""

from __future__ import annotations

import csv
import itertools
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from voxhop.errors import ArgumentError
from voxhop.io import AUDIO_SUFFIXES
from voxhop.media.partial import remove_partials
from voxhop.media.writer import MEDIA_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

_WRITABLE: Final = frozenset({*AUDIO_SUFFIXES, *MEDIA_SUFFIXES})
_READABLE: Final = _WRITABLE | {".3gp", ".amr", ".asf", ".avi", ".mp2", ".mpg", ".ogv"}
_COLUMNS: Final = ("mic", "ref", "out")


@dataclass(frozen=True, slots=True)
class Job:
    """One recording to do.

    Attributes
    ----------
    name
        What the manifest calls it, with forward slashes.
    mic, ref
        Its files, relative to the folder of the batch or absolute; `ref` None without one.
    out
        The file to make, relative to the output folder, with forward slashes.
    problem
        Why it cannot be done, or None.
    """

    name: str
    mic: str
    ref: str | None
    out: str
    problem: str | None = None


@dataclass(frozen=True)
class Pairing:
    """How the name of a microphone file becomes that of its reference.

    Attributes
    ----------
    mic, ref
        The last place of `mic` in a name, folders included, is replaced by `ref`.
    """

    mic: str
    ref: str

    @classmethod
    def parse(cls, rule: str) -> Pairing:
        """Return the pairing of a rule such as ``_mic=_ref``.

        Raises
        ------
        ArgumentError
            For a rule without both sides.
        """
        mic, sign, ref = rule.partition("=")
        if not sign or not mic or mic == ref:
            raise ArgumentError(f"pair {rule!r}: expected MIC=REF, for example _mic=_ref")
        return cls(mic, ref)

    def reference(self, name: str) -> str | None:
        """Return the name of the reference, None for what is no microphone by this rule."""
        head, found, tail = name.rpartition(self.mic)
        return head + self.ref + tail if found else None


class OutputNames:
    """Gives each recording a file of its own in the output folder.

    Parameters
    ----------
    suffix
        Of all files, such as ``".flac"``; None: that of the recording, or ``.wav`` where its
        format cannot be written.

    Raises
    ------
    ArgumentError
        For a suffix that cannot be written.
    """

    def __init__(self, suffix: str | None) -> None:
        if suffix is not None and suffix not in _WRITABLE:
            known = " ".join(sorted(_WRITABLE))
            raise ArgumentError(f"format {suffix}: expected one of {known}")
        self._suffix = suffix
        self._taken: dict[str, str] = {}

    def job(self, name: str, mic: str, ref: str | None = None, out: str | None = None) -> Job:
        """Return the job of a recording; `out` is a wish of its list."""
        chosen = self._beside(name) if out is None else PurePosixPath(out).as_posix()
        problem = None
        if PurePosixPath(chosen).is_absolute() or ".." in PurePosixPath(chosen).parts:
            problem = f"out {out}: outside the output folder"
        elif (other := self._taken.setdefault(chosen, name)) != name:
            problem = f"its output {chosen} is that of {other} too"
        return Job(name, mic, ref, chosen, problem)

    def _beside(self, name: str) -> str:
        path = PurePosixPath(name)
        suffix = path.suffix.lower()
        wanted = self._suffix or (suffix if suffix in _WRITABLE else ".wav")
        return name if wanted == suffix else str(path.with_suffix(wanted))


def recordings_in(folder: Path, leave_out: Path) -> Iterator[str]:
    """Yield the names of the recordings in a folder and below, sorted, with forward slashes.

    Hidden files and folders, and the folder `leave_out`, are passed over.
    """
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not _same(here / name, leave_out)
        )
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in _READABLE:
                yield (here / name).relative_to(folder).as_posix()


def folder_jobs(
    names: Iterable[str], pairing: Pairing | None, outputs: OutputNames
) -> tuple[Iterable[Job], tuple[str, ...]]:
    """Return the jobs of the recordings in a folder, and the names that are left out.

    Without a pairing every recording is a job. With one the references are none, and what is
    neither a microphone nor the reference of one is left out; a microphone whose reference is
    not there is a job with a problem.
    """
    if pairing is None:
        return (outputs.job(name, name) for name in names), ()
    known = dict.fromkeys(names)
    references = {ref for name in known if (ref := pairing.reference(name)) in known}
    jobs, left_out = [], []
    for name in known:
        ref = pairing.reference(name)
        if name in references:
            continue
        if ref is None:
            left_out.append(name)
        elif ref in known:
            jobs.append(outputs.job(name, name, ref))
        else:
            jobs.append(Job(name, name, ref, name, f"its reference {ref} is missing"))
    return jobs, tuple(left_out)


def listed_jobs(lines: TextIO, base: Path, outputs: OutputNames) -> Iterator[Job]:
    """Yield the jobs of a list.

    Parameters
    ----------
    lines
        One recording per line: microphone and, behind a comma or a tab, its reference. A
        first line that names its columns, among them ``mic``, may have ``ref`` and ``out``
        in any order.
    base
        The folder that relative names start from.
    outputs
        Names the results: inside `base` as in the list, elsewhere by the whole path.

    Raises
    ------
    ArgumentError
        For a line with too many columns, naming it.
    """
    columns: tuple[str, ...] = _COLUMNS[:2]
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        cells = _cells(line)
        if not any(cells):
            continue
        if number == 1 and "mic" in cells and set(cells) <= set(_COLUMNS):
            columns = tuple(cells)
            continue
        if len(cells) > len(columns):
            raise ArgumentError(
                f"line {number}: {len(cells)} columns, expected {len(columns)}: "
                f"{', '.join(columns)}"
            )
        row = dict(zip(columns, cells, strict=False))
        mic, ref, out = (row.get(name) or None for name in _COLUMNS)
        if mic is None:
            raise ArgumentError(f"line {number}: no microphone recording")
        name = _name_of(base, mic)
        if name in seen:
            raise ArgumentError(f"line {number}: {mic} is in the list twice")
        seen.add(name)
        yield outputs.job(name, mic, ref, out)


def sweep(folder: Path, jobs: Iterable[Job]) -> None:
    """Remove what a killed run left of outputs that are not done."""
    outs = (PurePosixPath(job.out) for job in jobs if job.problem is None)
    for parent, group in itertools.groupby(outs, lambda path: path.parent):
        remove_partials(folder / parent, {path.name for path in group})


def _cells(line: str) -> list[str]:
    text = line.removeprefix("\ufeff").rstrip("\r\n")
    delimiter = "\t" if "\t" in text else ","
    return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter), [])]


def _name_of(base: Path, mic: str) -> str:
    """Return the place of a recording below `base`, or its whole path without a root."""
    path = Path(os.path.normpath(base / mic))
    if path.is_relative_to(base):
        return path.relative_to(base).as_posix()
    drive = path.drive.replace(":", "").strip("\\/").replace("\\", "/")
    return PurePosixPath(drive, *path.parts[1:]).as_posix()


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other
