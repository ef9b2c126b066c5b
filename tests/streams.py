"""Runs sessions hop by hop, for the engine's tests."""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden" / "localvqe-v1.1-random"


def run(session, mic, ref=None, tap=None):
    """Return the streamed output of whole hops, and the values of `tap` per hop if named."""
    hop = session.hop_length
    assert len(mic) % hop == 0
    out, taps = np.empty_like(mic), []
    for start in range(0, len(mic), hop):
        part = slice(start, start + hop)
        session.process_hop_into(mic[part], None if ref is None else ref[part], out[part])
        if tap is not None:
            taps.append(session.tap(tap))
    return out if tap is None else (out, np.array(taps))


def golden_pair():
    """Return the golden set's microphone and reference, float32."""
    return (np.fromfile(GOLDEN / f"synth.{name}.f32", "<f4") for name in ("mic", "ref"))


def relative_rms(found, expected):
    """Return the RMS of the difference relative to the RMS of `expected`."""
    difference = np.asarray(found, "f8") - expected
    return np.linalg.norm(difference) / np.linalg.norm(expected)
