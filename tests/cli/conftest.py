"""Fixtures of the command's tests: recordings to work on."""

from pathlib import Path

import pytest
import soundfile

import voxhop

DEMO = Path(voxhop.__file__).parent / "demo"


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Enter a folder with half a second of the demo call: mic.wav and speaker.wav."""
    for source, name in (("mic", "mic.wav"), ("ref", "speaker.wav")):
        samples, rate = soundfile.read(DEMO / f"{source}.flac", start=40000, frames=8000)
        soundfile.write(tmp_path / name, samples, rate)
    monkeypatch.chdir(tmp_path)
    return tmp_path
