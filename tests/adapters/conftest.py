"""Fixtures of the adapters' tests: the bundled model, and the demo call as whole numbers."""

import numpy as np
import pytest
from agent_call import demo_track

import voxhop


@pytest.fixture(scope="session")
def model():
    with voxhop.load() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def call():
    """Microphone and reference of the demo call, int16 at 16 kHz."""
    mic, ref = (demo_track(name) for name in ("mic", "ref"))
    assert np.abs(mic).max() > 1000
    return mic, ref
