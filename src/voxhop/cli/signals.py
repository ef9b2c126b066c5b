"""Signals that end the command: they unwind the stack, so that no partial file stays."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    _Handler = Callable[[int, FrameType | None], object] | int | None

EXIT_TERMINATED: Final = 143
_AGAIN_S: Final = 0.02


@contextlib.contextmanager
def unwinding_on_signals() -> Iterator[None]:
    """Raise `SystemExit` on SIGTERM and `KeyboardInterrupt` on Ctrl-C, where that is safe.

    Outside the main thread, and for a signal that somebody else answers or ignores, nothing
    is changed. At the end both signals do again what they did.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours: dict[int, tuple[_Handler, _Handler]] = {
        signal.SIGTERM: (signal.SIG_DFL, _terminate),
        signal.SIGINT: (signal.default_int_handler, _interrupt),
    }
    before = {}
    for number, (expected, handler) in ours.items():
        if signal.getsignal(number) == expected:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> None:
    if not _put_off(number, frame):
        raise SystemExit(EXIT_TERMINATED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _put_off(number, frame):
        raise KeyboardInterrupt


def _put_off(number: int, frame: FrameType | None) -> bool:
    """Send the signal again a little later if a module is being imported.

    Extension modules that are interrupted half way crash the process instead of failing.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            again = threading.Timer(_AGAIN_S, _send, (number,))
            again.daemon = True
            again.start()
            return True
        frame = frame.f_back
    return False


def _send(number: int) -> None:
    """Send a signal to the main thread, which wakes it from whatever it waits for."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:  # Windows, where every thread's signals are the main thread's
        signal.raise_signal(number)
