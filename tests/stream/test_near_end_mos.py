"""Near-end speech with a reference that has nothing to do with it, by AECMOS."""

import numpy as np
import pytest
import rooms

import tolerances
from voxhop.stream import Stream

RATE = rooms.RATE

pytest.importorskip("speechmos", reason="extra [eval]")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("reference", ["unrelated", "silent", "none"])
def test_a_reference_without_an_echo_does_no_harm(model, call, reference):
    """The degradation of the near end is that of a bypassed stream, or less."""
    from voxhop.evaluation.perceptual import aecmos  # noqa: PLC0415 - extra [eval]

    rng = np.random.default_rng(2)
    near = rooms.speech(call[0], 18, seed=5)
    mic = (near + 0.003 * rng.standard_normal(len(near))).astype(np.float32)
    silence = np.zeros_like(mic)
    ref = {
        "unrelated": rooms.speech(call[1], 18, seed=6).astype(np.float32),
        "silent": silence,
        "none": None,
    }[reference]
    with Stream(model, sample_rate=RATE) as stream:
        out = np.concatenate([stream.process(mic, ref), stream.flush()])
        out = out[stream.latency_samples :]
    degradation = [aecmos("nst", silence, mic, signal)[1] for signal in (mic, out)]
    assert degradation[1] > degradation[0] - tolerances.STREAM_NEAR_MOS
