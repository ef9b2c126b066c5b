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


@pytest.mark.parametrize("isa", ["stock", *voxhop.cpu_isas()])
def test_streamed_output_and_voice_activity(model, clip, isa):
    expected = np.fromfile(GOLDEN / "out.16000.3-2.f64", "<f8")
    voice = np.fromfile(GOLDEN / "vad.16000.3-2.f64", "<f8")
    how = {"kernels": "stock"} if isa == "stock" else {"isa": isa}
    with voxhop.Session(model, **how) as session:
        out, found = run(session, clip, tap="vad")
    assert np.abs(out - expected).max() <= tolerances.SEFLOW_ABSOLUTE
    assert relative_rms(out, expected) <= tolerances.SEFLOW_RELATIVE_RMS
    assert np.abs(found[:, 0] - voice).max() <= tolerances.SEFLOW_VOICE


def test_figures_follow_from_the_file(model):
    info = model.info
    assert (info.architecture, info.sample_rate, info.hop_samples) == ("seflow", 16000, 256)
    assert info.latency_samples == 256  # the overlap-add of the frame before
    # 3.7 of the specification, with D = 48, C = 20, K = 29 and F = 257, by hand.
    linear = 3 * 29 * 16 * 48**2 + 3 * 257 * 48 + 29 * 4 * 48**2 + 16 * 48 * 257
    attention = 2 * 3 * 29**2 * 48 + 2 * 3 * 29 * 48 * 20
    assert info.macs_per_hop == linear + attention


@pytest.mark.parametrize("precision", ["f16", "bf16", "int8"])
def test_reduced_precision_stays_near(model, clip, precision):
    with voxhop.Session(model) as session:
        exact = run(session, clip)
    with voxhop.Session(model, precision=precision) as session:
        out = run(session, clip)
    error = relative_rms(out, exact)
    assert 0 < error <= tolerances.SEFLOW_REDUCED[precision]


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
