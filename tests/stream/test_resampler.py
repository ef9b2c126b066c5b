"""The streaming resampler against sines, a sweep and soxr."""

import numpy as np
import pytest
import soxr
from native import Resampler

import tolerances
from voxhop.errors import ArgumentError, EngineError, ShapeError

RATES = (8000, 16000, 24000, 32000, 44100, 48000)
PAIRS = [(a, b) for a in RATES for b in RATES if 16000 in (a, b) and a != b]


def sine(hertz, rate, seconds):
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


def level_db(x):
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64)) + 1e-20)


def inner(x, margin=400):
    return x[margin : len(x) - margin]


@pytest.mark.parametrize(("rate", "to_rate"), PAIRS)
def test_sample_m_is_the_signal_at_time_m_over_rate(rate, to_rate):
    hertz = 0.11 * min(rate, to_rate)
    out = Resampler(rate, to_rate).process(sine(hertz, rate, 0.5))
    expected = sine(hertz, to_rate, 1.0)[: len(out)]
    assert np.abs(inner(out) - inner(expected)).max() < tolerances.RESAMPLED_SINE


def band_limited(rate, to_rate):
    """A second of noise below 0.43 of the lower rate, exactly, at both rates."""
    rng = np.random.default_rng(rate + to_rate)
    bins = int(0.43 * min(rate, to_rate))
    spectrum = np.zeros(bins + 1, complex)
    spectrum[1:] = rng.standard_normal(bins) + 1j * rng.standard_normal(bins)
    return [np.fft.irfft(spectrum * n, n) / np.sqrt(bins) for n in (rate, to_rate)]


@pytest.mark.parametrize(("rate", "to_rate"), PAIRS)
def test_is_band_limited_interpolation(rate, to_rate):
    signal, expected = band_limited(rate, to_rate)
    ours = Resampler(rate, to_rate).process(signal.astype(np.float32))
    expected = expected[: len(ours)]
    error = level_db(inner(ours, 1500) - inner(expected, 1500)) - level_db(expected)
    assert error < tolerances.RESAMPLER_ERROR_DB


@pytest.mark.parametrize(("rate", "to_rate"), PAIRS)
def test_agrees_with_soxr(rate, to_rate):
    signal = band_limited(rate, to_rate)[0].astype(np.float32)
    ours = Resampler(rate, to_rate).process(signal)
    theirs = soxr.resample(signal, rate, to_rate, "VHQ")[: len(ours)]
    error = level_db(inner(ours, 1500) - inner(theirs, 1500)) - level_db(theirs)
    assert error < tolerances.RESAMPLER_AGAINST_SOXR_DB


@pytest.mark.parametrize("rate", [24000, 32000, 44100, 48000])
def test_round_trip_of_a_sweep_is_flat_and_clean(rate):
    """0 to 7 kHz there and back: ripple at most 0.1 dB, everything else 80 dB down."""
    for hertz in (50, 500, 1500, 3000, 4500, 5500, 6500, 6900, 7000):
        tone = sine(hertz, rate, 0.6)
        narrow = Resampler(rate, 16000).process(tone)
        back = Resampler(16000, rate).process(narrow)
        part = inner(back, 2000)
        n = len(part)
        t = np.arange(n) / rate
        basis = np.stack([np.cos(2 * np.pi * hertz * t), np.sin(2 * np.pi * hertz * t)], axis=1)
        fit, *_ = np.linalg.lstsq(basis, part.astype(np.float64), rcond=None)
        gain_db = 20 * np.log10(np.hypot(*fit))
        rest_db = level_db(part - basis @ fit) - level_db(part)
        assert abs(gain_db) <= tolerances.ROUND_TRIP_RIPPLE_DB, hertz
        assert rest_db <= tolerances.ROUND_TRIP_IMAGE_DB, hertz


@pytest.mark.parametrize("hertz", [8000, 8500, 9500, 12000, 20000])
def test_tones_above_the_band_do_not_alias(hertz):
    out = Resampler(48000, 16000).process(sine(hertz, 48000, 0.5))
    assert (
        level_db(inner(out)) - level_db(sine(hertz, 48000, 0.5)) <= tolerances.ROUND_TRIP_IMAGE_DB
    )


@pytest.mark.parametrize(("rate", "to_rate"), [(48000, 16000), (16000, 44100), (44100, 16000)])
def test_any_split_gives_the_same_bits(rate, to_rate):
    rng = np.random.default_rng(3)
    signal = rng.standard_normal(20000).astype(np.float32)
    whole = Resampler(rate, to_rate).process(signal)
    resampler, parts, at = Resampler(rate, to_rate), [], 0
    while at < len(signal):
        n = int(rng.integers(1, 1500))
        parts.append(resampler.process(signal[at : at + n]))
        at += n
    assert np.array_equal(np.concatenate(parts), whole)


def test_lookahead_is_how_long_an_impulse_waits():
    resampler = Resampler(48000, 16000)
    zeros = np.zeros(1, np.float32)
    counts = [len(resampler.process(zeros)) for _ in range(400)]
    assert counts.index(1) == resampler.lookahead  # output 0 needs inputs 0 .. lookahead


def test_reset_is_a_new_resampler():
    signal = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    resampler = Resampler(44100, 16000)
    first = resampler.process(signal)
    resampler.reset()
    assert np.array_equal(resampler.process(signal), first)


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(EngineError, match="500 Hz"):
        Resampler(500, 16000)
    with pytest.raises(EngineError, match="47999"):
        Resampler(47999, 16000)
    with pytest.raises(ShapeError, match="capacity"):
        Resampler(16000, 48000).process(np.zeros(100, np.float32), capacity=100)
    with pytest.raises(ArgumentError, match="NULL"):
        Resampler(16000, 48000).process(None)
