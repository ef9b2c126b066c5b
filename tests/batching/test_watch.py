"""`voxhop watch`: a recording is done when it is finished, once, and Ctrl-C is clean."""

import signal
import subprocess
import sys
import threading
import time

import pytest
import soundfile

import voxhop
from recordings import MODEL, hashes, rows, voxhop_command, write_pair
from voxhop.batching.watching import is_written

SETTLE_S = 0.2


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


class Watching:
    """`voxhop.watch` on a thread of its own."""

    def __init__(self, folder, out, **how):
        self.rows, self.report, self._stop = [], None, threading.Event()
        how = {"model": MODEL, "settle_s": SETTLE_S, "workers": 1} | how
        self._run = lambda: voxhop.watch(folder, out, stop=self._stop, tell=self.rows.append, **how)
        self._thread = threading.Thread(target=self._keep)

    def _keep(self):
        self.report = self._run()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def names(self):
        return [row["file"] for row in self.rows]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_recordings_are_done_as_they_come_and_only_once(calls, out):
    with Watching(calls, out, pair="_mic=_ref") as watching:
        wait_for(lambda: len(watching.rows) == 3)
        write_pair(calls / "new", "d", 4)
        wait_for(lambda: len(watching.rows) == 4)
        time.sleep(4 * SETTLE_S)
        assert sorted(watching.names()) == sorted(
            ["a_mic.wav", "b_mic.wav", "deep/er/c_mic.wav", "new/d_mic.wav"]
        )
    assert (watching.report.recordings, watching.report.done) == (4, 4)
    assert len(rows(out)) == 4
    report = voxhop.batch(calls, out, pair="_mic=_ref", model=MODEL)  # goes on from there
    assert (report.already_done, report.done) == (4, 0)
    with Watching(calls, out, pair="_mic=_ref") as watching:
        time.sleep(4 * SETTLE_S)
        write_pair(calls, "b", 99)
        wait_for(lambda: watching.names() == ["b_mic.wav"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes a file")
def test_a_recording_that_pauses_is_not_taken_before_it_is_closed(tmp_path, out):
    folder = tmp_path / "recorder"
    folder.mkdir()
    with Watching(folder, out) as watching:
        with soundfile.SoundFile(folder / "x.wav", "w", 16000, 1, "PCM_16") as file:
            file.write([0.1] * 4000)
            file.flush()
            time.sleep(6 * SETTLE_S)
            assert watching.rows == []
            file.write([0.1] * 4000)
        wait_for(lambda: watching.rows)
        assert watching.rows[0]["seconds"] == 0.5
    assert soundfile.info(out / "x.wav").frames == 8000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes a file")
def test_who_writes_a_file_is_known(tmp_path):
    path = tmp_path / "x"
    path.touch()
    assert not is_written(path)
    with path.open("ab"):
        assert is_written(path)
    with path.open("rb"):
        assert not is_written(path)
    assert not is_written(tmp_path / "nothing")


def test_a_recording_that_grows_settles_first(tmp_path, out, monkeypatch):
    monkeypatch.setattr("voxhop.batching.watching.is_written", lambda _path: False)
    folder = tmp_path / "recorder"
    write_pair(folder, "x", 1, seconds=1.0)
    whole = (folder / "x_mic.wav").read_bytes()
    (folder / "x_ref.wav").unlink()
    (folder / "x_mic.wav").unlink()
    with Watching(folder, out) as watching:
        for end in range(4000, len(whole) + 4000, 4000):
            with (folder / "x_mic.wav").open("ab") as file:
                file.write(whole[end - 4000 : end])
            time.sleep(SETTLE_S / 4)
        assert watching.rows == []
        wait_for(lambda: watching.rows)
        assert watching.rows[0]["seconds"] == 1.0
        assert watching.rows[0]["notes"] == []


def test_a_microphone_waits_for_its_reference(calls, out):
    later = (calls / "a_ref.wav").read_bytes()
    (calls / "a_ref.wav").unlink()
    with Watching(calls, out, pair="_mic=_ref") as watching:
        wait_for(lambda: len(watching.rows) == 2)
        time.sleep(3 * SETTLE_S)
        assert "a_mic.wav" not in watching.names()
        (calls / "a_ref.wav").write_bytes(later)
        wait_for(lambda: "a_mic.wav" in watching.names())
    assert watching.report.failed == ()


def test_a_bad_file_fails_once_until_it_changes(tmp_path, out):
    folder = tmp_path / "recorder"
    folder.mkdir()
    (folder / "x.wav").write_bytes(b"no sound")
    with Watching(folder, out) as watching:
        wait_for(lambda: watching.rows)
        time.sleep(4 * SETTLE_S)
        assert [row["status"] for row in watching.rows] == ["failed"]
        write_pair(tmp_path, "good", 1)
        (tmp_path / "good_mic.wav").replace(folder / "x.wav")
        wait_for(lambda: len(watching.rows) == 2)
    assert [row["status"] for row in watching.rows] == ["failed", "done"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_and_leaves_nothing_half(tmp_path, out, how):
    folder = tmp_path / "recorder"
    write_pair(folder, "short", 1)
    write_pair(folder, "very_long", 2, seconds=600.0)
    (folder / "very_long_ref.wav").unlink()
    command = voxhop_command("watch", folder, "-o", out, "--model", MODEL)
    process = subprocess.Popen(
        [*command, "--settle", "0.2", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: list(out.glob(".very_long_mic.wav.*.part")) and len(rows(out)) == 2)
    time.sleep(0.3)  # until what the manifest says is counted, too
    process.send_signal(how)
    said, complained = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 0, signal.SIGTERM: 143}[how]
    assert "Traceback" not in complained
    assert "short_mic.wav: 0.3 s" in complained
    assert ("2 of 2 recordings done, 0 failed" in said) == (how == signal.SIGINT)
    assert sorted(hashes(out)) == ["short_mic.wav", "short_ref.wav"]


def test_bad_arguments_are_refused(calls, out, tmp_path):
    with pytest.raises(voxhop.AudioFileError, match="nothing: expected a folder"):
        voxhop.watch(tmp_path / "nothing", out, model=MODEL)
    with pytest.raises(voxhop.ArgumentError, match="the recordings are there"):
        voxhop.watch(calls, calls, model=MODEL)
    with pytest.raises(voxhop.ArgumentError, match="settle_s: 0, expected more than 0"):
        voxhop.watch(calls, out, model=MODEL, settle_s=0)
    with pytest.raises(voxhop.ArgumentError, match="strength"):
        voxhop.watch(calls, out, model=MODEL, strength=7.0)
    assert not out.exists()
