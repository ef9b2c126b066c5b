"""``--set`` and ``info``: the options that a model has of its own, on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import signals
import voxhop
from voxhop.cli import main

MODEL = Path(__file__).parents[1] / "golden" / "seflow-random" / "model-f32.gguf"


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "mic.wav"
    soundfile.write(path, signals.speech_like(8000, 3), 16000, subtype="FLOAT")
    return path


@pytest.fixture
def mic(recording):
    return soundfile.read(recording, dtype="float32")[0]


def test_enhance_takes_them(recording, mic, tmp_path):
    out = tmp_path / "clean.wav"
    words = ["--set", "depth=1", "--set", "heads=1", "--set", "sample_rate=8000"]
    command = ["enhance", str(recording), "-o", str(out), "--model", str(MODEL), *words]
    assert main(command) == 0
    settings = {"depth": 1, "heads": 1, "model_rate": 8000}
    expected = voxhop.enhance(mic, sample_rate=16000, model=MODEL, **settings)
    assert np.array_equal(soundfile.read(out, dtype="float32")[0], expected)
    assert not np.array_equal(voxhop.enhance(mic, sample_rate=16000, model=MODEL), expected)


def test_pipe_takes_them(mic):
    command = [sys.executable, "-m", "voxhop", "pipe", "--rate", "16000", "--format", "f32"]
    words = ["--model", str(MODEL), "--set", "depth=1", "--set", "cache=int8"]
    done = subprocess.run(command + words, input=mic.tobytes(), capture_output=True, check=True)
    expected = voxhop.enhance(mic, sample_rate=16000, model=MODEL, depth=1, cache="int8")
    assert np.array_equal(np.frombuffer(done.stdout, np.float32), expected)


@pytest.mark.parametrize("more", [["--hot", "--alone"], ["--streams", "2"]])
def test_bench_takes_them(capsys, more):
    words = ["--model", str(MODEL), "--hops", "100", "--json", *more]
    costs = []
    for depth in ("1", "3"):
        assert main(["bench", *words, "--set", f"depth={depth}", "--set", "sample_rate=8000"]) == 0
        found = json.loads(capsys.readouterr().out)
        first = found["contenders"][0] if "contenders" in found else found
        costs.append(first["state_bytes"])
    assert costs[0] < costs[1]


def test_bench_times_either_end_of_a_codec(capsys):
    codec = MODEL.parents[1] / "sublime-random" / "model-f32.gguf"
    found = {}
    for part in ("encoder", "decoder"):
        words = ["--model", str(codec), "--set", f"part={part}", "--hops", "100", "--hot"]
        assert main(["bench", *words, "--alone", "--json"]) == 0
        found[part] = json.loads(capsys.readouterr().out)
        assert found[part]["hop_ms"] == 20
        assert found[part]["contenders"][0]["timings"][0]["p50_ms"] > 0
    assert found["encoder"]["macs_per_hop"] < found["decoder"]["macs_per_hop"]


def test_info_lists_them(capsys):
    assert main(["info", str(MODEL), "--json"]) == 0
    found = {option["name"]: option for option in json.loads(capsys.readouterr().out)["options"]}
    assert found["sample_rate"]["choices"] == ["8000", "16000"]
    assert (found["depth"]["lowest"], found["depth"]["highest"]) == (1, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "depth"], "--set depth: expected NAME=VALUE"),
        (["--set", "=3"], "--set =3: expected NAME=VALUE"),
        (["--set", "depth=1", "--set", "depth=2"], "--set depth=2: depth again, after 1"),
        (["--set", "depth=nine"], "depth: nine, expected"),
        (["--set", "speed=2"], "unknown setting 'speed', expected"),
    ],
)
def test_mistakes_are_said(recording, tmp_path, capsys, words, message):
    out = str(tmp_path / "clean.wav")
    command = ["enhance", str(recording), "-o", out, "--model", str(MODEL), *words]
    assert main(command) == 2
    assert message in capsys.readouterr().err
