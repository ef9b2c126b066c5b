"""``voxhop batch``: what it says and its exit codes."""

import io
import json

import pytest
import soundfile

from voxhop.cli import main

MODEL = ["--model", "voxhop-localvqe-small"]


@pytest.fixture
def calls(recordings):
    (recordings / "calls").mkdir()
    for old, new in (("mic", "a_mic"), ("speaker", "a_ref")):
        (recordings / f"{old}.wav").rename(recordings / "calls" / f"{new}.wav")
    return recordings / "calls"


def batch(*args):
    return main(["batch", *args, *MODEL])


@pytest.mark.usefixtures("calls")
def test_it_says_what_was_done_and_where_the_figures_are(capsys):
    assert batch("calls", "-o", "clean", "--pair", "_mic=_ref") == 0
    said = capsys.readouterr()
    assert "clean: 1 of 1 recordings done, 0 failed, 0 doubtful\n" in said.out
    assert "0.5 seconds of audio, at " in said.out
    assert "clean/voxhop-batch.jsonl" in said.out
    assert said.err == ""
    assert batch("calls", "-o", "clean", "--pair", "_mic=_ref") == 0
    assert "0 of 1 recordings done, 1 before, 0 failed" in capsys.readouterr().out


def test_json_is_one_object_with_every_name(calls, capsys):
    (calls / "b_mic.wav").write_bytes(b"no sound")
    (calls / "b_ref.wav").write_bytes(b"no sound")
    (calls / "music.wav").touch()
    assert batch("calls", "-o", "clean", "--pair", "_mic=_ref", "--json") == 1
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["recordings"], told["done"], told["left_out"]) == (2, 1, ["music.wav"])
    ((name, error),) = told["failed"]
    assert name == "b_mic.wav"
    assert f"voxhop batch: failed: {error}\n" in said.err
    assert "left out: 1 recordings that no pair has, such as music.wav" in said.err


def test_many_failures_fill_one_screen(calls, capsys):
    for i in range(30):
        (calls / f"{i}.wav").touch()
    assert batch("calls", "-o", "clean") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "voxhop batch: and 10 more; see the manifest"


@pytest.mark.parametrize("extra", [[], ["--pass-through"]])
def test_a_doubtful_result_is_named_and_strict_makes_it_an_error(calls, capsys, extra):
    mic, rate = soundfile.read(calls / "a_mic.wav")
    soundfile.write(calls / "a_ref.wav", 0 * mic, rate)
    args = ["calls", "-o", "clean", "--pair", "_mic=_ref", *extra]
    assert batch(*args) == 0
    said = capsys.readouterr()
    assert "doubtful: a_mic.wav: reference_silent" in said.err
    assert ("passed through as they are: 1" in said.out) == bool(extra)
    assert batch(*args, "--restart", "--strict") == 1


def test_a_list_comes_from_standard_input(calls, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("calls/a_mic.wav,calls/a_ref.wav\n"))
    assert batch("-", "-o", "clean", "--format", "flac", "--strength", "0.5") == 0
    assert (calls.parent / "clean" / "calls" / "a_mic.flac").exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("calls/a_mic.wav,calls/a_ref.wav\n"))
    assert batch("-", "-o", "clean", "--format", "flac") == 2
    assert "made with settings {'strength': 0.5}, now {}" in capsys.readouterr().err


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nothing", "-o", "x"], 1, "nothing: No such file or directory, expected a folder"),
        (["calls", "-o", "calls"], 2, "the recordings are there"),
        (["calls", "-o", "x", "--pair", "mic"], 2, "expected MIC=REF"),
        (["calls", "-o", "x", "--format", "doc"], 2, "format .doc"),
        (["calls", "-o", "x", "--delay-ms", "soon"], 2, "--delay-ms soon"),
        (["calls"], 2, "the following arguments are required: -o/--out"),
    ],
)
def test_bad_command_lines(capsys, args, code, message):
    assert batch(*args) == code
    assert message in capsys.readouterr().err
