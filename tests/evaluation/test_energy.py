"""Decibel measures against hand-made signals and independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
from case_sets import speech

from voxhop.evaluation import energy
from voxhop.evaluation.alignment import advance, measure_lag

RNG = np.random.default_rng(3)


def test_erle_is_the_energy_ratio_with_a_floor():
    mic = RNG.standard_normal(16_000).astype(np.float32)
    mic /= np.sqrt(np.mean(mic**2))
    assert energy.erle_db(mic, 0.1 * mic) == pytest.approx(20.0, abs=1e-4)
    assert energy.erle_db(mic, 2.0 * mic) == pytest.approx(-6.0206, abs=1e-3)
    assert energy.erle_db(mic, np.zeros_like(mic)) == pytest.approx(100.0, abs=1e-4)
    assert energy.erle_db(np.zeros_like(mic), np.zeros_like(mic)) == 0.0


def frames(levels):
    """One frame of 256 samples of alternating sign per level; RMS = level."""
    signs = np.tile([1.0, -1.0], 128)
    return np.concatenate([level * signs for level in levels])


def test_blind_erle_counts_the_right_frames_and_pools_energies():
    # 75th percentile of the reference's RMS: 0.25. Frames 5 to 7 lie above it; frame 6 drops
    # out because the microphone is not below twice the reference there.
    low = [0.10, 0.11, 0.12, 0.13, 0.14]
    ref = frames([*low, 0.4, 0.5, 0.6, 0.20, 0.16, 0.17, 0.18])
    mic = frames([0.15] * 5 + [0.2, 1.0, 0.8] + [0.15] * 4)
    out = frames([0.10] * 5 + [0.1, 1.0, 0.01] + [0.10] * 4)
    expected = 10 * np.log10((0.2**2 + 0.8**2) / (0.1**2 + 0.01**2))
    assert energy.blind_erle_db(mic, ref, out) == pytest.approx(expected, abs=1e-9)


def test_blind_erle_has_no_value_without_a_frame():
    ref = frames([0.1, 0.1, 0.1, 0.5])
    loud = frames([0.1, 0.1, 0.1, 1.0])
    assert energy.blind_erle_db(loud, ref, loud) is None
    assert energy.blind_erle_db(loud[:100], ref[:100], loud[:100]) is None


@pytest.mark.parametrize("level_db", [-5.0, 0.0, 12.5])
def test_si_sdr_is_the_ratio_to_the_orthogonal_rest(level_db):
    s = RNG.standard_normal(8000)
    s -= s.mean()
    rest = RNG.standard_normal(8000)
    rest -= rest.mean()
    rest -= s * np.dot(rest, s) / np.dot(s, s)
    rest *= np.sqrt(np.dot(s, s) / np.dot(rest, rest)) * 10 ** (-level_db / 20)
    assert energy.si_sdr_db(s, s + rest) == pytest.approx(level_db, abs=1e-6)
    assert energy.si_sdr_db(s, -3.0 * (s + rest) + 0.4) == pytest.approx(level_db, abs=1e-6)


def test_sdr_equals_a_least_squares_projection():
    pytest.importorskip("scipy", reason="extra [eval]")
    taps, n = 12, 400
    s, y = RNG.standard_normal(n), RNG.standard_normal(n)
    y = y + np.convolve(s, RNG.standard_normal(taps))[:n]
    padded = np.concatenate([y, np.zeros(taps - 1)])
    columns = [np.concatenate([np.zeros(k), s, np.zeros(taps - 1 - k)]) for k in range(taps)]
    delayed = np.stack(columns, axis=1)
    wanted = delayed @ np.linalg.lstsq(delayed, padded, rcond=None)[0]
    expected = 10 * np.log10(np.sum(wanted**2) / np.sum((padded - wanted) ** 2))
    assert energy.sdr_db(s, y, taps=taps) == pytest.approx(expected, abs=1e-5)


def test_sdr_forgives_a_phase_that_si_sdr_does_not():
    pytest.importorskip("scipy", reason="extra [eval]")
    s = speech(2.0, 4).astype(np.float64)
    y = np.zeros_like(s)
    for i in range(1, len(s)):  # first-order all-pass
        y[i] = -0.95 * s[i] + s[i - 1] + 0.95 * y[i - 1]
    assert energy.si_sdr_db(s, y) < 12.0
    assert energy.sdr_db(s, y) > 30.0


def test_a_muted_output_has_no_good_ratio():
    s = speech(1.0, 4)
    assert energy.si_sdr_db(s, np.zeros_like(s)) <= 0.0


def test_activity_starts_at_minus_60_dbfs():
    tone = np.tile([1.0, -1.0], 500)
    assert energy.is_active(1.01e-3 * tone)
    assert not energy.is_active(0.99e-3 * tone)


@pytest.mark.parametrize("lag", [0, 1, 256, 1000, 4096, -3])
@pytest.mark.parametrize("gain", [0.5, -0.5])
def test_the_lag_is_found_to_the_sample(lag, gain):
    clean = speech(3.0, 9)
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(clean)).astype(np.float32)
    late = advance(clean, -lag, len(clean)) * gain + noise
    assert measure_lag(clean, late) == lag


def test_a_high_pass_filter_does_not_move_the_lag():
    clean = speech(3.0, 9).astype(np.float64)
    filtered = clean
    for _ in range(4):  # first-order high-pass at 190 Hz, four times
        steps = np.diff(filtered, prepend=0.0)
        filtered = np.zeros_like(clean)
        for i in range(1, len(clean)):
            filtered[i] = 0.93 * (filtered[i - 1] + steps[i])
    late = advance(filtered, -224, len(clean))
    assert measure_lag(clean, late) == 224


def test_silence_has_no_lag():
    assert measure_lag(speech(1.0, 9), np.zeros(16_000, np.float32)) == 0


@pytest.mark.parametrize(
    ("lag", "expected"),
    [(0, [1, 2, 3, 4, 0]), (2, [3, 4, 0, 0, 0]), (-2, [0, 0, 1, 2, 3]), (9, [0] * 5)],
)
def test_advance_shifts_and_fills_with_zeros(lag, expected):
    assert advance(np.array([1, 2, 3, 4]), lag, 5).tolist() == expected
