"""What every object with a native handle shares: its life, and one thread at a time."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from voxhop._bindings import native
from voxhop.engine.closing import Closing
from voxhop.errors import StateError


def new_guard() -> threading.RLock:
    """Return the lock of an object that one thread at a time may use.

    A thread may take it again: Ctrl-C can arrive between taking it and the block that gives it
    back, and then the thread that it belongs to must still be able to go on, or to close.
    """
    return threading.RLock()


class Owner(Closing):
    """Owns a native object that one thread at a time may use. A context manager.

    Parameters
    ----------
    handle
        From `Native.own`, which closes the native object when it is released.
    """

    _noun: ClassVar[str]  # how messages call it, and the prefix of its C functions
    _advice: ClassVar[str] = ""  # what to do instead of sharing it

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - a C pointer
        self._handle = handle
        self._guard = new_guard()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None

    def close(self) -> None:
        """Give the native memory back. May be repeated.

        Raises
        ------
        StateError
            While another thread is inside.
        """
        if not self._guard.acquire(blocking=False):
            raise StateError(f"{self._noun}: closed while another thread is inside it")
        try:
            self._release()
        finally:
            self._guard.release()

    def _release(self) -> None:
        """Let go of the handle; `close` holds the guard meanwhile."""
        if self._handle is not None:
            native().ffi.release(self._handle)
            self._handle = None

    def __reduce__(self) -> tuple[Any, ...]:
        # What `copy`, `deepcopy` and `pickle` ask for; by default they would share the handle.
        raise TypeError(f"{self._noun}: cannot be copied or pickled{self._advice}")

    def _live_handle(self) -> Any:  # noqa: ANN401 - a C pointer
        if self._handle is None:
            raise StateError(f"{self._noun}: used after close()")
        return self._handle

    def _busy(self) -> StateError:
        """Return the error for a second thread."""
        return StateError(f"{self._noun}: used by two threads at once{self._advice}")

    def _call(self, verb: str, *args: object) -> None:
        """Call ``vh_<noun>_<verb>`` on the handle, unless another thread is inside."""
        if not self._guard.acquire(blocking=False):
            raise self._busy()
        try:
            function = getattr(native().lib, f"vh_{self._noun}_{verb}")
            native().call(function, self._live_handle(), *args)
        finally:
            self._guard.release()
