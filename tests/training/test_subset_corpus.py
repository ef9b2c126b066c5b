"""The tool that copies the part of a corpus that fits a size."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
from typing import TYPE_CHECKING

import soundfile

from scripts import run_tool
from voxhop.training.sounds.corpus import decode, find_recordings

if TYPE_CHECKING:
    from pathlib import Path

subset = partial(run_tool, "subset_corpus.py")


@pytest.fixture
def corpus(tmp_path: Path, bursts) -> Path:
    """Four speakers of three files each, the first with six; one noise per split."""
    root = tmp_path / "corpus"
    for index, split in enumerate(("train", "train", "valid", "valid")):
        folder = root / "speech" / split / f"speaker{index}"
        folder.mkdir(parents=True)
        for number in range(6 if index == 0 else 3):
            audio = bursts(120 + 30 * index, 2.0, 16000, number)
            soundfile.write(folder / f"{number}.wav", audio, 16000)
    for split in ("train", "valid"):
        (root / "noise" / split).mkdir(parents=True)
        hiss = 0.05 * np.random.default_rng(1).normal(size=16000)
        soundfile.write(root / "noise" / split / f"hiss-{split}.wav", hiss, 16000)
    return root


def test_every_speaker_stays_and_the_size_is_kept(corpus: Path, tmp_path: Path) -> None:
    result = subset(corpus, tmp_path / "out", "--megabytes", 0.3)
    assert result.returncode == 0, result.stderr
    assert "speech: " in result.stdout
    found = find_recordings(tmp_path / "out")
    assert {r.source for r in found if r.group == "speech"} == {f"speaker{i}" for i in range(4)}
    assert {(r.group, r.split) for r in found} >= {("noise", "train"), ("noise", "valid")}
    assert sum(r.path.stat().st_size for r in found) <= 300_000
    # Turns: nobody gets a third file before the others have two.
    counts = [len(list((tmp_path / "out/speech/train" / f"speaker{i}").iterdir())) for i in (0, 1)]
    assert counts[0] <= counts[1] + 1 or counts[1] == 3


def test_lossless_files_become_opus_of_the_same_sound(corpus: Path, tmp_path: Path) -> None:
    assert subset(corpus, tmp_path / "out", "--megabytes", 5).returncode == 0
    before = decode(corpus / "speech/train/speaker1/1.wav")
    path = tmp_path / "out/speech/train/speaker1/1.opus"
    after = decode(path)
    assert path.stat().st_size < (corpus / "speech/train/speaker1/1.wav").stat().st_size / 4
    assert abs(len(after) - len(before)) < 100
    n = min(len(before), len(after))
    lags = [np.dot(before[100 : n - 100], after[100 + k : n - 100 + k]) for k in range(-50, 51)]
    assert np.argmax(lags) == 50
    assert max(lags) > 0.7 * np.linalg.norm(before) * np.linalg.norm(after)


def test_what_cannot_be_done_is_said_and_leaves_nothing(corpus: Path, tmp_path: Path) -> None:
    little = subset(corpus, tmp_path / "out", "--megabytes", 0.001)
    assert little.returncode == 2
    assert "expected at least 2" in little.stderr
    missing = subset(tmp_path / "none", tmp_path / "out")
    assert missing.returncode == 2
    assert "not a folder" in missing.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus"]
