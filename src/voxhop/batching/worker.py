"""A worker process: does recordings one after the other, as its parent tells it to.

It reads pickles from standard input (the `Work`, then jobs) and writes pickles to what was its
standard output: ``("ready", None)``, ``("share", 0.5)`` now and then, ``("row", {...})``. When
standard input ends, the parent is gone or wants no more: it leaves at once, whatever it does.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing import BinaryIO

    from voxhop.batching.jobs import Job

_TELL_S: Final = 0.25


def main() -> None:
    """Serve the parent until it goes away."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, sys.stdout.fileno())  # decoders talk where answers would go
    work = pickle.load(requests)  # noqa: S301 - our own parent
    _send(answers, "ready", None)
    os.dup2(silent, sys.stderr.fileno())
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, jobs), daemon=True).start()
    while True:
        _send(answers, "row", work.do(jobs.get(), _Teller(answers)))


class _Teller:
    """Tells the parent how much of a recording is done, a few times a second."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._next = time.monotonic() + _TELL_S

    def __call__(self, done_s: float, total_s: float) -> None:
        now = time.monotonic()
        if now >= self._next and total_s > 0:
            self._next = now + _TELL_S
            _send(self._answers, "share", done_s / total_s)


def _read(requests: BinaryIO, jobs: queue.SimpleQueue[Job]) -> None:
    try:
        while True:
            jobs.put(pickle.load(requests))  # noqa: S301 - our own parent
    finally:
        os._exit(0)  # also while a hop is computed; the partial file is removed by the parent


def _send(answers: BinaryIO, kind: str, value: Any) -> None:  # noqa: ANN401 - what the kind has
    pickle.dump((kind, value), answers)
    answers.flush()
