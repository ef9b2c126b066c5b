"""Worker processes: one recording each at a time, and a death costs that recording only.

They are started as programs of their own, not through `multiprocessing`, which would import
the caller's main module again, and they end with their standard input, so none outlives a
parent that was killed.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.errors import EngineError
from voxhop.media.partial import remove_partials

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from voxhop.batching.jobs import Job
    from voxhop.batching.manifest import Row
    from voxhop.batching.work import Work

_ATTEMPTS: Final = 2
_STARTS: Final = 3
_PATIENCE_S: Final = 10.0  # for a worker to leave that waits for a disk
_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from voxhop.batching.worker import main; main()"
)


class Worker:
    """A worker process.

    Parameters
    ----------
    work
        The pickle of what it does with each recording.

    Raises
    ------
    EngineError
        When it does not come up.
    """

    def __init__(self, work: bytes) -> None:
        for left in reversed(range(_STARTS)):
            try:
                self._start(work)
            except EngineError:  # noqa: PERF203 - a process is started each time
                # Killed from outside it may come up the next time; its own fault stays one.
                killed = (self._process.poll() or 0) < 0
                if not killed or left == 0:
                    raise
            else:
                return

    def _start(self, work: bytes) -> None:
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the parent, which ends its workers
            )
            try:
                self._ask(work)
                self._answer()
            except (EOFError, OSError) as error:
                self.end()
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise EngineError(f"batch: a worker process did not start: {said}") from error

    def do(self, job: Job, share: Callable[[float], None]) -> Row:
        """Do one recording.

        Raises
        ------
        EOFError, OSError
            When the process dies.
        """
        self._ask(pickle.dumps(job))
        while True:
            kind, value = self._answer()
            if kind == "row":
                row: Row = value
                return row
            share(value)

    def end(self) -> str:
        """End the process, whatever it does, and return how it ended. May be repeated."""
        assert self._process.stdin is not None  # noqa: S101 - we asked for a pipe
        assert self._process.stdout is not None  # noqa: S101 - the same
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()
        try:
            code = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process.stdout.close()  # only now: a thread that reads it has come to its end
        if code >= 0:
            return f"with exit code {code}"
        return f"of signal {-code} ({signal.Signals(-code).name})"

    def _ask(self, pickled: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - we asked for a pipe
        self._process.stdin.write(pickled)
        self._process.stdin.flush()

    def _answer(self) -> tuple[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - the same
        found: tuple[str, Any] = pickle.load(self._process.stdout)  # noqa: S301 - our own child
        return found


class SteadyWorker:
    """A worker process that is replaced when it dies; started for the first job.

    Parameters
    ----------
    work
        The pickle of a `Work`.
    out
        Its output folder.
    stop
        Set before `end` is called while another thread is in `do`.
    """

    def __init__(self, work: bytes, out: Path, stop: threading.Event) -> None:
        self._work, self._out, self._stop = work, out, stop
        self._guard = threading.Lock()
        self._worker: Worker | None = None
        self._job: Job | None = None

    def do(self, job: Job, share: Callable[[float], None]) -> Row | None:
        """Return the row of a job, a failure when two processes die of it; None when stopped.

        Raises
        ------
        EngineError
            When a process does not come up.
        """
        how = ""
        for _ in range(_ATTEMPTS):
            try:
                worker = self._ready(job)
                if worker is None:
                    return None
                return worker.do(job, share)
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # noqa: PERF203 - rare
                if self._stop.is_set():
                    return None
                how = self.end()
        died = f"{job.mic}: its worker process died {how}, {_ATTEMPTS} times"
        return {"file": job.name, "status": "failed", "out": job.out, "error": died}

    def end(self) -> str:
        """End the process, remove what it left, and return how it ended. May be repeated."""
        with self._guard:
            worker, self._worker = self._worker, None
        if worker is None:
            return ""
        how = worker.end()
        if self._job is not None:
            target = self._out / self._job.out
            remove_partials(target.parent, {target.name})
        return how

    def _ready(self, job: Job) -> Worker | None:
        """Return the process, started where there is none; None when stopped meanwhile."""
        self._job = job
        if self._worker is not None:
            return self._worker
        worker = Worker(self._work)
        with self._guard:
            self._worker = worker
        if self._stop.is_set():
            self.end()
            return None
        return worker


class WorkerPool:
    """Does jobs in several worker processes; use once.

    Parameters
    ----------
    work
        What is done with each.
    stop
        Set when the pool ends, for an iterator of jobs that waits for more.

    Raises
    ------
    EngineError
        In a frozen program, which has no Python to start.
    """

    def __init__(self, work: Work, stop: threading.Event | None = None) -> None:
        if getattr(sys, "frozen", False) or "__compiled__" in globals():
            raise EngineError("batch: a frozen program has no Python to start workers with")
        self._out, self._work = Path(work.out), pickle.dumps(work)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._asking = threading.Lock()
        self._stop = stop or threading.Event()

    def rows(
        self, jobs: Iterator[Job], count: int | None, share: Callable[[Job, float], None]
    ) -> Generator[Row, None, None]:
        """Yield the row of each job as it is done.

        Parameters
        ----------
        jobs
            Asked for the next one by the threads of this pool, one at a time.
        count
            Number of processes, at least 1; None: 1.
        share
            Told how much of a job is done, 0 to 1, on the caller's thread.

        Raises
        ------
        EngineError
            When no worker comes up; and what `jobs` raises.
        """
        workers = [SteadyWorker(self._work, self._out, self._stop) for _ in range(count or 1)]
        threads = [
            threading.Thread(target=self._tend, args=(worker, jobs), daemon=True)
            for worker in workers
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        try:
            while running:
                event = self._next_event()
                if event is None:
                    running -= 1
                elif isinstance(event, BaseException):
                    raise event
                elif isinstance(event[1], float):
                    share(*event)
                else:
                    yield event[1]
        finally:
            self._stop.set()
            for worker in workers:
                worker.end()
            for thread in threads:
                thread.join()

    def _next_event(self) -> Any:  # noqa: ANN401 - see `rows`
        while True:  # with a limit, so that Ctrl-C is heard on every system
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=0.5)

    def _tend(self, worker: SteadyWorker, jobs: Iterator[Job]) -> None:
        """Give jobs to one worker until there are no more; runs on a thread of its own."""
        try:
            while not self._stop.is_set():
                with self._asking:
                    job = next(jobs, None)
                if job is None:
                    break
                row = worker.do(job, lambda share, job=job: self._events.put((job, share)))  # type: ignore[misc]
                if row is not None:
                    self._events.put((job, row))
        except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
            self._events.put(error)
        finally:
            worker.end()
            self._events.put(None)
