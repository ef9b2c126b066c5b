"""Prints what a model and its sessions add to the resident memory of a fresh process.

``python -m voxhop.figures.memory_probe MODEL OPTIONS``, OPTIONS being those of a session as JSON.
Only a fresh process tells: in one that has worked before, the allocator hands out memory
that is resident already.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np

from voxhop.figures.machine import resident_bytes
from voxhop.models import Model, load

if TYPE_CHECKING:
    from voxhop.engine.session import Session

_SESSIONS = 8


def main() -> int:
    """Write ``[model bytes, bytes per session]``, or ``[null, null]`` where unknown."""
    source, options = sys.argv[1], json.loads(sys.argv[2])
    # What the code itself brings along. It stays: freed memory would be handed out again.
    other = load(source)
    kept = _used_session(other, options)
    before = resident_bytes()
    model = load(source)
    sessions = [_used_session(model, options)]
    with_first = resident_bytes()
    sessions += [_used_session(model, options) for _ in range(_SESSIONS)]
    with_all = resident_bytes()
    found: list[int | None] = [None, None]
    if before is not None and with_first is not None and with_all is not None:
        per_session = (with_all - with_first) // _SESSIONS
        found = [with_first - before - per_session, per_session]
    kept.close()
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _used_session(model: Model, options: dict[str, str]) -> Session:
    """Return a session that has touched all its memory."""
    session = model.session(**options)
    nothing = np.zeros(0, np.float32)
    session.process_hop(nothing, lost=True)  # a hop of any model, whatever it takes
    return session


if __name__ == "__main__":
    sys.exit(main())
