"""The jobs of a batch on a Ray cluster, as one Ray Data pipeline.

Each actor has a worker process of its own, as the local pool has, so a recording that brings a
decoder down costs itself; an actor or a node that dies is replaced by Ray, which gives its
recordings to another.
"""

from __future__ import annotations

import json
import logging
import pickle
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.batching.jobs import Job, sweep
from voxhop.batching.pool import SteadyWorker
from voxhop.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from voxhop.batching.manifest import Row
    from voxhop.batching.work import Work

# Recordings that Ray gives out at once, and does again when their actor dies.
_PER_BLOCK: Final = 4


class RayCleaner:
    """What an actor does with each item of the pipeline.

    Parameters
    ----------
    work
        The pickle of a `Work`; its folders and its model file are there on every node.
    out
        Its output folder.
    """

    def __init__(self, work: bytes, out: str) -> None:
        self._worker = SteadyWorker(work, Path(out), threading.Event())

    def __call__(self, item: dict[str, Any]) -> dict[str, str]:
        """Return the row of the job in an item, as JSON."""
        row = self._worker.do(Job(**json.loads(item["job"])), lambda _share: None)
        return {"row": json.dumps(row)}


class RayPool:
    """Does jobs on a Ray cluster; use once.

    Parameters
    ----------
    work
        What is done with each.

    Raises
    ------
    EngineError
        When Ray is not installed.
    """

    def __init__(self, work: Work) -> None:
        try:
            import ray  # noqa: PLC0415 - an extra
            import ray.data  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise EngineError('batch: Ray is missing: pip install "voxhop[ray]"') from error
        self._ray: Any = ray
        self._out, self._work = work.out, pickle.dumps(work)
        self._cores = work.recipe.options.threads

    def rows(
        self, jobs: Iterable[Job], count: int | None, share: Callable[[Job, float], None]
    ) -> Generator[Row, None, None]:
        """Yield the row of each job as it is done.

        Parameters
        ----------
        jobs
            Taken all at once.
        count
            Actors at most; None: as many as the cluster has cores for.
        share
            Told 1 for each job: what an actor does meanwhile is not known here.

        Raises
        ------
        EngineError
            When the cluster cannot be reached or the pipeline ends before its jobs do.
        """
        listed = {job.name: job for job in jobs}
        if not listed:
            return
        ours = not self._ray.is_initialized()
        try:
            if ours:
                # The address is Ray's own affair: RAY_ADDRESS, or a cluster on this machine.
                self._ray.init(log_to_driver=False, logging_level=logging.ERROR)
            for row in self._pipeline(list(listed.values()), count):
                share(listed[row["file"]], 1.0)
                yield row
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise EngineError(f"batch: ray: {_last_line(error)}") from error
        finally:
            if ours:
                self._ray.shutdown()
            # An actor that was killed left half a file; the one after it made another.
            sweep(Path(self._out), listed.values())

    def _pipeline(self, jobs: Sequence[Job], count: int | None) -> Generator[Row, None, None]:
        data = self._ray.data
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        cluster = int(self._ray.cluster_resources().get("CPU", 1)) // self._cores
        most = max(1, min(count or cluster, len(jobs)))
        items = [{"job": json.dumps(_fields(job))} for job in jobs]
        blocks = -(-len(items) // _PER_BLOCK)
        done = data.from_items(items, override_num_blocks=blocks).map(
            RayCleaner,
            fn_constructor_args=(self._work, self._out),
            compute=data.ActorPoolStrategy(min_size=1, max_size=most),
            num_cpus=self._cores,
        )
        for item in done.iter_rows():
            yield json.loads(item["row"])


def _fields(job: Job) -> dict[str, str | None]:
    return {name: getattr(job, name) for name in ("name", "mic", "ref", "out", "problem")}


def _last_line(error: BaseException) -> str:
    """Return what an error says at its end; Ray puts traces of other processes before it."""
    return str(error).strip().rpartition("\n")[2].strip()
