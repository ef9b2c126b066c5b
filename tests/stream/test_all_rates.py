"""One SEFlow file with the bands of all seven rates, behind hosts of any rate."""

import numpy as np
import pytest

import signals
import voxhop
from streams import run
from voxhop.stream import Stream

pytest.importorskip("torch", reason="the model is made by the reference")

from voxhop.export.seflow import write_seflow
from voxhop.reference.seflow import random_seflow
from voxhop.reference.seflow.config import RATES, SEFlowConfig, rate_hop

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("seflow") / "model.gguf"
    config = SEFlowConfig(depth=2, n_heads=2, head_dim=4, time_window=9)
    write_seflow(random_seflow(config, 3), path)
    with voxhop.load(path) as loaded:
        yield loaded


def aligned(stream, mic):
    parts = [stream.process(block) for block in np.array_split(mic, 7)]
    return np.concatenate([*parts, stream.flush()])[stream.latency_samples :]


@pytest.mark.parametrize("rate", RATES)
def test_no_rate_of_the_file_is_resampled(model, rate):
    """Sample for sample the session's, a hop behind and a hop to gather but for one sample."""
    mic = signals.speech_like(30 * rate_hop(rate), rate).astype(np.float32)
    with Stream(model, sample_rate=rate, highpass_hz=0) as stream:
        assert stream.latency_samples == 2 * rate_hop(rate) - 1
        out = aligned(stream, mic)
    with model.session(sample_rate=rate, precision="auto") as session:
        expected = run(session, mic)[session.latency_samples :]
    assert np.array_equal(out[: len(expected)], expected)
    assert np.abs(expected).max() > 1e-4


@pytest.mark.parametrize(("rate", "inner"), [(11025, 16000), (12000, 16000), (96000, 48000)])
def test_another_takes_the_next_above_or_the_highest(model, rate, inner):
    mic = signals.speech_like(rate // 2, 5).astype(np.float32)
    with (
        Stream(model, sample_rate=rate) as chosen,
        Stream(model, sample_rate=rate, model_rate=inner) as told,
        Stream(model, sample_rate=rate, model_rate=8000) as other,
    ):
        expected = aligned(told, mic)
        assert np.array_equal(aligned(chosen, mic), expected)
        assert not np.array_equal(aligned(other, mic), expected)


def test_a_loss_at_48_khz_is_zeros_for_exactly_its_samples(model):
    mic = signals.speech_like(24000, 6).astype(np.float32)
    settings = {"sample_rate": 48000, "highpass_hz": 0}
    with Stream(model, **settings) as told, Stream(model, **settings) as zeros:
        parts = [told.process(mic[:5000]), told.process_lost(961), told.process(mic[5961:])]
        silent = mic.copy()
        silent[5000:5961] = 0
        assert np.array_equal(np.concatenate(parts), zeros.process(silent))
