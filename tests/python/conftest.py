"""Fixtures of the package's tests: the default model and a stretch of the demo call."""

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


@pytest.fixture
def session(model):
    with model.session() as opened:
        yield opened


@pytest.fixture(scope="session")
def call():
    """Microphone and reference of the demo call from 2.4 to 3.4 s: echo, then both talk."""
    tracks = []
    for name in ("mic", "ref"):
        with AudioReader(DEMO / f"{name}.flac") as reader:
            samples = reader.read(reader.frames)[:, 0]
        tracks.append(np.ascontiguousarray(samples[38400:54400]))
    return tracks
