"""A small corpus made of tones, and a configuration that trains on it in seconds."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

with contextlib.suppress(ImportError):  # the test modules skip themselves then
    import soundfile
    import torch

    from voxhop.training.sounds.bank import DataConfig, load_bank
    from voxhop.training.sounds.rooms import RoomConfig

    # Several threads on tensors this small cost more than they bring, much more on a busy
    # machine.
    torch.set_num_threads(1)

RATES = (16000, 44100, 48000, 22050)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker(pytest.mark.torch)


def bursts(hertz: float, seconds: float, rate: int, seed: int) -> np.ndarray:
    """Noisy harmonics in bursts: broad-band enough to tell a delay, with pauses."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * hertz * k * time + k) / k for k in range(1, 12))
    syllables = np.sin(2 * np.pi * 2.5 * time + seed) > -0.3
    return 0.1 * (tone + rng.normal(size=len(time))) * syllables


@pytest.fixture(name="bursts", scope="session")
def bursts_fixture():
    return bursts


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for index in range(6):
        split = "train" if index < 4 else "valid"
        rate = RATES[index % len(RATES)]
        folder = root / "speech" / split / f"speaker{index}"
        folder.mkdir(parents=True)
        audio = bursts(110 + 35 * index, 3.0, rate, index)
        shaped = np.stack([audio, audio], axis=1) if index == 1 else audio
        soundfile.write(folder / "a.flac", shaped, rate)
    for split in ("train", "valid"):
        folder = root / "noise" / split
        folder.mkdir(parents=True)
        rng = np.random.default_rng(len(split))
        soundfile.write(folder / f"hiss-{split}.wav", 0.05 * rng.normal(size=40000), 16000)
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def bank(corpus_folder: Path, cache: Path):
    data = DataConfig(folder=str(corpus_folder), cache=str(cache))
    return load_bank(data, "train", RoomConfig(count=6), seed=3)


@pytest.fixture(scope="session")
def tiny_toml(corpus_folder: Path, cache: Path) -> str:
    """A run of a few steps; `output` and the budget are to be put in front."""
    return f"""
seed = 5
device = "cpu"
precision = "f32"
threads = 1
[data]
folder = "{corpus_folder}"
cache = "{cache}"
[model]
mic_channels = [2, 4, 4, 4, 4, 4]
far_channels = [2, 4, 4]
align_hidden = 4
bottleneck_hidden = 6
shuffle = "interleave"
[rooms]
count = 6
[validation]
per_scenario = 1
seconds = 1.0
every_share = 0.5
[[phases]]
share = 1.0
clips = 2
seconds = 1.0
"""
