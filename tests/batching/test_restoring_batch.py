"""A batch with a restoring model does what `voxhop.restore_file` does."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from recordings import rows
from voxhop.batching.verdict import flags_of
from voxhop.cli import main

MODEL = Path(__file__).parents[1] / "golden" / "streamfm-random" / "model-f32.gguf"


@pytest.fixture
def calls(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("a", "b"):
        speech = np.random.default_rng(len(name)).normal(0, 0.05, 4000)
        soundfile.write(folder / f"{name}.wav", speech, 16000, "PCM_16")
    return folder


def test_each_result_is_that_of_restore_file(calls, tmp_path):
    how = {"model": MODEL, "steps": 1, "seed": 7, "out_sample_rate": 8000}
    report = voxhop.batch(calls, tmp_path / "out", suffix="flac", **how)
    assert (report.done, report.failed) == (2, ())
    for row in rows(tmp_path / "out"):
        alone = voxhop.restore_file(calls / row["file"], tmp_path / "alone.flac", **how)
        assert (tmp_path / "out" / row["out"]).read_bytes() == (
            tmp_path / "alone.flac"
        ).read_bytes()
        assert (row["task"], row["steps"], row["seed"]) == (alone.task, 1, 7)
        assert row["sample_rate"] == 8000


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"steps": 99}, "steps: 99"),
        ({"solver": "nix"}, "solver: nix"),
        ({"level": "loud"}, "level"),
        ({"strength": 0.5}, "strength: a restoring model has no such setting"),
        ({"pair": "a=b"}, "pair: a restoring model takes a recording alone"),
        ({"cross": True}, "cross: a restoring model takes a recording alone"),
        ({"mic_channel": 0}, "mic_channel: a restoring model takes a recording alone"),
    ],
)
def test_what_does_not_go_with_it_is_refused(calls, tmp_path, how, message):
    with pytest.raises(voxhop.ArgumentError, match=message):
        voxhop.batch(calls, tmp_path / "out", model=MODEL, **how)
    assert not (tmp_path / "out").exists()


def test_settings_of_a_restoring_model_are_refused_by_others(calls, tmp_path):
    with pytest.raises(voxhop.ArgumentError, match="unknown setting 'steps'"):
        voxhop.batch(calls, tmp_path / "out", model="voxhop-localvqe-small", steps=1)


def test_the_command_has_the_options_of_restore(calls, tmp_path, capsys):
    args = ["batch", str(calls), "-o", str(tmp_path / "out"), "--model", str(MODEL)]
    assert main([*args, "--steps", "1", "--seed", "3", "--level", "off"]) == 0
    assert {row["seed"] for row in rows(tmp_path / "out")} == {3}
    assert main([*args, "--task", "bwe"]) == 2
    assert "--task: finds the model itself" in capsys.readouterr().err
    assert main([*args[:4], "--task", "singing"]) == 2
    assert "expected one of bwe" in capsys.readouterr().err


def test_flags_tell_of_levels(calls, tmp_path):

    report = voxhop.restore_file(calls / "a.wav", tmp_path / "x.wav", model=MODEL, steps=1)
    for level, flags in ((-30.0, ()), (-13.9, ("louder",)), (-71.0, ("nothing_left",))):
        changed = dataclasses.replace(report, level_in_dbfs=-20.0, level_out_dbfs=level)
        assert flags_of(changed) == flags
