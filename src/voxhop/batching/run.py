"""Many recordings: `batch`."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from voxhop.batching.jobs import folder_jobs, listed_jobs, recordings_in, sweep
from voxhop.batching.manifest import Manifest
from voxhop.batching.on_ray import RayPool
from voxhop.batching.pool import WorkerPool
from voxhop.batching.recipe import Recipe
from voxhop.batching.report import BatchReport
from voxhop.batching.work import Work
from voxhop.engine.closing import Closing
from voxhop.errors import ArgumentError, AudioFileError
from voxhop.files.offline import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import TextIO

    from voxhop.batching.jobs import Job
    from voxhop.batching.manifest import Row
    from voxhop.files.offline import ModelSource

    FilePath = str | os.PathLike[str]


def batch(
    source: FilePath | TextIO,
    out: FilePath,
    *,
    model: ModelSource = None,
    workers: int | None = None,
    restart: bool = False,
    ray: bool = False,
    progress: Callable[[float, float], None] | None = None,
    **how: Any,  # noqa: ANN401 - typed by Recipe and StreamOptions
) -> BatchReport:
    """Enhance many recordings; what was done before is not done again.

    Parameters
    ----------
    source
        A folder, with all that is below it; or a list, a file with one recording per line and,
        behind a comma or a tab, its reference, whose names start from its own folder; or an
        open list, whose names start from the working folder.
    out
        The folder to make, with a tree like that of `source` and the manifest
        ``voxhop-batch.jsonl``: one line of figures per recording.
    model
        As for `voxhop.enhance`.
    workers
        Processes, each with one recording at a time; by default one per core and thread of
        ``options``.
    restart
        Do everything anew.
    ray
        Run on a Ray cluster (extra ``ray``): the one that is connected, or that
        ``RAY_ADDRESS`` names, or a new one on this machine. Recordings, outputs and a model
        file lie where every node sees them, under the same names.
    progress
        Called with bytes done and bytes in all, now and then.
    **how
        ``pair``, ``suffix``, ``pass_through``, ``cross``, ``mic_channel``, ``ref_channel``,
        ``subtype`` and ``options`` as `voxhop.batching.Recipe` explains them, and fields of
        `StreamOptions` as for `voxhop.enhance_file`.

    Returns
    -------
    BatchReport
        What was done, what failed and why, and what is doubtful.

    Raises
    ------
    ArgumentError
        For what no recording could be done with; nothing is done then. An output folder that
        was made with another model or other settings is refused.
    AudioFileError
        When `source` is not there or cannot be read.
    ModelFileError
        When the model cannot be loaded.
    EngineError
        When no worker process comes up, or the model does not go with the options.

    Notes
    -----
    It may be killed at any moment: the next run goes on, and its outputs are bit for bit those of
    a run that was not disturbed. A recording that fails, or kills its worker twice, is listed
    and tried again in the next run.
    """
    begin = time.monotonic()
    recipe = Recipe.of(how)
    most = worker_count(workers, recipe)
    folder = Path(os.path.realpath(out))
    with contextlib.ExitStack() as stack:
        base, found, left_out = _planned(stack, source, folder, recipe)
        jobs = _apart(base, folder, list(found))
        if not jobs:
            raise ArgumentError(f"{getattr(source, 'name', source)}: no recordings")
        opened_batch = stack.enter_context(
            OpenBatch(
                base, folder, recipe, model, pool=RayPool if ray else WorkerPool, restart=restart
            )
        )
        work, manifest = opened_batch.work, opened_batch.manifest
        pending = [job for job in jobs if not manifest.is_done(job.name, job.out, work.stamps(job))]
        tally = Tally(manifest, len(jobs))
        sweep(folder, pending)
        count = workers if ray else min(most, max(1, len(pending)))
        meter = _Meter(work, pending, progress)
        rows = stack.enter_context(
            contextlib.closing(opened_batch.pool.rows(iter(pending), count, meter.share))
        )
        for row in rows:
            tally.add(row)
            meter.finish(row)
    return tally.report(opened_batch.model_source, left_out, time.monotonic() - begin)


class Pool(Protocol):
    """Does jobs somewhere."""

    def rows(
        self, jobs: Iterator[Job], count: int | None, share: Callable[[Job, float], None]
    ) -> Generator[Row, None, None]:
        """Yield the row of each job as it is done; `count` workers, or as many as there can be."""


class OpenBatch(Closing):
    """A batch that is ready to run: what to do, its workers, and its manifest.

    Parameters
    ----------
    base, out
        The folder that recordings are named from, and the output folder, which is made.
    recipe, model
        What is done; the model is opened to check the two, and left to the workers.
    pool
        Makes what does the jobs.
    restart
        Forget what was done.

    Raises
    ------
    ArgumentError, ModelFileError, EngineError
        As for `batch`.
    """

    def __init__(
        self,
        base: Path,
        out: Path,
        recipe: Recipe,
        model: ModelSource,
        *,
        pool: Callable[[Work], Pool],
        restart: bool = False,
    ) -> None:
        with opened(model) as loaded:
            recipe.check(loaded)
            self.work = Work(loaded, str(base), str(out), recipe)
            self.pool = pool(self.work)
            self.model_source = loaded.source
            made_with = recipe.made_with(loaded)
        out.mkdir(parents=True, exist_ok=True)
        self.manifest = Manifest(out, made_with, restart=restart)

    def close(self) -> None:
        """Close the manifest. May be repeated."""
        self.manifest.close()


@dataclass
class Tally:
    """Writes rows down and counts them.

    Attributes
    ----------
    manifest
        Where they are written.
    recordings
        How many there are in all.
    """

    manifest: Manifest
    recordings: int
    done: int = 0
    passed_through: int = 0
    noted: int = 0
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)
    flagged: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take the row of a recording that was just done or failed."""
        self.manifest.append(row)
        if row["status"] == "failed":
            self.failed.append((row["file"], row["error"]))
            return
        self.done += 1
        self.passed_through += row["passed_through"]
        self.noted += bool(row["notes"])
        self.seconds += row["seconds"]
        if row["flags"]:
            self.flagged.append((row["file"], tuple(row["flags"])))

    def report(self, model: str, left_out: Sequence[str], elapsed_s: float) -> BatchReport:
        """Return what was done so far."""
        return BatchReport(
            out=str(self.manifest.path.parent),
            manifest=str(self.manifest.path),
            model=model,
            recordings=self.recordings,
            already_done=self.recordings - self.done - len(self.failed),
            done=self.done,
            failed=tuple(self.failed),
            flagged=tuple(self.flagged),
            passed_through=self.passed_through,
            noted=self.noted,
            left_out=tuple(left_out),
            seconds=self.seconds,
            elapsed_s=elapsed_s,
            speed=self.seconds / elapsed_s,
        )


class _Meter:
    """Tells how far a batch is, in bytes of its recordings."""

    def __init__(
        self, work: Work, pending: list[Job], tell: Callable[[float, float], None] | None
    ) -> None:
        self._work, self._tell = work, tell
        self._total = sum(self._size(job) for job in pending) if tell else 0
        self._done = 0.0
        self._shares: dict[str, float] = {}

    def share(self, job: Job, share: float) -> None:
        """Take how much of a job is done."""
        if self._tell is not None:
            self._shares[job.name] = share * self._size(job)
            self._tell(self._done + sum(self._shares.values()), self._total)

    def finish(self, row: Row) -> None:
        """Take the row of a job."""
        self._shares.pop(row["file"], None)
        if self._tell is not None:
            self._done += row["stamps"][0][0] if row["status"] == "done" else 0
            self._tell(self._done + sum(self._shares.values()), self._total)

    def _size(self, job: Job) -> int:
        found = self._work.stamps(job)[0]
        return found[0] if found else 0


def _planned(
    stack: contextlib.ExitStack, source: FilePath | TextIO, out: Path, recipe: Recipe
) -> tuple[Path, Iterable[Job], Sequence[str]]:
    """Return the folder that names start from, the jobs, and what is left out."""
    if not isinstance(source, (str, os.PathLike)):
        return Path.cwd(), _no_pair(listed_jobs(source, Path.cwd(), recipe.outputs()), recipe), ()
    path = Path(os.path.realpath(source))
    if path.is_dir():
        jobs, left_out = folder_jobs(recordings_in(path, out), recipe.pairing, recipe.outputs())
        return path, jobs, left_out
    try:
        lines = stack.enter_context(path.open(encoding="utf-8-sig", newline=""))
    except OSError as error:
        raise AudioFileError(f"{source}: {error.strerror}, expected a folder or a list") from error
    return path.parent, _no_pair(listed_jobs(lines, path.parent, recipe.outputs()), recipe), ()


def _no_pair(jobs: Iterator[Job], recipe: Recipe) -> Iterator[Job]:
    if recipe.pair is not None:
        raise ArgumentError("pair: for a folder; a list has its references in its second column")
    return jobs


def _apart(base: Path, out: Path, jobs: list[Job]) -> list[Job]:
    """Return the jobs, none of which makes a file that a recording of another is in."""
    if base == out:
        raise ArgumentError(f"{out}: the recordings are there; expected another folder")
    names = (name for job in jobs for name in (job.mic, job.ref) if name is not None)
    paths = (Path(os.path.normpath(base / name)) for name in names)
    inputs = {path for path in paths if path.is_relative_to(out)}
    if not inputs:
        return jobs
    return [
        replace(job, problem=f"its output {job.out} is a recording of the batch")
        if job.problem is None and out / job.out in inputs
        else job
        for job in jobs
    ]


def worker_count(workers: int | None, recipe: Recipe) -> int:
    """Return how many processes to start: those asked for, or as many as there are cores.

    Raises
    ------
    ArgumentError
        For less than one.
    """
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return max(1, (cores or 1) // recipe.options.threads)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ArgumentError(f"workers: {workers!r}, expected a whole number from 1")
    return workers
