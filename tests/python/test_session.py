"""One stream: formats, state, life and threads, through the public interface."""

import gc
import os
import sys
import threading
import time

import numpy as np
import pytest

import voxhop
from hops import hop_by_hop

HOP = 256


def test_shape_of_the_stream(session, model):
    assert (session.hop_length, session.sample_rate, session.latency_samples) == (256, 16000, 256)
    assert session.model is model
    info = session.info
    assert info.threads == 1
    assert info.node_count > 0
    assert info.state_bytes == pytest.approx(len(session.state()), rel=0.01)


def test_no_reference_is_a_silent_reference(model, call):
    mic = call[0][: 20 * HOP]
    with model.session() as one, model.session() as two:
        assert np.array_equal(hop_by_hop(one, mic, None), hop_by_hop(two, mic, np.zeros_like(mic)))


def test_reference_matters(model, call):
    mic, ref = (track[: 20 * HOP] for track in call)
    with model.session() as one, model.session() as two:
        difference = hop_by_hop(one, mic, ref) - hop_by_hop(two, mic, None)
    assert np.abs(difference).max() > 1e-3


def test_int16_is_the_rounded_float_stream(model, call):
    mic, ref = (np.rint(track[: 20 * HOP] * 32767).astype(np.int16) for track in call)
    with model.session() as shorts, model.session() as floats:
        out = hop_by_hop(shorts, mic, ref)
        exact = hop_by_hop(floats, mic / np.float32(32768), ref / np.float32(32768))
    assert out.dtype == np.int16
    assert np.abs(out - exact * 32768.0).max() <= 0.5


@pytest.mark.parametrize("place", ["mic", "ref"])
def test_output_may_be_an_input(model, call, place):
    mic, ref = call
    with model.session() as one, model.session() as two:
        for start in range(0, 10 * HOP, HOP):
            arrays = {
                "mic": mic[start : start + HOP].copy(),
                "ref": ref[start : start + HOP].copy(),
            }
            expected = one.process_hop(arrays["mic"], arrays["ref"])
            two.process_hop_into(arrays["mic"], arrays["ref"], arrays[place])
            assert np.array_equal(arrays[place], expected)


def test_reset_is_a_new_session(model, call):
    mic, ref = (track[: 20 * HOP] for track in call)
    with model.session() as session:
        first = hop_by_hop(session, mic, ref)
        session.reset()
        assert session.metrics.hops == 0
        assert np.array_equal(hop_by_hop(session, mic, ref), first)


def test_state_and_fork_continue_bit_for_bit(model, call):
    mic, ref = call
    half, end = 20 * HOP, 40 * HOP
    with model.session() as session:
        hop_by_hop(session, mic[:half], ref[:half])
        blob = session.state()
        with session.fork() as twin, model.session() as loaded:
            loaded.load_state(blob)
            expected = hop_by_hop(session, mic[half:end], ref[half:end])
            assert np.array_equal(hop_by_hop(twin, mic[half:end], ref[half:end]), expected)
            assert np.array_equal(hop_by_hop(loaded, mic[half:end], ref[half:end]), expected)
            assert session.state() == twin.state() == loaded.state() != blob


@pytest.mark.parametrize("change", ["short", "long", "empty", "noise"])
def test_foreign_state_is_refused_and_changes_nothing(session, call, change):
    hop_by_hop(session, call[0][: 3 * HOP], call[1][: 3 * HOP])
    blob = session.state()
    bad = {
        "short": blob[:-1],
        "long": blob + b"\0",
        "empty": b"",
        "noise": np.random.default_rng(1).bytes(len(blob)),
    }[change]
    with pytest.raises(voxhop.StateError if change == "noise" else voxhop.ShapeError):
        session.load_state(bad)
    assert session.state() == blob


def test_state_of_another_type_is_refused(session):
    with pytest.raises(TypeError, match="state: str, expected bytes"):
        session.load_state("state")


def test_interleaved_sessions_do_not_touch(model, call):
    mic, ref = call
    other = mic[::-1].copy()
    with model.session() as one, model.session() as two, model.session() as alone:
        expected = hop_by_hop(alone, mic[: 10 * HOP], ref[: 10 * HOP])
        for start in range(0, 10 * HOP, HOP):
            part = slice(start, start + HOP)
            assert np.array_equal(one.process_hop(mic[part], ref[part]), expected[part])
            two.process_hop(other[part], mic[part])


def test_metrics_count_and_time(session, call):
    assert session.metrics == voxhop.SessionMetrics(0, None, None, None, None)
    hop_by_hop(session, call[0][: 5 * HOP], call[1][: 5 * HOP])
    metrics = session.metrics
    assert metrics.hops == 5
    assert 0 < metrics.last_hop_ms <= metrics.worst_hop_ms
    assert metrics.delay_ms in [16.0 * i for i in range(session.model.info.d_max)]
    assert 0 < metrics.delay_confidence <= 1.0 + 1e-6


def test_delay_of_the_demo_call_is_found(session, call):
    # The scene has 72 ms of playback delay and under 2 ms of air: bins 4 and 5 of 16 ms.
    mic, ref = call
    seen = []
    for start in range(0, len(mic) - HOP, HOP):
        session.process_hop(mic[start : start + HOP], ref[start : start + HOP])
        seen.append(session.metrics.delay_ms)
    assert np.median(seen[10:]) in {64.0, 80.0}


def test_taps_read_and_unknown_tap_is_named(session, call):
    session.process_hop(call[0][:HOP], call[1][:HOP])
    weights = session.tap("align.weights")
    assert weights.shape == (session.taps()["align.weights"],)
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(voxhop.ArgumentError, match=r"tap 'nope': unknown.*align\.weights"):
        session.tap("nope")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"kernels": "magic"}, voxhop.VoxhopError, "magic"),
        ({"isa": "z80"}, voxhop.VoxhopError, "z80"),
        ({"precision": "f8"}, voxhop.VoxhopError, "f8"),
        ({"kernels": 3}, voxhop.DtypeError, "kernels: 3"),
        ({"threads": 0}, voxhop.ArgumentError, "threads: 0"),
        ({"threads": -1}, voxhop.ArgumentError, "threads: -1"),
        ({"threads": 1.5}, voxhop.ArgumentError, r"threads: 1\.5"),
    ],
)
def test_unknown_option_is_named(model, options, error, words):
    with pytest.raises(error, match=words):
        model.session(**options)


USES = {
    "process_hop": lambda s: s.process_hop(np.zeros(HOP, np.float32)),
    "prepare": lambda s: s.prepare(),
    "reset": lambda s: s.reset(),
    "state": lambda s: s.state(),
    "load_state": lambda s: s.load_state(b"123"),
    "fork": lambda s: s.fork(),
    "tap": lambda s: s.tap("align.weights"),
    "info": lambda s: s.info,
}


@pytest.mark.parametrize("use", USES)
def test_use_after_close_raises(model, use):
    session = model.session()
    session.close()
    session.close()
    assert session.closed
    with pytest.raises(voxhop.StateError, match=r"session: used after close\(\)"):
        USES[use](session)


def test_session_outlives_its_closed_and_collected_model(call):
    mic, ref = (track[: 5 * HOP] for track in call)
    with voxhop.load() as model, model.session() as session:
        expected = hop_by_hop(session, mic, ref)
        session.reset()
        model.close()
        del model
        gc.collect()
        assert np.array_equal(hop_by_hop(session, mic, ref), expected)
        with pytest.raises(voxhop.StateError, match="used after close"):
            session.fork()


def test_no_python_object_is_left_per_hop(session, call):
    mic, ref = (track[:HOP].copy() for track in call)
    out = np.empty(HOP, np.float32)
    for _ in range(5):
        session.process_hop_into(mic, ref, out)
    before = sys.getallocatedblocks()
    for _ in range(100):
        session.process_hop_into(mic, ref, out)
    assert sys.getallocatedblocks() - before < 10


@pytest.fixture
def reluctant_interpreter():
    """No thread is made to give up the GIL: others run only while it is released."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    yield
    sys.setswitchinterval(interval)


def test_two_threads_use_more_than_one_core(model, call):
    cores = os.cpu_count() or 1
    if cores < 2 or os.getloadavg()[0] > cores:
        pytest.skip(f"{cores} cores with a load of {os.getloadavg()[0]:.1f} cannot show it")
    mic, ref = (track[:HOP].copy() for track in call)

    def work():
        out = np.empty(HOP, np.float32)
        with model.session() as session:
            for _ in range(300):
                session.process_hop_into(mic, ref, out)

    used = []
    for _ in range(5):
        threads = [threading.Thread(target=work) for _ in range(2)]
        wall, cpu = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used.append((time.process_time() - cpu) / (time.perf_counter() - wall))
    assert max(used) > 1.3


@pytest.mark.usefixtures("reluctant_interpreter")
def test_hops_of_two_threads_overlap(model, call):
    mic, ref = call
    until = time.monotonic() + 60  # of a machine that has one core for both
    overlaps = 0

    def work(barrier, spans):
        out = np.empty(HOP, np.float32)
        with model.session() as session:
            barrier.wait()
            for start in range(0, 20 * HOP, HOP):
                begin = time.perf_counter()
                session.process_hop_into(mic[start : start + HOP], ref[start : start + HOP], out)
                spans.append((begin, time.perf_counter()))

    while overlaps < 10 and time.monotonic() < until:
        barrier, spans = threading.Barrier(2), ([], [])
        threads = [threading.Thread(target=work, args=(barrier, mine)) for mine in spans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        overlaps += sum(max(a, c) < min(b, d) for a, b in spans[0] for c, d in spans[1])
    assert overlaps >= 10


@pytest.mark.usefixtures("reluctant_interpreter")
def test_one_session_in_two_threads_raises_instead_of_breaking(model, call):
    mic, ref = (track[:HOP].copy() for track in call)
    barrier = threading.Barrier(2)
    until = time.monotonic() + 60  # of a machine that lets one thread wait for the other's end
    refusals, hops = [], []

    with model.session() as session:

        def work():
            out = np.empty(HOP, np.float32)
            barrier.wait()
            done = 0
            while done < 30 or not (refusals or time.monotonic() > until):
                done += 1
                try:
                    session.process_hop_into(mic, ref, out)
                except voxhop.StateError as error:
                    refusals.append(str(error))
                    time.sleep(0)
            hops.append(done)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refusals
        assert set(refusals) == {"session: used by two threads at once; open one per stream"}
        assert session.metrics.hops == sum(hops) - len(refusals)
