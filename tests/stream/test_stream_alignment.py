"""Stream against delays, drift, jumps, lost, late, silent and unrelated references."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import rooms

import voxhop
from voxhop.errors import ArgumentError
from voxhop.stream import Stream

RATE = rooms.RATE
RANDOM_MODEL = Path(__file__).parents[1] / "golden" / "localvqe-v1.1-random" / "model-f32.gguf"


@pytest.fixture(scope="module")
def far(call):
    return rooms.speech(call[1], 20, seed=1).astype(np.float32)


def run(stream, mic, ref, each=None, block=1600):
    """Feed both; call each(seconds, metrics) after every block; return aligned output."""
    parts = []
    for at in range(0, len(mic), block):
        part = None if ref is None else ref[at : at + block]
        parts.append(stream.process(mic[at : at + block], part))
        if each is not None:
            each((at + block) / RATE, stream.metrics)
    return np.concatenate(parts)[stream.latency_samples :]


def erle_db(mic, out, start_s, end_s):
    part = slice(round(start_s * RATE), round(end_s * RATE))
    return 10 * np.log10(np.mean(mic[part] ** 2) / np.mean(out[part] ** 2))


def aligned_erle(model, mic, far, delay_s, start_s, end_s):
    """ERLE with the reference moved by hand to where the stream should bring it."""
    shift = round((delay_s - 0.032) * RATE)
    ref = np.concatenate([np.zeros(shift, np.float32), far])[: len(far)]
    with Stream(model, sample_rate=RATE, delay_ms=0.0, auto_bypass=False) as stream:
        return erle_db(mic, run(stream, mic, ref), start_s, end_s)


@pytest.mark.parametrize("delay_s", [0.9, 1.9])
def test_delay_beyond_the_window_is_found_and_taken_up(model, far, delay_s):
    mic = rooms.echo(far, 21, delay_s).astype(np.float32)
    with Stream(model, sample_rate=RATE) as stream:
        out = run(stream, mic, far)
        metrics = stream.metrics
    assert metrics.delay_ms == pytest.approx(1000 * delay_s, abs=1.0)
    assert metrics.pre_delay_ms == pytest.approx(1000 * delay_s - 32, abs=1.0)
    assert metrics.realignments == 1
    assert metrics.delay_confidence > 0.5
    best = aligned_erle(model, mic, far, delay_s, 8, 19)
    assert erle_db(mic, out, 8, 19) > best - 3.0
    assert best > 6.0


def test_delay_inside_the_window_is_left_alone(model, far):
    mic = rooms.echo(far, 22, 0.12)[: 6 * RATE].astype(np.float32)
    with Stream(model, sample_rate=RATE) as stream:
        run(stream, mic, far[: 6 * RATE])
        metrics = stream.metrics
    assert metrics.delay_ms == pytest.approx(120.0, abs=1.0)
    assert metrics.pre_delay_ms == 0.0
    assert metrics.realignments == 0


def test_a_number_is_taken_at_its_word(model, far):
    mic = rooms.echo(far, 22, 0.7)[: 4 * RATE].astype(np.float32)
    with Stream(model, sample_rate=RATE, delay_ms=650.0) as stream:
        run(stream, mic, far[: 4 * RATE])
        metrics = stream.metrics
    assert metrics.pre_delay_ms == 650.0
    assert metrics.delay_ms is None
    assert metrics.model_delay_ms >= 650.0


def test_drift_is_followed_by_the_reference(model, far):
    """100 ppm: the pre-delay moves with the echo, so the echo stays where it was."""
    mic = rooms.echo(far, 23, 0.8, ppm=100.0).astype(np.float32)
    gaps = []
    with Stream(model, sample_rate=RATE) as stream:
        run(stream, mic, far, lambda t, m: gaps.append((t, m.delay_ms, m.pre_delay_ms)))
        metrics = stream.metrics
    assert metrics.drift_ppm == pytest.approx(100.0, abs=5.0)
    early = next(pre for t, _, pre in gaps if t > 6.0)
    late = gaps[-1][2]
    assert late - early > 1.0  # ms: 100 ppm over 14 s is 1.4
    t, delay, pre = gaps[-1]
    assert delay == pytest.approx(800.0 + 0.1 * t, abs=0.3)
    assert delay - pre == pytest.approx(32.0, abs=1.5)


def test_a_jump_is_taken_up_within_two_seconds_of_speech(model, far):
    mic = rooms.echo(far, 24, 0.6, jump=(10.0, 0.5)).astype(np.float32)
    times = []
    with Stream(model, sample_rate=RATE) as stream:
        run(stream, mic, far, lambda t, m: times.append((t, m.delay_ms)))
        assert stream.metrics.pre_delay_ms == pytest.approx(1068.0, abs=1.0)
    found = next(t for t, delay in times if t > 10.0 and abs(delay - 1100.0) < 1.0)
    assert found < 13.0


def test_lost_reference_blocks_do_not_move_the_rest(model, far):
    mic = rooms.echo(far, 25, 0.7).astype(np.float32)
    rng = np.random.default_rng(3)
    lost = 0
    with Stream(model, sample_rate=RATE) as stream:
        for at in range(0, len(mic), 320):
            if rng.random() < 0.05:
                lost += 320
                stream.process(mic[at : at + 320], None)
            else:
                stream.process(mic[at : at + 320], far[at : at + 320])
        metrics = stream.metrics
    assert metrics.ref_missing_frames == lost
    assert metrics.delay_ms == pytest.approx(700.0, abs=1.0)
    assert metrics.realignments == 1


def test_an_unrelated_reference_is_recognised_and_not_used(model, call, far):
    """After a while the output is that of a silent reference."""
    near = rooms.speech(call[0], 20, seed=5)[::-1].astype(np.float32).copy()
    flags = []
    settings = {"sample_rate": RATE, "auto_bypass": False}
    with Stream(model, **settings) as stream:
        run(stream, near, far, lambda t, m: flags.append((t, m.ref_unrelated)))
    assert not any(flag for t, flag in flags if t < 5.0)
    first = next(t for t, flag in flags if flag)
    assert first < 16.0
    with Stream(model, **settings, keep_unrelated=True) as stream:
        run(stream, near, far)
        assert stream.metrics.ref_dbfs > -60.0
    with Stream(model, **settings) as stream:
        run(stream, near, far)
        assert stream.metrics.ref_dbfs < -90.0


def test_a_silent_reference_is_not_called_missing(model, call):
    mic = call[0][: 2 * RATE]
    with Stream(model, sample_rate=RATE) as stream:
        run(stream, mic, np.zeros_like(mic))
        metrics = stream.metrics
    assert not metrics.ref_missing
    assert not metrics.ref_active
    assert not metrics.ref_unrelated
    assert metrics.delay_ms is None
    assert metrics.erle_db is None


def test_missing_reference_policies(model, call, caplog):
    mic, ref = (x[: 2 * RATE] for x in call)
    outs = {}
    settings = {"sample_rate": RATE, "delay_ms": 0.0, "highpass_hz": 0}
    for policy in ("zeros", "hold", "bypass"):
        caplog.clear()
        with (
            caplog.at_level(logging.WARNING, logger="voxhop"),
            Stream(model, missing_ref=policy, gap_guard=False, **settings) as stream,
        ):
            stream.process(mic[:RATE], ref[:RATE])
            parts = [stream.process(mic[at : at + 160]) for at in range(RATE, 2 * RATE, 160)]
            outs[policy] = np.concatenate(parts)
            metrics = stream.metrics
            latency = stream.latency_samples
        assert metrics.ref_missing
        assert metrics.ref_missing_frames == RATE
        assert metrics.bypassed == (policy == "bypass")
        assert len(caplog.records) == 1  # said once, not a hundred times
    with Stream(model, **settings) as stream:
        stream.process(mic[:RATE], ref[:RATE])
        silent = stream.process(mic[RATE:], np.zeros(RATE, np.float32))
    assert np.array_equal(outs["zeros"], silent)
    assert not np.array_equal(outs["hold"], silent)
    # Past the lag and the cross-fade the microphone comes through as it is.
    settled = slice(latency + 1000, None)
    through = mic[RATE + 1000 : 2 * RATE - latency]
    assert np.array_equal(outs["bypass"][settled], through)


def test_pushed_reference_is_the_same_as_one_beside_the_microphone(model, call):
    mic, ref = (x[: 2 * RATE] for x in call)
    with Stream(model, sample_rate=RATE) as beside, Stream(model, sample_rate=RATE) as pushed:
        expected = beside.process(mic, ref)
        parts = []
        for at in range(0, len(mic), 160):
            pushed.push_ref(ref[at : at + 160])
            parts.append(pushed.push_mic(mic[at : at + 160]))
        assert np.array_equal(np.concatenate(parts), expected)
        assert pushed.metrics.ref_missing_frames == 0


def test_positions_turn_lost_blocks_into_silence(model, call):
    mic, ref = (x[: 2 * RATE] for x in call)
    holes = ref.copy()
    holes[8000:8320] = 0
    settings = {"sample_rate": RATE, "missing_ref": "zeros", "gap_guard": False}
    with Stream(model, **settings) as beside, Stream(model, **settings) as pushed:
        expected = beside.process(mic, holes)
        parts = []
        for at in range(0, len(mic), 320):
            if at == 8000:
                pushed.push_mic(mic[at : at + 320][:0])
            else:
                pushed.push_ref(ref[at : at + 320], position=at)
            if at == 16000:  # pushed twice: the overlap is dropped
                pushed.push_ref(ref[at : at + 320], position=at)
            if at != 8000:  # the microphone waits until the gap is known
                lag = 320 if at == 8320 else 0
                parts.append(pushed.push_mic(mic[at - lag : at + 320]))
        assert np.array_equal(np.concatenate(parts), expected)
        assert pushed.metrics.ref_missing_frames == 320
    with Stream(model) as stream, pytest.raises(ArgumentError, match="position"):
        stream.push_ref(ref, position=-5)


def test_a_reference_that_stops_is_missing_after_a_moment(model, call):
    mic, ref = (x[: 2 * RATE] for x in call)
    with Stream(model, sample_rate=RATE) as stream:
        stream.push_ref(ref[:RATE])
        stream.push_mic(mic[:RATE])
        assert not stream.metrics.ref_missing
        stream.push_mic(mic[RATE : RATE + 1600])
        late = stream.metrics
        assert not late.ref_missing  # 100 ms late is only late
        assert late.ref_late_frames >= 1024
        stream.push_mic(mic[RATE + 1600 : RATE + 4800])
        assert stream.metrics.ref_missing
        stream.push_ref(ref[RATE + 4800 :])
        stream.push_mic(mic[RATE + 4800 : RATE + 6400])
        back = stream.metrics
    assert not back.ref_missing
    assert back.ref_missing_frames == 4800
    assert back.ref_buffered_frames == 0


def test_a_full_ring_drops_and_counts(model):
    with Stream(model, sample_rate=RATE) as stream:
        stream.push_ref(np.zeros(5 * RATE, np.int16))
        assert stream.metrics.ref_dropped_frames == RATE
        assert stream.metrics.ref_buffered_frames == 4 * RATE


def test_two_threads_with_their_own_clocks(model, far):
    """The reference comes in blocks of another size from another thread; nothing is lost."""
    mic = rooms.echo(far, 26, 0.3)[: 6 * RATE].astype(np.float32)
    ref = far[: 6 * RATE]
    ahead, ready = threading.Semaphore(8), threading.Semaphore(0)
    done = threading.Event()

    def play(stream):
        for at in range(441, len(ref), 441):
            ahead.acquire()
            stream.push_ref(ref[at : at + 441], position=at)
            ready.release()
        done.set()

    with Stream(model, sample_rate=RATE) as stream:
        stream.push_ref(ref[:441], position=0)  # where the two time lines meet
        player = threading.Thread(target=play, args=(stream,))
        player.start()
        parts = []
        for at in range(0, len(mic), 160):
            parts.append(stream.push_mic(mic[at : at + 160]))
            if at // 441 != (at - 160) // 441:
                ahead.release()
                if at // 441 > 1:  # a sound card would not run ahead of the player for long
                    assert ready.acquire(timeout=30)
        player.join(timeout=30)
        metrics = stream.metrics
    assert done.is_set()
    assert len(np.concatenate(parts)) == len(mic)
    assert metrics.ref_dropped_frames == 0
    assert metrics.delay_ms == pytest.approx(300.0, abs=1.0)


def test_lookahead_takes_a_reference_that_comes_late(model, far):
    mic = rooms.echo(far, 27, 0.0)[: 6 * RATE].astype(np.float32)
    late = np.concatenate([np.zeros(1600, np.float32), far])[: 6 * RATE]
    with Stream(model, sample_rate=RATE, lookahead_ms=150.0) as stream:
        assert stream.latency_samples == 511 + 2400
        run(stream, mic, late)
        assert stream.metrics.delay_ms == pytest.approx(-100.0, abs=1.0)


def test_a_model_that_makes_it_louder_is_bypassed(far):
    """Random weights make it louder: seen within seconds, and the microphone comes through."""
    mic = rooms.echo(far, 28, 0.1)[: 8 * RATE].astype(np.float32)
    outs, flags = {}, {}
    with voxhop.load(RANDOM_MODEL) as useless:
        for auto in (True, False):
            settings = {"sample_rate": RATE, "auto_bypass": auto, "highpass_hz": 0}
            with Stream(useless, **settings) as stream:
                outs[auto] = run(stream, mic, far[: 8 * RATE])
                flags[auto] = stream.metrics
    assert flags[True].not_helping
    assert flags[True].bypassed
    assert flags[False].not_helping
    assert not flags[False].bypassed
    late = slice(6 * RATE, None)
    assert np.array_equal(outs[True][late], mic[: len(outs[True])][late])
    assert np.abs(outs[False][late] - mic[: len(outs[False])][late]).max() > 0.01
    # The way over is a cross-fade: no step is larger than the two signals' own.
    largest = max(np.abs(np.diff(x)).max() for x in (mic, outs[False]))
    assert np.abs(np.diff(outs[True])).max() < 1.2 * largest


def test_a_model_that_helps_is_not_bypassed(model, far):
    mic = rooms.echo(far, 28, 0.1)[: 8 * RATE].astype(np.float32)
    with Stream(model, sample_rate=RATE) as stream:
        run(stream, mic, far[: 8 * RATE])
        assert not stream.metrics.not_helping
        assert stream.metrics.erle_db > 3.0
