"""The demo call as frameworks see it: a far end whose own playback comes back, and figures."""

from pathlib import Path

import numpy as np
import soundfile

import voxhop

RATE = 16000
ALONE = (8000, 46400)  # the far end alone: 0.5 s for the first words, up to 2.9 s
NEAR = (91200, 137600)  # the near end alone
DEMO = Path(voxhop.__file__).parent / "demo"


def demo_track(name):
    """Return a track of the demo call, int16 at 16 kHz."""
    samples, rate = soundfile.read(DEMO / f"{name}.flac", dtype="int16")
    assert rate == RATE
    return samples


def power_db(samples):
    """Return the level of samples in dB."""
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-9)


def erle_db(mic, out, latency, *, rate=RATE):
    """Return by how much the echo of the far end alone went down, in dB."""
    begin, end = (i * rate // RATE for i in ALONE)
    return power_db(mic[begin:end]) - power_db(out[begin + latency : end + latency])


def near_kept_db(mic, out, latency, *, rate=RATE):
    """Return how much of the near end alone is left, in dB: about 0 when it is."""
    begin, end = (i * rate // RATE for i in NEAR)
    end -= latency
    return power_db(out[begin + latency : end + latency]) - power_db(mic[begin:end])


def blocks(*tracks, frames=160):
    """Yield whole blocks of tracks side by side."""
    for at in range(0, len(tracks[0]) - frames + 1, frames):
        yield tuple(track[at : at + frames] for track in tracks)
