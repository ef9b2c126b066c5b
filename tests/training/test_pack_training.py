"""The tool that packs a run for a machine far away, and the run there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
from typing import TYPE_CHECKING

import torch

from scripts import run_tool
from voxhop.export import read_gguf, write_gguf
from voxhop.reference import LocalVQE, LocalVQEConfig

if TYPE_CHECKING:
    from pathlib import Path

pack = partial(run_tool, "pack_training.py")


@pytest.fixture
def config(tmp_path: Path, tiny_toml: str) -> Path:
    """A configuration with weights to start from, and a budget that is not for there."""
    torch.manual_seed(2)
    shape = {"far_channels": (2, 4, 4), "align_hidden": 4, "bottleneck_hidden": 6}
    start = LocalVQE(LocalVQEConfig(mic_channels=(2, 4, 4, 4, 4, 4), shuffle="interleave", **shape))
    write_gguf(start, tmp_path / "start.gguf", dtype="f32")
    path = tmp_path / "run.toml"
    head = f'initial = "{tmp_path / "start.gguf"}"\naudio_seconds = 5000000\nminutes = 0\n'
    path.write_text(head + tiny_toml + "[optimizer]\nrate = 1e-3\n")
    return path


def test_a_packed_run_trains_elsewhere_and_comes_back(config, corpus_folder, tmp_path):
    folder, back = tmp_path / "there" / "pack", tmp_path / "back"
    options = ("--minutes", 0.05, "--clips", 1.5, "--rate", 5e-4, "--part", 0.05)
    packed = pack(config, corpus_folder, folder, *options)
    assert packed.returncode == 0, packed.stderr
    text = (folder / "config.toml").read_text()
    assert "clips = 3" in text
    assert "rate = 0.0005" in text
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 60e6
    config.unlink()
    elsewhere = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        ["bash", folder / "run.sh", back],
        env=elsewhere | {"PYTHON": sys.executable, "DEVICE": "cpu"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(line) for line in (back / "log.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records if record["kind"] == "valid"]
    assert steps[-1] > 0
    parts = sorted(back.glob("*-f32.gguf.part-*"))
    assert len(parts) > 1
    assert max(part.stat().st_size for part in parts) <= 50_000
    whole = tmp_path / "whole.gguf"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    before, after = (read_gguf(path).mic_enc1.conv.weight for path in (
        folder / "initial.gguf", whole,
    ))  # fmt: skip
    assert before.shape == after.shape
    assert not torch.equal(before, after)
    assert torch.allclose(before, after, atol=0.05)  # it went on from there


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("--minutes", 0), "--minutes: 0, expected more than 0"),
        (("--megabytes", 0.1), "--megabytes: 0.1, of which everything but the corpus takes"),
        (("--initial", "gone.gguf"), "gone.gguf"),
    ],
)
def test_what_cannot_be_is_told_by_name_and_leaves_nothing(
    config, corpus_folder, tmp_path, change, word
):
    out = tmp_path / "pack"
    refused = pack(config, corpus_folder, out, *change)
    assert refused.returncode == 2
    assert word in refused.stderr
    assert not out.exists()
    assert not list(tmp_path.glob("tmp*"))


def test_an_output_that_exists_is_kept(config, corpus_folder, tmp_path):
    out = tmp_path / "pack"
    out.mkdir()
    refused = pack(config, corpus_folder, out)
    assert refused.returncode == 2
    assert "exists, expected a new folder" in refused.stderr
