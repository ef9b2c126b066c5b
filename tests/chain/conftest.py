"""Small models to put into chains, and how to run one."""

from pathlib import Path

import numpy as np
import pytest

import voxhop
from gguf_bytes import tiny_localvqe

RESTORER = Path(__file__).parent.parent / "golden" / "streamfm-random" / "model-f32.gguf"


@pytest.fixture(scope="session")
def echo():
    """A small canceller: it takes a reference."""
    return voxhop.load(tiny_localvqe().encode())


@pytest.fixture(scope="session")
def restorer():
    """A small restorer, one call per hop, as a link."""
    model = voxhop.load(RESTORER)
    return voxhop.ModelLink(model, name="restorer", options={"solver": "euler1"})


@pytest.fixture(scope="session")
def sounds():
    """Microphone and reference: 9000 samples of noise each."""
    rng = np.random.default_rng(11)
    return rng.normal(0, 0.1, (2, 9000)).astype(np.float32)
