"""Hops that nobody hears: what remembers all of the past goes on, all else stays."""

import numpy as np
import pytest

import voxhop
from front_ends import KERNEL_SETS, transparent
from signals import HOP, noise, speech_like
from streams import GOLDEN
from streams import run as run_session
from voxhop import ArgumentError, DtypeError, ShapeError
from voxhop.export import write_gguf

SMALL = "voxhop-localvqe-small"
HOPS = 150
PLAIN = {"sample_rate": 16000, "highpass_hz": 0.0}
FRONT_ENDS = {
    "canceller": {"echo_partitions": 16},
    "follower": {"echo_partitions": 16, "echo_follower": True},
    "tones": {"cancel_tones": True},
    "all": {"echo_partitions": 16, "echo_follower": True, "cancel_tones": True},
}


@pytest.fixture(scope="module")
def call():
    n = HOPS * HOP
    far = speech_like(n, 1) + noise(n, 2, rms=0.003)
    hum = 0.02 * np.sin(2 * np.pi * 150.0 / 16000 * np.arange(n))
    mic = 0.4 * np.roll(far, 300) + hum + speech_like(n, 5) * (np.arange(n) > n // 2)
    return mic.astype("f4"), far.astype("f4")


def hops_of(call, dtype="f4"):
    scaled = (np.round(x * 20000).astype("i2") if dtype == "i2" else x for x in call)
    return list(zip(*(x.reshape(-1, HOP) for x in scaled), strict=True))


@pytest.mark.torch
@pytest.mark.parametrize(("kernels", "isa"), KERNEL_SETS)
@pytest.mark.parametrize(("front_end", "dtype"), [*((f, "f4") for f in FRONT_ENDS), ("all", "i2")])
def test_the_front_end_goes_on_bit_for_bit(tmp_path, call, front_end, kernels, isa, dtype):
    path = tmp_path / "m.gguf"
    write_gguf(transparent(**FRONT_ENDS[front_end]), path)
    options = {"kernels": kernels, "isa": isa}
    hops = hops_of(call, dtype)
    with (
        voxhop.load(path) as model,
        model.session(**options) as whole,
        model.session(**options) as skimmed,
    ):
        assert model.info.memory_samples == 0
        assert model.info.warm_up_samples > 0
        heard = 0
        for k, (mic, ref) in enumerate(hops):
            expected = whole.process_hop(mic, ref)
            if k % 50 < 40:
                skimmed.skim_hop(mic, ref)
                continue
            found = skimmed.process_hop(mic, ref)
            left = whole.tap("frontend.left")
            assert np.array_equal(skimmed.tap("frontend.left"), left)
            if k % 50 > 44:  # the window of the transforms and the mask's three frames
                assert np.abs(found.astype("f8") - expected).max() < (2 if dtype == "i2" else 1e-6)
                heard += bool(np.abs(found).max())
        assert heard > 6
        assert skimmed.metrics.hops == HOPS // 5


@pytest.mark.parametrize(("kernels", "isa"), KERNEL_SETS)
@pytest.mark.parametrize("cache", ["f32", "int8"])
def test_positions_go_on(call, kernels, isa, cache):
    """After its windows have filled again, a network attends to what it would have."""
    if kernels == "stock" and cache != "f32":
        pytest.skip("stock kernels keep f32")
    options = {"kernels": kernels, "isa": isa, "depth": 2, "window": 6, "cache": cache}
    hops = [mic for mic, _ in hops_of(call)]
    with (
        voxhop.load("voxhop-seflow") as model,
        model.session(**options) as whole,
        model.session(**options) as skimmed,
        model.session(**options) as still,
    ):
        for k, mic in enumerate(hops):
            expected = whole.process_hop(mic)
            if 20 <= k < 100:
                skimmed.skim_hop(mic)
                continue
            found, other = skimmed.process_hop(mic), still.process_hop(mic)
            if k > 100 + 2 * 5 + 2:
                assert np.abs(found - expected).max() < 3e-6
        # Where hops are left out instead, what is kept lies elsewhere.
        if cache == "int8":
            assert np.abs(other - expected).max() > 1e-5
        assert np.abs(expected).max() > 0.01


@pytest.mark.parametrize("options", [{"kernels": "stock"}, {}, {"history_first": True}])
def test_what_forgets_stays_as_it_was(call, options):
    hops = hops_of(call)
    with voxhop.load(SMALL) as model, model.session(**options) as session:
        assert model.info.memory_samples == model.info.warm_up_samples > 0
        for mic, ref in hops[:5]:
            session.process_hop(mic, ref)
        state, weights = session.state(), session.tap("align.weights")
        again = session.fork()
        session.prepare()
        for mic, ref in hops[5:20]:
            session.skim_hop(mic, ref)
        assert session.state() == state
        assert np.array_equal(session.tap("align.weights"), weights)
        assert np.array_equal(session.process_hop(*hops[20]), again.process_hop(*hops[20]))


@pytest.mark.torch
def test_after_its_warm_up_nothing_tells(tmp_path, call):
    path = tmp_path / "m.gguf"
    write_gguf(transparent(**FRONT_ENDS["all"]), path)
    with voxhop.load(path) as model, model.session() as whole, model.session() as skimmed:
        warm_up = model.info.warm_up_samples // HOP
        hops = hops_of(call)
        hops = hops * (1 + (warm_up + 60) // len(hops))
        for k, hop in enumerate(hops[: warm_up + 60]):
            expected = whole.process_hop(*hop)
            if k < 50:
                skimmed.skim_hop(*hop)
            else:
                found = skimmed.process_hop(*hop)
                if k >= 50 + warm_up:
                    assert np.abs(found - expected).max() < 1e-6


def test_what_does_not_fit():
    with voxhop.load(SMALL) as model, model.session() as session:
        mic = np.zeros(HOP, "f4")
        session.skim_hop(mic)
        session.skim_hop(None)
        with pytest.raises(ShapeError, match="mic"):
            session.skim_hop(mic[:-1])
        with pytest.raises(DtypeError, match="ref"):
            session.skim_hop(mic, mic.astype("i2"))
        with pytest.raises(ArgumentError, match="noise: no input of this model"):
            session.skim_hop(mic, noise=mic)
    path = GOLDEN.parent / "seflow-random" / "model-f32.gguf"
    with voxhop.load(path) as model, model.session() as session:
        assert model.info.memory_samples == 0 < model.info.warm_up_samples
        hop = np.zeros(session.hop_length, "f4")
        with pytest.raises(ArgumentError, match="no reference"):
            session.skim_hop(hop, hop)


def test_a_stream_that_skims_gives_the_microphone(call):
    mic, ref = call
    with voxhop.load(SMALL) as model, voxhop.Stream(model, **PLAIN) as stream:
        stream.process(mic[:1600], ref[:1600])
        before = stream.metrics
        stream.set_skim(True)
        out = stream.process(mic[1600:20000], ref[1600:20000])
        late = stream.latency_samples
        # The hops that were ready before are the model's.
        assert np.array_equal(out[2 * late :], mic[1600 + late : 20000 - late])
        after = stream.metrics
        assert after.hops > before.hops
        assert (after.out_dbfs, after.hop_p50_ms) == (before.out_dbfs, before.hop_p50_ms)
        stream.set_skim(False)
        out = stream.process(mic[20000:], ref[20000:])
        assert not np.array_equal(out[2 * late :], mic[20000 + late : len(mic) - late])
        assert stream.metrics.hop_p50_ms > 0
        with pytest.raises(ArgumentError, match="skim: 2, expected 0 or 1"):
            stream.set_skim(2)
        stream.set_skim(True)
        stream.reset()
        fresh = stream.process(mic, ref)
    with voxhop.load(SMALL) as model, voxhop.Stream(model, **PLAIN) as other:
        assert np.array_equal(fresh, other.process(mic, ref))


def test_a_stream_goes_on_as_a_session_does(call):
    mic, ref = call
    n = 60 * HOP
    options = voxhop.SessionOptions(precision="f32")
    with (
        voxhop.load(SMALL) as model,
        voxhop.Stream(model, options=options, **PLAIN) as stream,
        model.session() as session,
    ):
        stream.set_skim(True)
        stream.process(mic[:n], ref[:n])
        stream.set_skim(False)
        out = stream.process(mic[n:], ref[n:])
        expected = run_session(session, mic[n:], ref[n:])
        late = stream.latency_samples - session.latency_samples
        assert np.array_equal(out[late:], expected[: len(out) - late])
