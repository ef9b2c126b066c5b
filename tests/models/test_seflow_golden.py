"""SEFlow in the engine against float64 output that another implementation computed."""

from pathlib import Path

import numpy as np
import pytest

import tolerances
import voxhop
from streams import relative_rms, run

GOLDEN = Path(__file__).parent.parent / "golden" / "seflow-random"


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "model-f32.gguf")


@pytest.fixture(scope="module")
def clip():
    return np.fromfile(GOLDEN / "in.16000.f32", "<f4")


@pytest.mark.parametrize("network", [(3, 2), (2, 1)])
@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("isa", ["stock", *voxhop.cpu_isas()])
def test_streamed_output_and_voice_activity(model, isa, rate, network):
    depth, heads = network
    clip = np.fromfile(GOLDEN / f"in.{rate}.f32", "<f4")
    expected = np.fromfile(GOLDEN / f"out.{rate}.{depth}-{heads}.f64", "<f8")
    voice = np.fromfile(GOLDEN / f"vad.{rate}.{depth}-{heads}.f64", "<f8")
    how = {"kernels": "stock"} if isa == "stock" else {"isa": isa}
    with model.session(sample_rate=rate, depth=depth, heads=heads, **how) as session:
        assert (session.sample_rate, session.latency_samples) == (rate, rate * 16 // 1000)
        out, found = run(session, clip, tap="vad")
    assert np.abs(out - expected).max() <= tolerances.SEFLOW_ABSOLUTE
    assert relative_rms(out, expected) <= tolerances.SEFLOW_RELATIVE_RMS
    assert np.abs(found[:, 0] - voice).max() <= tolerances.SEFLOW_VOICE


@pytest.mark.parametrize(
    "how", [{"precision": "f16"}, {"precision": "bf16"}, {"precision": "int8"}, {"cache": "int8"}]
)
def test_reduced_precision_stays_near(model, clip, how):
    with voxhop.Session(model) as session:
        exact = run(session, clip)
    with model.session(**how) as session:
        error = relative_rms(run(session, clip), exact)
    assert 0 < error <= tolerances.SEFLOW_REDUCED[next(iter(how.values()))]


def test_hops_before_the_window_are_forgotten(model, clip):
    """After b (C - 1) + 2 equal hops nothing of the past is left, whatever its positions."""
    hops = 3 * 19 + 2
    tail = clip[: (2 * hops) * 256]
    with voxhop.Session(model) as session:
        fresh = run(session, tail)[-hops * 256 // 2 :]
        session.reset()
        run(session, np.tile(clip, 3))
        late = run(session, tail)[-hops * 256 // 2 :]
    assert relative_rms(late, fresh) <= tolerances.SEFLOW_FORGOTTEN
