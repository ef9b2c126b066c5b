"""Streams of Sublime: its parts, its clocks, lost frames, and the same bits whatever is done."""

import numpy as np
import pytest

import tolerances
import voxhop
from models.sublime_streams import HOP, LEAD, decode, encode, low_rate
from models.test_sublime_golden import GOLDEN, KERNELS, how
from streams import relative_rms

PARTS = ["encoder", "decoder"]


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "model-f32.gguf")


@pytest.fixture(scope="module")
def codes():
    return np.fromfile(GOLDEN / "codes.u8", "u1").reshape(-1, 24)


@pytest.fixture(scope="module")
def hops(codes):
    pcm = np.fromfile(GOLDEN / "in.f32", "<f4")
    pcm = np.concatenate([np.zeros(LEAD, "f4"), pcm])
    return {"encoder": pcm[: len(codes) * HOP].reshape(-1, HOP), "decoder": codes}


def run(session, hops):
    return np.stack([session.process_hop(hop) for hop in hops])


def test_a_file_offers_its_parts(model):
    (option,) = model.options
    assert (option.name, option.default, option.choices) == ("part", *("encoder", tuple(PARTS)))
    with model.session() as encoder, model.session(part="decoder") as decoder:
        (pcm,), (codes,) = encoder.inputs, encoder.outputs
        assert (pcm.type, pcm.count, pcm.rate, pcm.lead_count) == ("audio", HOP, 24000, LEAD)
        assert (codes.type, codes.count, codes.rate) == ("codes", 24, 24 * 50)
        assert encoder.latency_samples == 0
        assert (decoder.inputs[0].type, decoder.outputs[0].type) == ("codes", "audio")
        assert decoder.latency_samples == HOP
    with pytest.raises(voxhop.errors.ArgumentError, match="part: front-end, expected one of"):
        model.session(part="front-end")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kernels", ["stock", "fused"])
def test_reset_save_load_and_fork(model, hops, part, kernels):
    stop = 31
    first, second = hops[part][:stop], hops[part][stop:]
    with model.session(part=part, kernels=kernels) as session:
        expected = run(session, hops[part])
        session.reset()
        assert np.array_equal(run(session, hops[part]), expected)
        session.reset()
        run(session, first)
        blob, twin = session.state(), session.fork()
        assert np.array_equal(run(session, second), expected[stop:])
        assert np.array_equal(run(twin, second), expected[stop:])
        session.load_state(blob)
        assert np.array_equal(run(session, second), expected[stop:])


@pytest.mark.parametrize("part", PARTS)
def test_state_is_small(model, part):
    with model.session(part=part) as session:
        assert session.info.state_bytes < 200_000


def test_a_state_of_the_other_part_is_refused(model):
    with (
        model.session() as encoder,
        model.session(part="decoder") as decoder,
        pytest.raises(voxhop.errors.VoxhopError, match="state"),
    ):
        decoder.load_state(encoder.state())


def test_groups_give_what_sessions_give(model, hops):
    for part in PARTS:
        reverse = np.ascontiguousarray(hops[part][::-1])
        with model.session(part=part) as session:
            expected = [run(session, hops[part])]
            session.reset()
            expected.append(run(session, reverse))
        name = "in" if part == "encoder" else "codes"
        with voxhop.SessionGroup(model, 2, part=part) as group:
            found = [
                group.process_ports(**{name: np.stack(pair)})[0]
                for pair in zip(hops[part], reverse, strict=True)
            ]
        assert np.array_equal(np.stack(found, 1), np.stack(expected))


@pytest.mark.parametrize("isa", KERNELS)
def test_latency_is_719_samples(model, isa):
    """The samples that code t hears, and those that it changes, add up to it."""
    t = 5
    reach = {}
    for at in (HOP * t + LEAD - 1, HOP * t + LEAD):
        pcm = np.full(12 * HOP, 0.01, "f4")
        pcm[at] = np.nan
        with model.session(part="encoder", **how(isa)) as session:
            _, queries = encode(session, pcm, ["queries"])
        reach[at] = np.flatnonzero(np.isnan(queries).any(1))[0]
    assert list(reach.values()) == [t, t + 1]  # code t hears samples up to 480 t + 239
    codes = np.random.default_rng(0).integers(0, 32, (12, 24)).astype("u1")
    other = codes.copy()
    other[t] = (other[t] + 1) % 32
    with model.session(part="decoder", **how(isa)) as session:
        expected = decode(session, codes)
        session.reset()
        changed = np.flatnonzero(decode(session, other) != expected)
    # Output s of the decoder is for the time s - 480. The window's first value is 0.
    first = changed[0] - 1 - HOP
    assert first == HOP * (t - 1)
    assert HOP * t + LEAD - 1 - first == 719


def test_the_low_rate_is_the_sum_of_the_first_groups(model, codes):
    with model.session(part="decoder") as session:
        session.process_hop(codes[0])
        whole = session.tap("z")
        session.process_hop(low_rate(codes)[0])
        low = session.tap("z")
        high = codes[0].copy()
        high[:4] = 255
        session.process_hop(high)
        assert np.abs(low + session.tap("z") - whole).max() <= 1e-5
        assert np.abs(whole - low).max() > 1e-2


@pytest.mark.parametrize("isa", KERNELS)
def test_a_lost_frame_repeats_and_then_fades(model, codes, isa):
    nothing = np.full(24, 255, "u1")
    with model.session(part="decoder", **how(isa)) as session:
        session.process_hop(codes[0])
        last = session.tap("z")
        for i in range(4):
            session.process_hop(nothing)
            assert np.allclose(session.tap("z"), last * 0.7**i, rtol=1e-6, atol=0)
        session.process_hop(codes[1])
        fresh = session.tap("z")
        session.process_hop(None, lost=True)  # begins anew after a frame that arrived
        assert np.array_equal(session.tap("z"), fresh)


def test_a_stream_that_begins_with_a_loss_is_silent_there(model):
    with model.session(part="decoder") as session:
        for _ in range(3):
            assert not session.process_hop(None, lost=True).any()
        assert not session.tap("z").any()


@pytest.mark.parametrize("isa", KERNELS)
def test_silence_and_extremes_stay_finite(model, isa):
    extremes = {
        "silence": np.zeros(8 * HOP),
        "square": np.sign(np.sin(np.arange(8 * HOP) / 9.0)),
        "denormal": np.full(8 * HOP, 1e-40),
        "impulse": np.eye(1, 8 * HOP, 5).ravel(),
        "loud": np.full(8 * HOP, 1e6),
    }
    with model.session(**how(isa)) as encoder, model.session(part="decoder", **how(isa)) as decoder:
        for name, x in extremes.items():
            codes, queries = encode(encoder, x.astype("f4"), ["queries"])
            assert np.isfinite(queries).all(), name
            assert codes.max() < 32, name
            assert np.isfinite(decode(decoder, codes)).all(), name


def test_int16_is_the_same_stream(model, hops):
    shorts = (hops["encoder"] * 20000).astype("i2")
    with model.session() as session:
        expected = run(session, (shorts / np.float32(32768)).astype("f4"))
        session.reset()
        assert np.array_equal(run(session, shorts), expected)


def test_fused_maps_are_stock_maps(model, codes):
    with (
        model.session(part="decoder", kernels="stock") as stock,
        model.session(part="decoder") as fused,
    ):
        error = relative_rms(decode(fused, codes), decode(stock, codes))
    assert error <= tolerances.SUBLIME_RELATIVE_RMS
