"""Noise, whatever model it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from voxhop.training.simulation import acoustics as ac

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.sounds.bank import SoundBank

_COLOURED_SHARE, _BABBLE_SHARE = 0.30, 0.08
_SPEED = 1.7
"""Recordings are played up to so many times as fast or as slowly where they vary."""

_TOGETHER, _SECOND_DB, _COLOUR_DB = 0.5, (-20.0, 0.0), 12.0


def draw_noise(
    bank: SoundBank, draw: Draw, clips: int, samples: int, *, variety: float = 0.0
) -> Tensor:
    """Draw recorded noise, coloured noise (30 %) or babble of four (8 %); modulate some.

    (clips, samples) at the bank's rate, at an active level near 1. `variety` is the share of
    recordings that are another than they were: at another speed, of another colour, half of
    them two at once.
    """
    rate = bank.sample_rate
    which = draw.choice(bank.noise.weights, clips)
    noise = ac.crop(bank.noise, which, draw.uniform(0, 1, clips), samples)
    noise = noise / ac.active_level(noise, rate)
    if variety:
        chosen = draw.chance(variety, clips, 1)
        noise = torch.where(chosen, _varied(bank, draw, clips, samples), noise)
    coloured = ac.coloured_noise(draw, clips, samples, rate)
    coloured = coloured / ac.active_level(coloured, rate)
    talkers = 4
    voices = draw.choice(bank.speech.weights, clips * talkers)
    babble = ac.crop(bank.speech, voices, draw.uniform(0, 1, clips * talkers), samples)
    babble = babble.reshape(clips, talkers, samples).sum(1)
    babble = babble / ac.active_level(babble, rate)
    kind = draw.uniform(0, 1, clips, 1)
    noise = torch.where(kind < _COLOURED_SHARE + _BABBLE_SHARE, babble, noise)
    noise = torch.where(kind < _COLOURED_SHARE, coloured, noise)
    # A quiet stationary floor under everything: no room and no preamplifier is silent.
    noise = noise + coloured * ac.decibels(draw.uniform(-40.0, -15.0, clips, 1))
    swing = ac.slow_modulation(draw, clips, samples, depth_db=8.0, rate=rate)
    return noise * torch.where(draw.chance(0.3, clips, 1), swing, torch.ones_like(swing))


def _varied(bank: SoundBank, draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw recordings as they never were, (clips, samples), at an active level of 1."""
    rate = bank.sample_rate
    sounds = []
    for _ in range(2):
        which = draw.choice(bank.noise.weights, clips)
        speed = _SPEED ** draw.uniform(-1, 1, clips)
        sound = ac.crop_at_speed(bank.noise, which, draw.uniform(0, 1, clips), samples, speed)
        sounds.append(sound / ac.active_level(sound, rate))
    second = ac.decibels(draw.uniform(*_SECOND_DB, clips, 1)) * draw.chance(_TOGETHER, clips, 1)
    noise = sounds[0] + second * sounds[1]
    length = ac.fft_length(samples)
    colour = ac.random_equaliser(draw, clips, length // 2 + 1, range_db=_COLOUR_DB, rate=rate)
    noise = torch.fft.irfft(torch.fft.rfft(noise, length) * colour, length)[:, :samples]
    return noise / ac.active_level(noise, rate)
