"""Fixtures of the stream tests: the bundled model, the demo call, an echo in a room."""

from pathlib import Path

import numpy as np
import pytest

import voxhop
from voxhop.io import AudioReader

DEMO = Path(voxhop.__file__).parent / "demo"


@pytest.fixture(scope="session")
def model():
    with voxhop.load() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def call():
    """Microphone and reference of the whole demo call at 16 kHz, float32."""
    tracks = []
    for name in ("mic", "ref"):
        with AudioReader(DEMO / f"{name}.flac") as reader:
            tracks.append(np.ascontiguousarray(reader.read(reader.frames)[:, 0]))
    return tracks
