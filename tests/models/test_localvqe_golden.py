"""The engine against float64 output that another implementation computed."""

import time

import numpy as np
import pytest

import tolerances
import voxhop
from streams import GOLDEN, golden_pair, relative_rms, run

BUDGET_S = 0.008  # half of a hop


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "model-f32.gguf")


@pytest.mark.parametrize("kernels", ["stock", "auto"])
def test_streamed_output_and_delays(model, kernels):
    mic, ref = golden_pair()
    expected = np.fromfile(GOLDEN / "synth.pt64.f64", "<f8")[: len(mic)]
    align = np.fromfile(GOLDEN / "synth.alpha.f32", "<f4").reshape(-1, 32)[: len(mic) // 256]
    with voxhop.Session(model, kernels=kernels) as session:
        out, weights = run(session, mic, ref, tap="align.weights")
    assert np.abs(out - expected).max() <= tolerances.ENGINE_ABSOLUTE
    assert relative_rms(out, expected) <= tolerances.ENGINE_RELATIVE_RMS
    limit = tolerances.ENGINE_ALIGN if kernels == "stock" else tolerances.FUSED_ALIGN
    assert np.abs(weights - align).max() <= limit


def test_figures_follow_from_the_file(model):
    info = model.info
    assert (info.version, info.d_max, info.hop_samples, info.latency_samples) == (2, 32, 256, 256)
    # Counted by hand in the model's description: 1,290,845 elements; 29.78 M products of
    # convolutions, alignment, bottleneck and dense transforms, and the mask's 9 complex ones.
    assert info.parameter_count == 1_290_845
    layers = 28_560_896 + 163_840 + 65_536 + 15_360 + 81_920 + 105_300 + 786_432
    assert layers < info.macs_per_hop < layers * 1.001


def test_hop_time_of_the_stock_graph(model):
    """The issue's budget: half of a hop's 16 ms on one core, with the portable ggml."""
    rng = np.random.default_rng(0)
    mic, ref = (0.1 * rng.standard_normal((2, 256))).astype("f4")
    least = 1.0
    for _ in range(20):  # sessions: on a busy machine whole seconds are slow
        with voxhop.Session(model, kernels="stock") as session:
            for _ in range(60):
                start = time.thread_time()
                session.process_hop(mic, ref)
                least = min(least, time.thread_time() - start)
        if least <= BUDGET_S:
            break
    # The fastest: what the code costs, whatever else the machine is doing.
    assert least <= BUDGET_S
