"""The audible difference: against a plain loop, and what a listener would expect of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
import torch

from voxhop.training.localvqe.loudness import (
    AudibleDifference,
    bark,
    hearing_threshold,
    speech_level,
)

BINS = 256


def powers(seed: int, frames: int = 20) -> torch.Tensor:
    """Speech-like: loud below, with quiet frames."""
    rng = np.random.default_rng(seed)
    tilt = 10 ** (-3 * np.arange(BINS) / BINS)
    frame = 10 ** rng.uniform(-3, 0, (1, frames, 1))
    return torch.from_numpy(rng.exponential(size=(1, frames, BINS)) * tilt * frame).float()


def by_hand(estimate: np.ndarray, target: np.ndarray) -> np.ndarray:
    """One clip (T, F), in double, band by band."""
    hertz = 31.25 * np.arange(BINS)
    z = 13 * np.arctan(7.6e-4 * hertz) + 3.5 * np.arctan((hertz / 7500) ** 2)
    groups = [np.flatnonzero(np.floor(z / 0.5) == k) for k in range(50)]
    groups = [g for g in groups if len(g)]
    quiet = []
    for group in groups:
        khz = max(hertz[group].mean(), 50) / 1000
        db = 3.64 * khz**-0.8 - 6.5 * math.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
        quiet.append(10 ** (db / 10))

    def levelled(power: np.ndarray) -> np.ndarray:
        frame = power.sum(1)
        level = frame[frame > 1e-3 * frame.max()].mean()
        bands = np.array([[row[g].sum() for g in groups] for row in power])
        return bands * 10**7.9 / level

    heard, wanted = levelled(estimate), levelled(target)
    out = []
    for x, y in zip(heard, wanted, strict=True):
        square = added = 0.0
        for a, b, p0 in zip(x, y, quiet, strict=True):
            la, lb = (
                0.1866 * (p0 / 0.5) ** 0.23 * max((0.5 + 0.5 * v / p0) ** 0.23 - 1, 0)
                for v in (a, b)
            )
            d = max(abs(la - lb) - 0.25 * min(la, lb), 0)
            square += d * d
            added += min(((a + 50) / (b + 50)) ** 1.2, 12) * d
        out.append(math.sqrt(square / len(groups)) + 0.309 * added / len(groups))
    return np.array(out)


def test_it_is_what_a_plain_loop_computes() -> None:
    x, y = powers(1), powers(2)
    got = AudibleDifference(BINS)(x, y)[0].numpy()
    wanted = by_hand(x[0].double().numpy(), y[0].double().numpy())
    np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-3)


def test_nothing_differs_at_any_level() -> None:
    x = powers(3)
    assert float(AudibleDifference(BINS)(x, x).abs().max()) < 1e-5
    # The floor of the level leaves a ten-thousandth of a difference.
    assert float(AudibleDifference(BINS)(100 * x, x).abs().max()) < 1e-3


def test_more_noise_is_more_and_worse_than_as_much_taken_away() -> None:
    module, clean = AudibleDifference(BINS), powers(4)
    noise = clean.mean() * torch.ones_like(clean)
    few, many = (float(module(clean + g * noise, clean).mean()) for g in (0.01, 0.1))
    assert many > 2 * few > 0
    less = float(module(clean, clean + 0.1 * noise).mean())
    assert many > 1.2 * less


def test_silent_target_says_nothing_and_faint_output_has_a_slope() -> None:
    module, clean = AudibleDifference(BINS), powers(5)
    assert float(module(clean, torch.zeros_like(clean)).abs().max()) == 0
    for gain in (0.0, 1e-5):
        faint = (gain * clean).requires_grad_()
        module(faint, clean).mean().backward()
        assert torch.isfinite(faint.grad).all()
    assert float((faint.grad * clean).sum()) < 0  # more of the talker, less difference


def test_tables() -> None:
    # Zwicker's table: 100, 1000 and 4000 Hz are 1, 8.5 and 17.3 Bark.
    rate = bark(torch.tensor([100.0, 1000.0, 4000.0]))
    np.testing.assert_allclose(rate, [1.0, 8.5, 17.3], atol=0.15)
    quiet = 10 * torch.log10(hearing_threshold(torch.tensor([100.0, 1000.0, 3300.0])))
    np.testing.assert_allclose(quiet, [23, 3.4, -5], atol=0.5)


def test_pauses_do_not_lower_the_speech_level() -> None:
    talk = torch.ones(1, 10, 3)
    pause = torch.full((1, 30, 3), 1e-5)
    assert float(speech_level(torch.cat((talk, pause), 1))) == pytest.approx(3.0)
