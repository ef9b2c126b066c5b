"""The life of sessions, groups and streams: closed once, used by one thread at a time."""

import gc

import numpy as np
import pytest

import voxhop
from guards import used_by_another_thread

HOP = 256
OPEN = {
    "session": voxhop.Session,
    "group": lambda model: voxhop.SessionGroup(model, 2),
    "stream": lambda model: voxhop.Stream(model, sample_rate=16000),
}
ADVICE = {"session": "; open one per stream", "group": "", "stream": "; open one per call"}
USE = {
    "session": lambda it: it.process_hop(np.zeros(HOP, np.float32)),
    "group": lambda it: it.process(np.zeros((2, HOP), np.float32)),
    "stream": lambda it: it.process(np.zeros(HOP, np.float32)),
}


@pytest.fixture(params=OPEN)
def noun(request):
    return request.param


@pytest.fixture
def opened(noun, model):
    it = OPEN[noun](model)
    yield it
    it.close()


def test_a_block_ends_with_close_which_may_be_repeated(noun, opened):
    with opened as inside:
        assert inside is opened
        USE[noun](opened)
        assert not opened.closed
    assert opened.closed
    opened.close()
    for use in (USE[noun], lambda it: it.reset()):
        with pytest.raises(voxhop.StateError) as caught:
            use(opened)
        assert str(caught.value) == f"{noun}: used after close()"


def test_a_second_thread_is_refused_and_nothing_is_broken(noun, opened):
    USE[noun](opened)
    with used_by_another_thread(opened):
        for use in (USE[noun], lambda it: it.reset()):
            with pytest.raises(voxhop.StateError) as caught:
                use(opened)
            assert str(caught.value) == f"{noun}: used by two threads at once{ADVICE[noun]}"
        with pytest.raises(voxhop.StateError) as caught:
            opened.close()
        assert str(caught.value) == f"{noun}: closed while another thread is inside it"
    USE[noun](opened)


def test_an_interrupt_as_soon_as_the_guard_is_taken_leaves_it_usable(noun, opened):
    opened._guard.acquire()  # Ctrl-C came before the block that gives it back
    USE[noun](opened)
    opened.close()
    assert opened.closed


def test_close_releases_the_native_object_at_once_and_only_once(noun, model, monkeypatch):
    n = voxhop._bindings.native()
    closed = []
    real = n.own
    monkeypatch.setattr(
        n, "own", lambda p, close, *keep: real(p, lambda it: (closed.append(1), close(it)), *keep)
    )
    it = OPEN[noun](model)
    handle = it._handle  # so that it is not closed by being collected
    it.close()
    assert closed == [1]
    del it, handle
    gc.collect()
    assert closed == [1]
