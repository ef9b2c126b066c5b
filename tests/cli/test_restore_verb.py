"""``voxhop restore``: what it makes, lists, draws and refuses."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop.cli import main

MODEL = Path(__file__).parent.parent / "golden" / "streamfm-random" / "model-f32.gguf"
LINE = ["restore", "mic.wav", "-o", "out.wav", "--steps", "1"]


@pytest.fixture
def here(recordings, monkeypatch):
    """Enter a folder with a short recording, and a folder of models with one for `phase`."""
    samples, rate = soundfile.read("mic.wav")
    soundfile.write("mic.wav", samples[:3000], rate)
    models = recordings / "models"
    models.mkdir()
    (models / "notes.gguf").write_bytes(b"no model")
    (models / "random.gguf").write_bytes(MODEL.read_bytes())
    monkeypatch.setenv("VOXHOP_CACHE_DIR", str(models))
    return recordings


def test_file_is_what_the_functions_make(here, capsys):
    options = ["--task", "phase", "--seed", "3", "--level", "follow", "--subtype", "FLOAT"]
    assert main([*LINE, *options]) == 0
    told = capsys.readouterr().out
    assert "out.wav: 0.2 s, 1 channel, 16000 Hz, WAV FLOAT" in told
    assert "phase: " in told
    assert "solver euler1 (1 call per hop), seed 3" in told
    report = voxhop.restore_file(
        "mic.wav", "same.wav", task="phase", steps=1, seed=3, level="follow", subtype="FLOAT"
    )
    # Not byte by byte: libsndfile notes the time in files of floats.
    made, same = (soundfile.SoundFile(here / name) for name in ("out.wav", "same.wav"))
    with made, same:
        assert (made.samplerate, made.subtype) == (same.samplerate, same.subtype)
        assert np.array_equal(made.read(dtype="float32"), same.read(dtype="float32"))
    assert report.solver == "euler1"
    samples, rate = soundfile.read("mic.wav", dtype="float32")
    array = voxhop.restore(
        samples, sample_rate=rate, model=MODEL, solver="euler1", seed=3, level="follow"
    )
    assert np.array_equal(soundfile.read("out.wav", dtype="float32")[0], array)


@pytest.mark.usefixtures("here")
def test_json_is_the_report(capsys):
    assert main([*LINE, "--model", str(MODEL), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    report = voxhop.restore_file("mic.wav", "same.wav", model=MODEL, steps=1)
    assert set(found) == set(vars(report))
    for name in set(found) - {"out", "elapsed_s", "speed", "notes"}:
        assert found[name] == getattr(report, name), name


@pytest.mark.usefixtures("here")
def test_list_says_what_is_installed(capsys):
    assert main(["restore", "--list"]) == 0
    text = capsys.readouterr().out
    assert "bwe      the upper band" in text
    phase = text.partition("\nphase ")[2].splitlines()
    assert "random.gguf: 16000 Hz, 117,264 parameters" in phase[1]
    assert "euler5 (5), " in phase[1]
    assert main(["restore", "--list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    packaged, model = found["models"]
    assert packaged["name"] == "voxhop-streamfm-bwe"
    assert packaged["solvers"] == {"euler1": 1}
    assert model["task"] == "phase"
    assert model["solvers"]["ralston3+2"] == 5
    assert [task["name"] for task in found["tasks"]][:4] == ["bwe", "derev", "codec", "enhance"]


def test_picture_before_and_after(here, capsys):
    assert main([*LINE, "--model", str(MODEL), "--plot", "p.png", "--rate", "8000"]) == 0
    assert "p.png: before and after" in capsys.readouterr().out
    assert (here / "p.png").read_bytes().startswith(b"\x89PNG")
    assert soundfile.info("out.wav").samplerate == 8000


def test_standard_streams(here):
    line = [sys.executable, "-m", "voxhop", "restore", "-", "-o", "-", "--format", "flac"]
    done = subprocess.run(
        [*line, "--model", str(MODEL), "--steps", "1", "--rate", "48000"],
        input=(here / "mic.wav").read_bytes(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    samples, rate = soundfile.read(io.BytesIO(done.stdout))
    assert (len(samples), rate) == (9000, 48000)
    assert done.stderr.startswith(b"-: 0.2 s, 1 channel, 48000 Hz, FLAC")


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        (2, ["restore"], "expected a recording and -o OUT"),
        (2, ["restore", "mic.wav"], "expected a recording and -o OUT"),
        (2, LINE, "neither a model nor a task"),
        (2, [*LINE, "--task", "polish"], "task: 'polish', expected one of bwe, derev"),
        (1, [*LINE, "--task", "derev"], "task derev: no model for it is installed"),
        (2, [*LINE, "--task", "bwe", "--model", "MODEL"], "its task is phase, expected bwe"),
        (2, [*LINE, "--model", voxhop.DEFAULT_MODEL], "restores nothing"),
        (2, [*LINE, "--task", "phase", "--solver", "euler1"], "expected one of the two"),
        (2, [*LINE[:-1], "9", "--task", "phase"], "steps: 9, expected the calls of one of"),
        (2, [*LINE[:-2], "--solver", "heun", "--task", "phase"], "solver: heun, expected one of"),
        (2, [*LINE, "--task", "phase", "--seed", "-1"], "seed"),
        (2, [*LINE, "--task", "phase", "--plot", "p.txt"], "p.txt: suffix '.txt'"),
        (2, [*LINE, "--task", "phase", "--rate", "10"], "out_sample_rate: 10"),
        (2, ["restore", "mic.wav", "-o", "mic.wav", "--task", "phase"], "the input too"),
        (2, ["restore", "mic.wav", "-o", "-", "--plot", "p.png"], "--plot"),
        (1, ["restore", "gone.wav", "-o", "out.wav", "--task", "phase"], "gone.wav: no such file"),
    ],
)
def test_what_is_refused_leaves_nothing(here, capsys, code, line, words):
    assert main([str(MODEL) if word == "MODEL" else word for word in line]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1
    left = {path.name for path in here.iterdir()}
    assert left == {"mic.wav", "speaker.wav", "models"}
