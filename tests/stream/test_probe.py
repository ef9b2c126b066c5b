"""probe_delay: delays, drift, jumps, lost blocks, nothing to find."""

import numpy as np
import pytest
import rooms

from voxhop import probe_delay
from voxhop.errors import ArgumentError, DtypeError, EngineError, ShapeError

RATE = rooms.RATE


@pytest.fixture(scope="module")
def far(call):
    return rooms.speech(call[1], 26, seed=1)


@pytest.mark.parametrize("delay_s", [0.0, 0.0123, 0.2, 0.511, 1.0, 1.5, 1.98])
def test_bulk_delay_within_a_millisecond(far, delay_s):
    mic = rooms.echo(far, 7, delay_s)[: 10 * RATE]
    found = probe_delay(mic, far[: 10 * RATE], RATE)
    assert found.found
    assert found.delay_ms == pytest.approx(1000 * round(delay_s * RATE) / RATE, abs=0.1)
    assert found.confidence > 0.5
    assert found.in_window == (delay_s <= 0.512)
    assert found.jumps == 0


@pytest.mark.parametrize("ppm", [-100.0, -20.0, 40.0, 100.0])
def test_drift_within_5_ppm_after_20_seconds(far, ppm):
    mic = rooms.echo(far, 8, 0.3, ppm=ppm)[: 22 * RATE]
    found = probe_delay(mic, far[: 22 * RATE], RATE)
    assert found.drift_ppm == pytest.approx(ppm, abs=5.0)
    # The clock of the far side is slow: its echo comes later and later.
    assert found.delay_ms == pytest.approx(300.0 + ppm * 22e-3, abs=0.2)
    assert found.start_delay_ms == pytest.approx(300.0, abs=0.2)


def time_after_speech(far, start_s, seconds):
    """Return the time by which `far` has sounded for `seconds` since `start_s`."""
    power = np.mean(far[: len(far) // 512 * 512].reshape(-1, 512) ** 2, axis=1)
    sounds = power > 0.03 * np.mean(power)
    sounds[: round(start_s * RATE / 512)] = False
    return float(np.flatnonzero(np.cumsum(sounds) * 512 / RATE >= seconds)[0] + 1) * 512 / RATE


@pytest.mark.parametrize("seed", [9, 10, 11])
def test_a_jump_is_followed_within_two_seconds_of_speech(far, seed):
    mic = rooms.echo(far, seed, 0.15, jump=(10.0, 0.2))
    track = probe_delay(mic, far, RATE).track
    before = (track.time_s > 5.0) & (track.time_s < 10.0)
    after = track.time_s > time_after_speech(far, 10.0, 2.0) + 0.15
    assert np.abs(track.delay_ms[before] - 150.0).max() < 1.0
    assert np.abs(track.delay_ms[after] - 350.0).max() < 1.0
    assert probe_delay(mic, far, RATE).jumps == 1


def test_five_percent_of_reference_blocks_lost(far):
    mic = rooms.echo(far, 10, 0.42, ppm=30.0)
    ref = far.copy()
    for at in np.flatnonzero(np.random.default_rng(2).random(len(ref) // 320) < 0.05) * 320:
        ref[at : at + 320] = 0.0
    found = probe_delay(mic, ref, RATE)
    assert found.delay_ms == pytest.approx(420.0 + 30e-3 * 26, abs=0.5)
    assert found.drift_ppm == pytest.approx(30.0, abs=5.0)


def test_a_reference_that_comes_too_late_has_a_negative_delay(far):
    mic = rooms.echo(far, 11, 0.0)
    late = np.concatenate([np.zeros(4000), far])[: len(far)]
    found = probe_delay(mic, late, RATE)
    assert found.delay_ms == pytest.approx(-250.0, abs=0.5)
    assert not found.in_window
    assert not probe_delay(mic, late, RATE, advance_ms=100.0).confidence > 0.5


def test_unrelated_speech_is_not_taken_for_an_echo(call, far):
    other = rooms.speech(call[0], 26, seed=5)[::-1]
    found = probe_delay(other, far, RATE)
    assert found.confidence < 0.5


def test_silence_gives_nothing():
    found = probe_delay(np.zeros(40000, np.float32), np.zeros(40000, np.float32), RATE)
    assert not found.found
    assert found.delay_ms is None
    assert found.drift_ppm is None
    assert found.confidence == 0.0


@pytest.mark.parametrize(("rate", "dtype"), [(8000, "int16"), (44100, "float32"), (48000, "int16")])
def test_other_rates_and_types_give_the_same_delay(far, rate, dtype):
    import soxr  # noqa: PLC0415 - this test alone

    sides = [rooms.echo(far, 12, 0.25)[: 8 * RATE], far[: 8 * RATE]]
    sides = [soxr.resample(x, RATE, rate) for x in sides]
    if dtype == "int16":
        sides = [(x * 32767).astype(np.int16) for x in sides]
    found = probe_delay(*(x.astype(dtype) for x in sides), rate)
    assert found.delay_ms == pytest.approx(250.0, abs=0.2)


def test_bad_arguments_are_refused_by_name(far):
    x = far[: 2 * RATE].astype(np.float32)
    with pytest.raises(ShapeError, match="at least a second"):
        probe_delay(x[:1000], x[:1000], RATE)
    with pytest.raises(EngineError, match="4000 Hz"):
        probe_delay(x, x, 4000)
    with pytest.raises(ArgumentError, match="range_ms"):
        probe_delay(x, x, RATE, range_ms=9000.0)
    with pytest.raises(ArgumentError, match="advance_ms"):
        probe_delay(x, x, RATE, advance_ms=-1.0)
    with pytest.raises(DtypeError, match="ref"):
        probe_delay(x, x.astype(complex), RATE)
    with pytest.raises(ArgumentError, match="not finite"):
        probe_delay(x, np.where(x == x[5], np.nan, x), RATE)
