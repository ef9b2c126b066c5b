"""``voxhop enhance``: output, figures, progress, and what an interruption leaves."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

import voxhop
from recordings import voxhop_command
from voxhop.cli import main
from voxhop.engine.plain import plain

LINE = ["enhance", "mic.wav", "--ref", "speaker.wav", "-o", "clean.wav"]


def test_file_is_what_the_function_makes(recordings, capsys):
    assert main(LINE) == 0
    report = voxhop.enhance_file("mic.wav", "same.wav", ref="speaker.wav")
    assert (recordings / "clean.wav").read_bytes() == (recordings / "same.wav").read_bytes()
    text = capsys.readouterr().out
    assert "clean.wav: 0.5 s, 1 channel, 16000 Hz, WAV PCM_16" in text
    assert f"{report.ref_active_reduction_db:.1f} dB less power" in text
    assert f"echo delay: {report.delay_ms:.0f} ms" in text


@pytest.mark.usefixtures("recordings")
def test_json_is_the_report(capsys):
    assert main([*LINE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = voxhop.enhance_file("mic.wav", "same.wav", ref="speaker.wav")
    assert set(found) == set(vars(expected))
    assert found["notes"] == []
    for name in set(found) - {"out", "elapsed_s", "speed", "sides", "notes"}:
        assert found[name] == getattr(expected, name), name
    (side,) = found["sides"]
    same = plain(expected.sides[0])
    assert set(side) == set(same)
    timings = {"hop_p50_ms", "hop_p99_ms", "late_hops"}
    assert {k: side[k] for k in set(side) - timings} == {k: same[k] for k in set(same) - timings}


@pytest.mark.usefixtures("recordings")
def test_silence_gives_null_and_no_infinity(capsys):
    soundfile.write("mic.wav", np.zeros(8000), 16000)
    assert main(["enhance", "mic.wav", "-o", "out.wav", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["level_in_dbfs"] is None


@pytest.mark.usefixtures("recordings")
def test_options_reach_the_function(capsys):
    mic, rate = soundfile.read("mic.wav")
    ref, _ = soundfile.read("speaker.wav")
    soundfile.write("both.wav", np.stack([ref, mic], axis=1), rate)
    line = ["enhance", "both.wav", "-o", "out.flac", "--ref-channel", "0", "--mic-channel", "1"]
    options = ["--kernels", "stock", "--subtype", "PCM_24", "--model", voxhop.DEFAULT_MODEL]
    assert main([*line, *options]) == 0
    assert main([*LINE[:-1], "out.wav", "--kernels", "stock", "--subtype", "PCM_24"]) == 0
    one, other = soundfile.read("out.flac")[0], soundfile.read("out.wav")[0]
    assert np.abs(one - other).max() <= 2.0**-23  # the two formats round in their own way
    assert soundfile.info("out.flac").subtype == "PCM_24"
    capsys.readouterr()


@pytest.mark.usefixtures("recordings")
def test_what_was_cut_and_missing_is_said(capsys):
    mic, rate = soundfile.read("mic.wav")
    soundfile.write("mic.wav", 60.0 * mic, rate, subtype="FLOAT")
    soundfile.write("speaker.wav", soundfile.read("speaker.wav")[0][:4000], rate)
    assert main([*LINE, "--subtype", "PCM_16"]) == 0
    text = capsys.readouterr().out
    assert "samples were beyond full scale and were cut" in text
    assert "the reference ends 0.2 s before the recording" in text


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals to open there")
@pytest.mark.usefixtures("recordings")
def test_bar_is_drawn_on_a_terminal_only():
    primary, secondary = os.openpty()
    quiet = subprocess.run(
        [sys.executable, "-m", "voxhop", *LINE], capture_output=True, check=True, timeout=60
    )
    assert quiet.stderr == b""
    subprocess.run(
        [sys.executable, "-m", "voxhop", *LINE],
        stdout=subprocess.DEVNULL,
        stderr=secondary,
        check=True,
        timeout=60,
    )
    os.close(secondary)
    seen = os.read(primary, 4096).decode()
    os.close(primary)
    assert "enhancing [" in seen
    assert "100%" in seen
    assert seen.endswith("\r\x1b[K")


@pytest.fixture
def running(recordings):
    """A command in the middle of a recording of ten minutes."""
    soundfile.write("long.wav", np.random.default_rng(0).normal(0, 0.05, 9_600_000), 16000)
    process = subprocess.Popen(
        voxhop_command("enhance", "long.wav", "-o", "clean.wav"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 20000 for path in recordings.glob(".clean.wav.*.part")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_interruption_leaves_no_file(recordings, running, number, code):
    running.send_signal(number)
    out, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert out == ""
    assert err == ("interrupted\n" if code == 130 else "")
    assert sorted(path.name for path in recordings.iterdir()) == [
        "long.wav",
        "mic.wav",
        "speaker.wav",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_kill_leaves_nothing_that_looks_finished(recordings, running):
    running.kill()
    running.wait(timeout=30)
    left = {path.name for path in recordings.iterdir()} - {"long.wav", "mic.wav", "speaker.wav"}
    assert len(left) == 1
    name = left.pop()
    assert name.startswith(".clean.wav.")
    assert name.endswith(".part")
    assert main(LINE) == 0
    assert soundfile.info("clean.wav").frames == 8000
