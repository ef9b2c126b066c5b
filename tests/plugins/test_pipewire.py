"""Both plug-ins as `voxhop plugin install` leaves them, in a PipeWire without devices."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

PROGRAMS = ("pipewire", "wireplumber", "pw-play", "pw-record", "pw-link", "dbus-run-session")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
HOUR = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "plugin_hour.py"))
RATE = HOUR["RATE"]


@pytest.fixture(scope="module", params=[1024, 8192])  # PipeWire's own choice, and its most
def heard(request, tmp_path_factory):
    """Microphone, clean microphone and echo-cancelled microphone of the demo call, 48 kHz."""
    folder = tmp_path_factory.mktemp("pipewire")
    tracks = HOUR["call_tracks"]()
    quiet = np.zeros((2 * RATE, 2))  # while the links are made
    soundfile.write(folder / "call.wav", np.concatenate([quiet, tracks]), RATE)
    HOUR["hear_call"](folder, request.param, timeout_s=120)
    sound, rate = soundfile.read(folder / "heard.wav", dtype="float32")
    assert rate == RATE
    return sound.T, tracks[:, 0]


def level(samples):
    return 10 * np.log10(np.mean(np.square(samples)) + 1e-12)


def test_every_program_has_both_microphones(heard):
    (mic, clean, cancelled), call = heard
    start = int(np.flatnonzero(np.abs(mic) > 1e-4)[0] - np.flatnonzero(np.abs(call) > 1e-4)[0])
    far, near = (slice(start + int(a * RATE), start + int(b * RATE)) for a, b in ((1, 2.7), (6, 8)))
    assert level(mic[far]) - level(cancelled[far]) > 15
    assert level(mic[far]) - level(clean[far]) < 6  # it has no reference: the voice stays
    for side in (clean, cancelled):
        assert abs(level(mic[near]) - level(side[near])) < 4
