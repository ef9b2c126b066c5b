"""A batch with a model that takes a microphone alone, and its own options."""

from pathlib import Path

import pytest

import voxhop
from recordings import hashes, rows, write_pair
from voxhop.cli import main

MODEL = Path(__file__).parents[1] / "golden" / "seflow-random" / "model-f32.gguf"


@pytest.fixture
def folder(tmp_path):
    write_pair(tmp_path / "calls", "a", 1)
    return tmp_path


def test_each_result_is_that_of_enhance_file(folder):
    how = {"model": MODEL, "depth": 1, "heads": 1}
    report = voxhop.batch(folder / "calls", folder / "out", **how)
    assert (report.done, report.failed) == (2, ())
    for row in rows(folder / "out"):
        voxhop.enhance_file(folder / "calls" / row["file"], folder / "alone.wav", **how)
        assert (folder / "out" / row["out"]).read_bytes() == (folder / "alone.wav").read_bytes()
    args = ["batch", str(folder / "calls"), "-o", str(folder / "verb"), "--model", str(MODEL)]
    assert main([*args, "--set", "depth=1", "--set", "heads=1"]) == 0
    assert hashes(folder / "verb") == hashes(folder / "out")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"pair": "_mic=_ref"}, "pair: this model takes a microphone alone"),
        ({"depth": 99}, "depth"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_does_not_go_with_it_is_refused(folder, how, message):
    with pytest.raises(voxhop.VoxhopError, match=message):
        voxhop.batch(folder / "calls", folder / "out", model=MODEL, **how)
    assert not (folder / "out").exists()
