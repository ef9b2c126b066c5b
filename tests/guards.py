"""Objects that another thread is inside."""

import contextlib
import threading


@contextlib.contextmanager
def used_by_another_thread(it):
    """Let another thread be inside an object of the library."""
    inside, done = threading.Event(), threading.Event()

    def use():
        with it._guard:
            inside.set()
            done.wait()

    other = threading.Thread(target=use)
    other.start()
    inside.wait()
    try:
        yield
    finally:
        done.set()
        other.join()
