"""What kill -9 leaves of a file while it is completed, at every line of that code."""

import os
import signal
import sys

import numpy as np
import pytest
import soundfile

from voxhop.io import AudioWriter

RATE = 16000
FRAMES = 20000
MOST_LINES = 2000

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork, and no SIGKILL, there")


def write_and_die(target, line):
    """Write a file; die of SIGKILL before the given line of completing it is run."""
    left = line

    def trace(_frame, event, _argument):
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    writer = AudioWriter(target, rate=RATE, channels=1, encoding=("WAV", "PCM_16"))
    writer.write(np.full((FRAMES, 1), 0.25, np.float32))
    sys.settrace(trace)
    writer.commit()
    sys.settrace(None)


def outcome(target, line):
    """Run `write_and_die` in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            write_and_die(target, line)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.parametrize("existing", [False, True])
def test_killed_at_any_line_it_is_the_old_file_or_the_whole_new_one(tmp_path, existing):
    target = tmp_path / "out.wav"
    line, seen = 0, set()
    while line < MOST_LINES:
        target.unlink(missing_ok=True)
        if existing:
            target.write_text("what was there")
        killed = outcome(target, line)
        if not target.exists():
            assert not existing, f"the old file is gone after line {line}"
            seen.add("none")
        elif target.read_bytes() == b"what was there":
            assert existing
            seen.add("old")
        else:
            samples, _ = soundfile.read(target)
            assert len(samples) == FRAMES, f"{len(samples)} samples after line {line}"
            assert (samples == 0.25).all()
            seen.add("new")
        for part in tmp_path.glob(".out.wav.*.part"):
            part.unlink()
        if not killed:
            break
        line += 1
    assert line > 10, "the code was not traced"
    assert not killed
    assert seen == {"old" if existing else "none", "new"}
