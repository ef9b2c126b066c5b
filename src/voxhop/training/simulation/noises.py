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


def draw_noise(bank: SoundBank, draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw recorded noise, coloured noise (30 %) or babble of four (8 %); modulate some.

    (clips, samples) at the bank's rate, at an active level near 1.
    """
    rate = bank.sample_rate
    which = draw.choice(bank.noise.weights, clips)
    noise = ac.crop(bank.noise, which, draw.uniform(0, 1, clips), samples)
    noise = noise / ac.active_level(noise, rate)
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
