"""`voxhop.LevelFollower`: what a model hears, and that it is undone behind the model."""

import numpy as np
import pytest

import voxhop
from voxhop.errors import ArgumentError, DtypeError, ShapeError, StateError

HOP, RATE = 256, 16000
NOMINAL = 10 ** (-6 / 20)


def followed(signal, latency=0):
    """Return what the model hears, and what comes out behind a model that only delays."""
    level = voxhop.LevelFollower(HOP, RATE, latency)
    heard, out, delayed = [], [], np.zeros(latency, np.float32)
    for hop in signal.reshape(-1, HOP):
        heard.append(level.lift(hop))
        delayed = np.concatenate((delayed, heard[-1]))
        out.append(level.lower(np.ascontiguousarray(delayed[:HOP])))
        delayed = delayed[HOP:]
    return np.concatenate(heard), np.concatenate(out)


def bursts(peak, seconds=6):
    """Return words: 0.3 s of noise-filled tone and 0.2 s of a pause 40 dB below it."""
    rng = np.random.default_rng(5)
    n = seconds * RATE // HOP * HOP
    t = np.arange(n)
    loud = (t % (RATE // 2)) < 0.3 * RATE
    tone = np.sin(2 * np.pi * 220 / RATE * t) * np.where(loud, 0.9, 0.0)
    signal = tone + rng.uniform(-0.01, 0.01, n)
    return (peak * signal / np.abs(signal).max()).astype(np.float32)


@pytest.mark.parametrize("latency", [0, 100, 256, 700])
def test_it_is_undone_behind_any_latency(latency):
    signal = bursts(0.02)
    _, out = followed(signal, latency)
    assert np.array_equal(out[:latency], np.zeros(latency))
    assert np.abs(out[latency:] - signal[: len(out) - latency]).max() < 1e-8


@pytest.mark.parametrize("dbfs", [-40, -20, -6, 0, 6])
def test_speech_is_heard_at_the_nominal_peak(dbfs):
    heard, _ = followed(bursts(10 ** (dbfs / 20)))
    seconds = np.abs(heard[RATE : 5 * RATE]).reshape(4, -1).max(axis=1)
    assert np.all(np.abs(20 * np.log10(seconds / NOMINAL)) < 3.0)


def test_a_quieter_stream_gets_the_same_hops():
    heard, out = followed(bursts(0.4))
    quiet_heard, quiet_out = followed(bursts(0.4) * np.float32(2**-2))
    assert np.array_equal(heard, quiet_heard)
    assert np.array_equal(out * np.float32(2**-2), quiet_out)


def test_pauses_and_silence_do_not_raise_the_gain_much():
    level = voxhop.LevelFollower(HOP, RATE, 0)
    for hop in bursts(0.1, 2).reshape(-1, HOP):
        level.lower(level.lift(hop))

    def rise_db(peak, seconds):
        before = level.gain_db
        for _ in range(seconds * RATE // HOP):
            level.lower(level.lift(np.full(HOP, peak, np.float32)))
        return level.gain_db - before

    assert 4.5 < rise_db(2e-3, 10) < 5.5  # 34 dB below: the noise of a room
    assert rise_db(5e-4, 20) == 0  # below -60 dBFS


def test_gain_has_an_end():
    heard, _ = followed(bursts(0.002))  # -54 dBFS
    assert 20 * np.log10(np.abs(heard).max() / 0.002) == pytest.approx(40, abs=0.01)


def test_state_goes_on_and_is_checked():
    hops = bursts(0.05).reshape(-1, HOP)
    whole = voxhop.LevelFollower(HOP, RATE, 300)
    other = voxhop.LevelFollower(HOP, RATE, 300)
    for hop in hops[:40]:
        whole.lower(whole.lift(hop))
    other.load_state(whole.state())
    for hop in hops[40:60]:
        assert np.array_equal(whole.lower(whole.lift(hop)), other.lower(other.lift(hop)))
    saved = other.state()
    for bad in (saved[:10], saved[:-4], b""):
        with pytest.raises(StateError, match="level: a state of"):
            other.load_state(bad)
    with pytest.raises(StateError, match="level: a state of"):
        voxhop.LevelFollower(HOP, RATE, 256).load_state(saved)
    assert other.state() == saved
    other.reset()
    assert other.state() == voxhop.LevelFollower(HOP, RATE, 300).state()


def test_what_does_not_fit_is_refused():
    level = voxhop.LevelFollower(HOP, RATE, 0)
    with pytest.raises(StateError, match="without a lift"):
        level.lower(np.zeros(HOP, np.float32))
    level.lift(np.zeros(HOP, np.float32))
    with pytest.raises(StateError, match="twice"):
        level.lift(np.zeros(HOP, np.float32))
    level.reset()
    with pytest.raises(ShapeError, match="hop"):
        level.lift(np.zeros(HOP - 1, np.float32))
    with pytest.raises(DtypeError, match="hop"):
        level.lift(np.zeros(HOP, np.int16))
    with pytest.raises(ArgumentError, match="hop_length 0"):
        voxhop.LevelFollower(0, RATE, 0)
