"""A folder that recorders drop files into: `watch`."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxhop.batching.jobs import folder_jobs, recordings_in, sweep
from voxhop.batching.pool import WorkerPool
from voxhop.batching.recipe import Recipe
from voxhop.batching.run import OpenBatch, Tally, worker_count
from voxhop.errors import ArgumentError, AudioFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voxhop.batching.jobs import Job
    from voxhop.batching.manifest import Row, Stamp
    from voxhop.batching.report import BatchReport
    from voxhop.files.offline import ModelSource

    FilePath = str | os.PathLike[str]


def watch(
    folder: FilePath,
    out: FilePath,
    *,
    model: ModelSource = None,
    workers: int | None = None,
    settle_s: float = 2.0,
    stop: threading.Event | None = None,
    tell: Callable[[Row], None] | None = None,
    **how: Any,  # noqa: ANN401 - typed by Recipe and StreamOptions
) -> BatchReport:
    """Enhance each recording of a folder when it is finished, until told to stop.

    Parameters
    ----------
    folder
        Where recordings appear, there and below. One is finished when its size and time have
        been the same for `settle_s`, and, where the system tells, no program has it open for
        writing. With ``pair`` it waits for its reference too.
    out
        As for `voxhop.batch`, and with the same manifest: what was done before is not done
        again, and either goes on where the other stopped.
    model, workers, **how
        As for `voxhop.batch`.
    settle_s
        Seconds, above 0.
    stop
        Set by another thread to end it; so does Ctrl-C. What is half done then is done again
        the next time.
    tell
        Called with the row of each recording; see ``docs/how-to/batch.md``.

    Returns
    -------
    BatchReport
        What was done until then. A recording that fails is tried again when it changes.

    Raises
    ------
    ArgumentError, AudioFileError, ModelFileError, EngineError
        As for `voxhop.batch`.

    Notes
    -----
    The folder is looked at every half `settle_s`, which also works where the system has no
    messages about files, such as network folders.
    """
    begin = time.monotonic()
    if not settle_s > 0:
        raise ArgumentError(f"settle_s: {settle_s}, expected more than 0")
    base, target = Path(os.path.realpath(folder)), Path(os.path.realpath(out))
    if not base.is_dir():
        raise AudioFileError(f"{folder}: expected a folder")
    if base == target:
        raise ArgumentError(f"{out}: the recordings are there; expected another folder")
    recipe, stop = Recipe.of(how), stop or threading.Event()
    count = worker_count(workers, recipe)
    with OpenBatch(
        base, target, recipe, model, pool=lambda work: WorkerPool(work, stop)
    ) as opened_batch:
        arrivals = _Arrivals(opened_batch, recipe, stop, settle_s)
        sweep(target, arrivals.listed())
        tally = Tally(opened_batch.manifest, 0)
        rows = opened_batch.pool.rows(iter(arrivals), count, lambda _job, _share: None)
        with contextlib.suppress(KeyboardInterrupt), contextlib.closing(rows):
            for row in rows:
                tally.add(row)
                if tell is not None:
                    tell(row)
    tally.recordings = tally.done + len(tally.failed)
    return tally.report(opened_batch.model_source, (), time.monotonic() - begin)


class _Arrivals:
    """The recordings of a folder, each when it is finished and not done."""

    def __init__(
        self, opened_batch: OpenBatch, recipe: Recipe, stop: threading.Event, settle_s: float
    ) -> None:
        self._work, self._manifest = opened_batch.work, opened_batch.manifest
        self._base, self._out = Path(self._work.base), Path(self._work.out)
        self._recipe, self._stop, self._settle_s = recipe, stop, settle_s
        self._handled: dict[str, list[Stamp]] = {}
        self._seen: dict[str, tuple[list[Stamp], float]] = {}

    def listed(self) -> list[Job]:
        """Return what is in the folder now, but for recordings that lack their reference."""
        names = recordings_in(self._base, self._out)
        jobs, _ = folder_jobs(names, self._recipe.pairing, self._recipe.outputs())
        return [job for job in jobs if job.ref is None or (self._base / job.ref).exists()]

    def __iter__(self) -> Iterator[Job]:
        while not self._stop.is_set():
            for job in self.listed():
                if self._stop.is_set():
                    return
                if self._is_finished(job):
                    yield job
            self._stop.wait(self._settle_s / 2)

    def _is_finished(self, job: Job) -> bool:
        """Return whether a recording is to be done now; tells so once."""
        stamps = self._work.stamps(job)
        inputs = stamps[:2]
        if self._handled.get(job.name) == inputs:
            return False
        if not self._manifest.is_done(job.name, job.out, stamps):
            seen, since = self._seen.get(job.name, (None, 0.0))
            if seen != inputs:
                self._seen[job.name] = (inputs, time.monotonic())
                return False
            names = [name for name in (job.mic, job.ref) if name is not None]
            if time.monotonic() - since < self._settle_s or any(
                is_written(self._base / name) for name in names
            ):
                return False
            self._seen.pop(job.name)
            self._handled[job.name] = inputs
            return True
        self._handled[job.name] = inputs
        return False


def is_written(path: Path) -> bool:
    """Return whether a program has a file open for writing; False where nobody can tell."""
    if sys.platform != "linux":
        return False
    import fcntl  # noqa: PLC0415 - not on every system

    try:
        with path.open("rb") as file:
            # A read lease is refused while the file is open for writing anywhere.
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False
