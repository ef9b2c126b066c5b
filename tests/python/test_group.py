"""Groups of streams: each is a session of its own, whatever is done to the others."""

import time

import numpy as np
import pytest

import signals
import tolerances
import voxhop
from gguf_bytes import tiny_localvqe
from hops import hop_by_hop
from streams import GOLDEN

HOP, HOPS, STREAMS = signals.HOP, 12, 4
WAYS = {
    "fused": {},
    "direct": {"kernels": "direct"},
    "int8": {"precision": "int8"},
    "stock": {"kernels": "stock"},
}
AHEAD = [way for way in WAYS if way != "stock"]


@pytest.fixture(scope="module")
def model():
    with voxhop.load(GOLDEN / "model-f32.gguf") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def tracks():
    """Microphones and references, (2, HOPS, STREAMS, HOP)."""
    pairs = [signals.echo_pair(HOPS * HOP, seed) for seed in range(STREAMS)]
    return np.array(pairs).reshape(STREAMS, 2, HOPS, HOP).transpose(1, 2, 0, 3).astype("f4").copy()


def tail(session, tracks, stream, start):
    mic, ref = tracks[:, start:, stream].reshape(2, -1)
    return hop_by_hop(session, mic, ref).reshape(-1, HOP)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", AHEAD)
def test_history_first_gives_the_bits_of_a_session_whoever_was_prepared(
    model, tracks, way, threads
):
    rng = np.random.default_rng(3)
    options = {**WAYS[way], "history_first": True}
    sessions = [voxhop.Session(model, **options) for _ in range(STREAMS)]
    with voxhop.SessionGroup(model, STREAMS, threads=threads, **options) as group:
        for mic, ref in zip(*tracks, strict=True):
            active, ready = rng.random((2, STREAMS)) < 0.7
            group.prepare(active=ready)
            group.prepare(active=active & ready)  # twice is once
            out = group.process(mic, ref, active=active)
            for i in np.flatnonzero(active):
                assert np.array_equal(out[i], sessions[i].process_hop(mic[i], ref[i]))
        group.prepare()
        out = group.process(*tracks[:, 0])
    for i, session in enumerate(sessions):
        assert np.array_equal(out[i], session.process_hop(*tracks[:, 0, i]))
        session.close()


def test_prepare_takes_its_share_off_the_next_call(model, tracks):
    def cheapest_ms(group, ahead):
        best = float("inf")
        for mic, ref in zip(*tracks, strict=True):
            if ahead:
                group.prepare()
            start = time.thread_time_ns()
            group.process(mic, ref)
            best = min(best, time.thread_time_ns() - start)
        return best / 1e6

    with voxhop.SessionGroup(model, STREAMS, history_first=True) as group:
        whole = min(cheapest_ms(group, ahead=False) for _ in range(3))
        rest = min(cheapest_ms(group, ahead=True) for _ in range(3))
    assert rest < tolerances.PREPARED_SHARE * whole


def test_what_prepare_keeps_is_counted_but_not_saved(model, tracks):
    with (
        voxhop.SessionGroup(model, 1, history_first=True) as ahead,
        voxhop.SessionGroup(model, 1) as plain,
        voxhop.Session(model) as session,
    ):
        assert ahead.info.state_bytes > 1.1 * plain.info.state_bytes
        assert ahead.info.node_count > plain.info.node_count
        assert len(ahead.state(0)) == len(plain.state(0)) == len(session.state())
        assert plain.info.state_bytes == pytest.approx(len(plain.state(0)), rel=0.001)
        plain.prepare()  # nothing to do
        out = plain.process(*tracks[:, 0, :1].copy())
        assert np.array_equal(out[0], session.process_hop(*tracks[:, 0, 0]))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_state_goes_from_session_to_group_and_back(model, tracks, way, threads):
    half = HOPS // 2
    mic, ref = tracks
    options = WAYS[way]
    with (
        voxhop.Session(model, **options) as session,
        voxhop.SessionGroup(model, STREAMS, threads=threads, **options) as group,
    ):
        for t in range(half):
            group.process(mic[t], ref[t])
            session.process_hop(mic[t, 3], ref[t, 3])
        blobs = [group.state(i) for i in range(STREAMS)]
        assert blobs[3] == session.state()
        assert len(set(blobs)) == STREAMS
        group.load_state(1, session.state())
        for t in range(half, HOPS):
            out = group.process(mic[t][[0, 3, 2, 3]], ref[t][[0, 3, 2, 3]])
            assert np.array_equal(out[1], out[3])
            assert np.array_equal(out[3], session.process_hop(mic[t, 3], ref[t, 3]))
        expected = group.state(2)
        session.load_state(blobs[2])
        tail(session, tracks, 2, half)
        assert session.state() == expected


@pytest.mark.parametrize("way", AHEAD)
@pytest.mark.parametrize("history_first", [False, True])
def test_loading_forking_and_reset_undo_what_was_prepared(model, tracks, way, history_first):
    """Sums of the old past would otherwise be added to the first hop of the new one."""
    mic, ref = tracks
    options = {**WAYS[way], "history_first": history_first}
    with (
        voxhop.Session(model, **options) as session,
        voxhop.SessionGroup(model, STREAMS, **options) as group,
    ):
        for t in range(4):
            group.process(mic[t], ref[t])
            session.process_hop(mic[t, 0], ref[t, 0])
        group.prepare()
        group.load_state(1, session.state())
        group.fork(0, 2)
        group.fork(0, 0)  # not a change
        group.reset(3)
        rows = mic[4][[0, 0, 0, 0]], ref[4][[0, 0, 0, 0]]
        out = group.process(*rows)
        expected = session.process_hop(mic[4, 0], ref[4, 0])
        for i in range(3):
            assert np.array_equal(out[i], expected)
        session.reset()
        assert np.array_equal(out[3], session.process_hop(mic[4, 0], ref[4, 0]))
        group.reset()
        session.reset()
        out = group.process(*rows)
        assert np.array_equal(out[2], session.process_hop(mic[4, 0], ref[4, 0]))


def test_threads_and_history_first_do_not_matter_to_a_blob(model, tracks):
    with (
        voxhop.SessionGroup(model, 2, history_first=True, threads=2) as ahead,
        voxhop.Session(model) as session,
    ):
        ahead.process(*tracks[:, 0, :2].copy())
        session.load_state(ahead.state(1))
        assert session.state() == ahead.state(1)
        ahead.load_state(0, session.state())
        assert ahead.state(0) == ahead.state(1)


@pytest.mark.parametrize("change", ["short", "noise", "bit", "kernels", "precision", "model"])
def test_a_foreign_blob_is_refused_and_changes_nothing(model, tracks, change):
    with voxhop.SessionGroup(model, 2) as group:
        group.process(*tracks[:, 0, :2].copy())
        before = [group.state(i) for i in range(2)]
        blob = before[0]
        if change == "short":
            bad = blob[:-1]
        elif change == "noise":
            bad = np.random.default_rng(1).bytes(len(blob))
        elif change == "bit":
            bad = blob[:-9] + bytes([blob[-9] ^ 1]) + blob[-8:]
        elif change == "model":
            other = voxhop.load(tiny_localvqe(2, d_max=6, seed=4).encode())
            with voxhop.SessionGroup(other, 1) as foreign:
                bad = foreign.state(0)
        else:
            options = {"kernels": "direct"} if change == "kernels" else {"precision": "f16"}
            with voxhop.Session(model, **options) as foreign:
                bad = foreign.state()
        size_differs = len(bad) != len(blob)
        with pytest.raises(voxhop.ShapeError if size_differs else voxhop.StateError):
            group.load_state(1, bad)
        assert [group.state(i) for i in range(2)] == before


@pytest.mark.parametrize("stream", [-1, 2, 2**40])
def test_streams_that_do_not_exist_are_named(model, stream):
    with voxhop.SessionGroup(model, 2) as group:
        uses = {
            "stream": [group.state, group.reset, lambda i: group.load_state(i, group.state(0))],
            "into": [lambda i: group.fork(0, i)],
        }
        uses["stream"].append(lambda i: group.fork(i, 0))
        for name, calls in uses.items():
            for call in calls:
                with pytest.raises(voxhop.ArgumentError, match=rf"{name}: {stream}, expected 0"):
                    call(stream)


def test_misuse_is_named(model):
    with voxhop.SessionGroup(model, 2) as group:
        with pytest.raises(voxhop.DtypeError, match=r"stream: 1\.0, expected a whole number"):
            group.state(1.0)
        with pytest.raises(voxhop.DtypeError, match="state: str, expected bytes"):
            group.load_state(0, "state")
        with pytest.raises(voxhop.DtypeError, match="active: list"):
            group.prepare(active=[True, False])
        with pytest.raises(voxhop.ShapeError, match=r"active: shape \(3,\)"):
            group.prepare(active=np.ones(3, bool))
    with pytest.raises(voxhop.EngineError, match="history_first"):
        voxhop.SessionGroup(model, 2, kernels="stock", history_first=True)
