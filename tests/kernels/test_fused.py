"""The fused kernels against the stock graph, in every instruction set, precision and mode."""

import time

import numpy as np
import pytest

import signals
import tolerances
import voxhop
from gguf_bytes import tiny_localvqe
from streams import GOLDEN, golden_pair, run

ISAS = voxhop.cpu_isas()
HOPS = 60


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "model-f32.gguf")


@pytest.fixture(scope="module")
def pair():
    samples = HOPS * signals.HOP
    return tuple(x.astype("f4") for x in signals.echo_pair(samples, 11))


@pytest.fixture(scope="module")
def stock(model, pair):
    with voxhop.Session(model, kernels="stock") as session:
        return run(session, *pair)


def nmse(found, expected):
    difference = found.astype("f8") - expected
    return np.sum(difference**2) / np.sum(expected.astype("f8") ** 2)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernels", ["direct", "fused"])
def test_equals_stock(model, pair, stock, kernels, isa):
    with voxhop.Session(model, kernels=kernels, isa=isa) as session:
        assert (session.info.kernels, session.info.isa) == (kernels, isa)
        assert nmse(run(session, *pair), stock) <= tolerances.FUSED_NMSE[kernels]


def test_equals_stock_beside_a_loud_chirp(model):
    mic, ref = golden_pair()
    with voxhop.Session(model, kernels="stock") as session:
        expected = run(session, mic, ref)
    for kernels in ("direct", "fused"):
        with voxhop.Session(model, kernels=kernels) as session:
            assert nmse(run(session, mic, ref), expected) <= tolerances.FUSED_NMSE[kernels]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_odd_widths_equal_stock(version, isa):
    model = voxhop.load(tiny_localvqe(version, d_max=5, seed=6).encode())
    pair = [x.astype("f4") for x in signals.echo_pair(30 * model.info.hop_samples, 5, delay=300)]
    with (
        voxhop.Session(model, kernels="stock") as oracle,
        voxhop.Session(model, isa=isa) as session,
    ):
        expected = run(oracle, *pair)
        assert nmse(run(session, *pair), expected) <= tolerances.FUSED_NMSE["fused"]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", ["f16", "bf16", "int8"])
def test_reduced_precision(model, pair, stock, precision, isa):
    with (
        voxhop.Session(model, precision=precision, isa=isa) as session,
        voxhop.Session(model) as full,
    ):
        error = nmse(run(session, *pair), stock)
        assert error <= tolerances.PRECISION_NMSE[precision]
        assert error > tolerances.FUSED_NMSE["fused"]  # or it was not reduced at all
        assert session.info.precision == precision
        assert session.info.state_bytes < 0.6 * full.info.state_bytes


@pytest.mark.parametrize("precision", ["f32", "f16", "bf16", "int8"])
@pytest.mark.parametrize("kernels", ["direct", "fused"])
def test_history_first_changes_only_rounding(model, pair, kernels, precision):
    options = {"kernels": kernels, "precision": precision}
    with (
        voxhop.Session(model, **options) as plain,
        voxhop.Session(model, history_first=True, **options) as ahead,
    ):
        expected, out = run(plain, *pair), np.empty_like(pair[0])
        for start in range(0, len(out), signals.HOP):
            part = slice(start, start + signals.HOP)
            if start % 3 == 0:  # prepared or not, once or twice: the same
                ahead.prepare()
                ahead.prepare()
            ahead.process_hop_into(pair[0][part], pair[1][part], out[part])
    limit = tolerances.FUSED_NMSE["fused"]
    if precision != "f32":
        limit = tolerances.PRECISION_NMSE[precision]  # another order may round another way
    assert nmse(out, expected) <= limit


@pytest.mark.parametrize("kernels", ["direct", "fused"])
@pytest.mark.parametrize("history_first", [False, True])
def test_threads_give_the_same_bits(model, pair, kernels, history_first):
    options = {"kernels": kernels, "history_first": history_first}
    with (
        voxhop.Session(model, **options) as one,
        voxhop.Session(model, threads=3, **options) as three,
    ):
        assert three.info.threads == 3
        assert np.array_equal(run(three, *pair), run(one, *pair))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", ["f32", "f16", "bf16", "int8"])
def test_threads_give_the_same_bits_in_every_precision(model, pair, precision, isa):
    """Every thread has panels of its own, and the last piece of one may be done by another."""
    options = {"precision": precision, "isa": isa}
    tracks = [track[: 20 * signals.HOP] for track in pair]
    with voxhop.Session(model, **options) as one:
        expected = run(one, *tracks)
    for threads in (2, 5):
        with voxhop.Session(model, threads=threads, **options) as several:
            assert np.array_equal(run(several, *tracks), expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("version", [1, 3])
def test_threads_give_the_same_bits_at_odd_widths(version, isa):
    model = voxhop.load(tiny_localvqe(version, d_max=5, seed=6).encode())
    pair = [x.astype("f4") for x in signals.echo_pair(30 * model.info.hop_samples, 5, delay=300)]
    with (
        voxhop.Session(model, isa=isa) as one,
        voxhop.Session(model, isa=isa, threads=3) as three,
    ):
        assert np.array_equal(run(three, *pair), run(one, *pair))


def test_group_rows_equal_sessions(model):
    streams, hops = 5, 20
    rng = np.random.default_rng(2)
    mic, ref = (0.1 * rng.standard_normal((2, hops, streams, signals.HOP))).astype("f4")
    plan = rng.random((hops, streams)) < 0.7  # streams come and go
    with voxhop.SessionGroup(model, streams, threads=2) as group:
        sessions = [voxhop.Session(model) for _ in range(streams)]
        for t in range(hops):
            if t == 10:
                group.reset(3)
                sessions[3].reset()
            out = np.full((streams, signals.HOP), 7.0, "f4")
            assert group.process(mic[t], ref[t], active=plan[t], out=out) is out
            for i, session in enumerate(sessions):
                if plan[t, i]:
                    assert np.array_equal(out[i], session.process_hop(mic[t, i], ref[t, i]))
                else:
                    assert np.all(out[i] == 7.0)
        for session in sessions:
            session.close()
        assert group.info.state_bytes == voxhop.Session(model).info.state_bytes


def test_group_refuses_what_does_not_fit(model):
    with pytest.raises(voxhop.ArgumentError, match="streams"):
        voxhop.SessionGroup(model, 0)
    with voxhop.SessionGroup(model, 2) as group:
        good = np.zeros((2, signals.HOP), "f4")
        with pytest.raises(voxhop.ShapeError, match="mic"):
            group.process(good[:1])
        with pytest.raises(voxhop.ShapeError, match="active"):
            group.process(good, active=np.ones(3, bool))
        with pytest.raises(voxhop.ArgumentError, match="stream"):
            group.reset(2)
    with pytest.raises(voxhop.StateError, match="close"):
        group.process(good)


def test_state_fits_the_budget(model):
    with voxhop.Session(model) as session:
        assert session.info.state_bytes <= 1_300_000
    with voxhop.Session(model, precision="int8") as session:
        assert session.info.state_bytes <= 500_000


def test_silence_after_speech_costs_no_more(model):
    """A state that decays into denormal numbers would take many times longer."""

    def best_ms(session, mic, ref):
        best = float("inf")
        for start in range(0, len(mic), signals.HOP):
            part = slice(start, start + signals.HOP)
            begin = time.thread_time_ns()
            session.process_hop(mic[part], ref[part])
            best = min(best, (time.thread_time_ns() - begin) / 1e6)
        return best

    speech = [x.astype("f4") for x in signals.echo_pair(625 * signals.HOP, 8)]
    silence = np.zeros(3750 * signals.HOP, "f4")
    with voxhop.Session(model) as session:
        loud = best_ms(session, *speech)
        run(session, silence[: -300 * signals.HOP], silence[: -300 * signals.HOP])
        quiet = best_ms(session, silence[: 300 * signals.HOP], silence[: 300 * signals.HOP])
    assert quiet <= tolerances.SILENT_HOP_SHARE * loud
