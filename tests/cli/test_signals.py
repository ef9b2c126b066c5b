"""Signals end the command where that is safe, and later where it is not."""

import importlib
import signal
import sys
import time

import pytest

from voxhop.cli.signals import unwinding_on_signals

MODULE = """
import signal, time
signal.raise_signal(signal.{name})
time.sleep(0.1)  # what raises here would leave an extension module half made
"""
CASES = [("SIGTERM", SystemExit), ("SIGINT", KeyboardInterrupt)]


@pytest.fixture(autouse=True)
def as_on_a_terminal():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("name", "error"), CASES)
def test_at_once(name, error):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(error), unwinding_on_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("name", "error"), CASES)
def test_not_within_an_import_but_soon_after(name, error, tmp_path, monkeypatch):
    (tmp_path / "half_made.py").write_text(MODULE.format(name=name))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "half_made", raising=False)
    start = time.monotonic()
    with pytest.raises(error), unwinding_on_signals():  # noqa: PT012 - whichever is reached
        importlib.import_module("half_made")
        time.sleep(10)
    assert time.monotonic() - start < 5  # it does not wait for what it interrupts
    assert "half_made" in sys.modules


def test_what_the_caller_ignores_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with unwinding_on_signals():
        signal.raise_signal(signal.SIGINT)
