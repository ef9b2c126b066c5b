"""The golden set, and a model with a front-end where torch is there to write it."""

from pathlib import Path

import numpy as np
import pytest

import voxhop

GOLDEN = Path(__file__).parent.parent / "golden" / "sublime-random"


@pytest.fixture(scope="session")
def model_path():
    return GOLDEN / "model-f32.gguf"


@pytest.fixture(scope="session")
def model(model_path):
    return voxhop.load(model_path)


@pytest.fixture(scope="session")
def pcm():
    return np.fromfile(GOLDEN / "in.f32", "<f4")


@pytest.fixture(scope="session")
def codes():
    return np.fromfile(GOLDEN / "codes.u8", np.uint8).reshape(-1, 24)


@pytest.fixture(scope="session")
def sounds():
    """The decoder's output by kbit/s, float64."""
    return {kbps: np.fromfile(GOLDEN / f"out.{kbps}k.f64", "<f8") for kbps in (1, 6)}
