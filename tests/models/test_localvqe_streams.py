"""Streams of one model: same bits whatever is done around them."""

import threading

import numpy as np
import pytest

import signals
import voxhop
from gguf_bytes import tiny_localvqe
from streams import GOLDEN, run

HOPS = 24


@pytest.fixture(scope="module", params=["v1", "v2", "v3", "golden"])
def model(request):
    if request.param == "golden":
        return voxhop.load(GOLDEN / "model-f32.gguf")
    return voxhop.load(tiny_localvqe(int(request.param[1]), d_max=6, seed=4).encode())


@pytest.fixture(scope="module")
def pair(model):
    samples = HOPS * model.info.hop_samples
    return tuple(x.astype("f4") for x in signals.echo_pair(samples, 3, delay=400))


@pytest.fixture(scope="module")
def expected(model, pair):
    with voxhop.Session(model) as session:
        out = run(session, *pair)
    assert np.abs(out).max() > 1e-3  # silence would pass every test below
    return out


def halves(model, pair, hops):
    at = hops * model.info.hop_samples
    return [x[:at] for x in pair], [x[at:] for x in pair]


def test_reset_is_a_new_session(model, pair, expected):
    with voxhop.Session(model) as session:
        run(session, *(x[::-1].copy() for x in pair))
        session.reset()
        assert np.array_equal(run(session, *pair), expected)


@pytest.mark.parametrize("stop", [1, 5, HOPS - 1])
def test_save_load_and_fork_continue_as_if_nothing_happened(model, pair, expected, stop):
    first, second = halves(model, pair, stop)
    rest = expected[stop * model.info.hop_samples :]
    with voxhop.Session(model) as session:
        run(session, *first)
        blob = session.state()
        twin = session.fork()
        assert np.array_equal(run(session, *second), rest)
        assert np.array_equal(run(twin, *second), rest)
        session.load_state(blob)  # back in time, over a used state
        assert np.array_equal(run(session, *second), rest)
    with voxhop.Session(model) as fresh:
        fresh.load_state(blob)
        assert np.array_equal(run(fresh, *second), rest)


def test_interleaved_sessions_do_not_touch(model, pair, expected):
    hop = model.info.hop_samples
    other = [x[::-1].copy() for x in pair]
    with voxhop.Session(model) as session:
        other_expected = run(session, *other)
    with voxhop.Session(model) as a, voxhop.Session(model) as b:
        out_a, out_b = [], []
        for start in range(0, len(pair[0]), hop):
            part = slice(start, start + hop)
            out_a.append(a.process_hop(*(x[part] for x in pair)))
            out_b.append(b.process_hop(*(x[part] for x in other)))
    assert np.array_equal(np.concatenate(out_a), expected)
    assert np.array_equal(np.concatenate(out_b), other_expected)


@pytest.mark.parametrize("port", [0, 1])
def test_the_future_changes_nothing_before_it(model, pair, expected, port):
    at = 9 * model.info.hop_samples
    changed = [x.copy() for x in pair]
    changed[port][at:] += signals.noise(len(changed[port]) - at, 12).astype("f4")
    with voxhop.Session(model) as session:
        out = run(session, *changed)
    assert np.array_equal(out[:at], expected[:at])
    assert not np.array_equal(out[at:], expected[at:])


def test_no_reference_is_a_silent_reference(model, pair):
    with voxhop.Session(model) as session:
        without = run(session, pair[0])
        session.reset()
        assert np.array_equal(run(session, pair[0], np.zeros_like(pair[1])), without)
        session.reset()
        assert not np.array_equal(run(session, *pair), without)


def test_output_may_be_an_input(model, pair, expected):
    hop = model.info.hop_samples
    for port in (0, 1):
        with voxhop.Session(model) as session:
            for start in range(0, 6 * hop, hop):
                ports = [x[start : start + hop].copy() for x in pair]
                session.process_hop_into(*ports, ports[port])
                assert np.array_equal(ports[port], expected[start : start + hop])


def test_threads_of_one_model_give_the_same_bits(model, pair, expected):
    """Sessions opened, run and closed by several threads at once on one model."""
    outputs = [None] * 4

    def work(i):
        with voxhop.Session(model) as session:
            outputs[i] = run(session, *pair)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(outputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for out in outputs:
        assert np.array_equal(out, expected)


def test_ggml_threads_give_the_same_bits(model, pair):
    with voxhop.Session(model, kernels="stock") as one:
        single = run(one, *pair)
    with voxhop.Session(model, kernels="stock", threads=2) as two:
        assert two.info.threads == 2
        assert np.array_equal(
            run(two, *(x[: 4 * model.info.hop_samples] for x in pair)),
            single[: 4 * model.info.hop_samples],
        )


def test_silence_and_extremes_stay_finite(model):
    hop = model.info.hop_samples
    signals_in = {
        "silence": np.zeros(20 * hop),
        "square": np.sign(np.sin(np.arange(20 * hop) / 9.0)),
        "denormal": np.full(20 * hop, 1e-40),
        "impulse": np.eye(1, 20 * hop, 5).ravel(),
    }
    with voxhop.Session(model) as session:
        for name, x in signals_in.items():
            assert np.isfinite(run(session, x.astype("f4"), x.astype("f4")[::-1].copy())).all(), (
                name
            )
