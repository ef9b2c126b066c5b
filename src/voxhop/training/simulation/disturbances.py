"""Sounds beside the talker that are no noise: hum, tones, alarms, fans, keys; and offsets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from voxhop.training.simulation import acoustics as ac
from voxhop.training.sounds.corpus import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.simulation.conditions import Marks
    from voxhop.training.sounds.bank import SoundBank

_HARMONICS = 40
_BELOW_TALKER_DB = {
    "hum": (0.0, 30.0),
    "whine": (0.0, 30.0),
    "beeps": (0.0, 25.0),
    "alarm": (-5.0, 20.0),
    "fan": (5.0, 30.0),
    "keyboard": (0.0, 20.0),
}


def disturbances(
    bank: SoundBank, marks: Marks, draw: Draw, level_db: Tensor, samples: int
) -> Tensor:
    """Draw what is added to the microphone, (clips, samples).

    Parameters
    ----------
    bank : SoundBank
        For keyboard strokes.
    marks : Marks
        Which clips have which.
    draw : Draw
        Source of their details.
    level_db : Tensor, (clips, 1)
        Level of the talker (or echo), dBFS; sounds lie some decibels below it.
    samples : int
        Length of a clip.
    """
    clips = len(level_db)
    total = torch.zeros(clips, samples, device=draw.device)
    for name, make in _SOUNDS.items():
        if name in marks:
            below = draw.uniform(*_BELOW_TALKER_DB[name], clips, 1)
            sound = make(bank, draw, clips, samples)
            gain = ac.decibels(level_db - below) / ac.active_level(sound)
            total = total + sound * gain * marks[name]
    if "offset" in marks:
        total = total + rumble(draw, clips, samples) * marks["offset"]
    return total


def hum(_bank: SoundBank | None, draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw mains of 50 or 60 Hz with harmonics: a hum that falls off, a buzz that hardly does."""
    mains = torch.where(draw.chance(0.5, clips, 1), 50.0, 60.0) * draw.uniform(
        0.998, 1.002, clips, 1
    )
    slope = draw.uniform(0.3, 2.0, clips, 1)
    even = draw.uniform(0.1, 1.0, clips, 1)
    total = torch.zeros(clips, samples, device=draw.device)
    for number in range(1, _HARMONICS + 1):
        gain = number**-slope * draw.uniform(0.3, 1.0, clips, 1)
        gain = gain * (even if number % 2 == 0 else 1.0)
        total = total + gain * _sine(draw, number * mains, samples)
    return total


def whine(_bank: SoundBank | None, draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw one to three steady tones of 100 Hz to 7 kHz."""
    total = torch.zeros(clips, samples, device=draw.device)
    for number in range(3):
        there = draw.chance(1.0 if number == 0 else 0.3, clips, 1)
        total = total + there * _sine(draw, _pitch(draw, 100.0, 7000.0, clips), samples)
    return total


def beeps(_bank: SoundBank | None, draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw tones that go on and off, 0.5 to 8 times per second."""
    rate, share = draw.uniform(0.5, 8.0, clips, 1), draw.uniform(0.1, 0.6, clips, 1)
    place = (_time(draw, samples) * rate + draw.uniform(0, 1, clips, 1)) % 1.0
    fade = 0.005 * rate
    inside = torch.minimum(place, share - place)
    return (inside / fade).clamp(0, 1) * _sine(draw, _pitch(draw, 300.0, 7000.0, clips), samples)


def alarm(_bank: SoundBank | None, draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw two tones in turn, or a sweep between them, with two harmonics."""
    low = _pitch(draw, 400.0, 2000.0, clips)
    high = low * draw.uniform(1.15, 2.0, clips, 1)
    swing = torch.sin(2 * math.pi * draw.uniform(0.5, 4.0, clips, 1) * _time(draw, samples))
    share = torch.where(draw.chance(0.5, clips, 1), (swing > 0).float(), 0.5 + 0.5 * swing)
    hertz = low + (high - low) * share
    phase = 2 * math.pi * hertz.double().cumsum(1) / SAMPLE_RATE
    total = torch.zeros(clips, samples, device=draw.device)
    for number, gain in ((1, 1.0), (2, 0.5), (3, 0.3)):
        total = total + gain * draw.uniform(0.3, 1.0, clips, 1) * torch.sin(number * phase).float()
    return total


def fan(_bank: SoundBank | None, draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw coloured noise and the tones of turning blades, all of one wandering speed."""
    noise = ac.coloured_noise(draw, clips, samples)
    noise = noise / ac.active_level(noise)
    turns = draw.uniform(60.0, 400.0, clips, 1)
    wander = 1 + 0.01 * torch.sin(
        2 * math.pi * draw.uniform(0.1, 1.0, clips, 1) * _time(draw, samples)
    )
    phase = 2 * math.pi * (turns * wander).double().cumsum(1) / SAMPLE_RATE
    tones = torch.zeros(clips, samples, device=draw.device)
    for number in range(1, 7):
        gain = draw.uniform(0.1, 1.0, clips, 1) / number
        tones = tones + gain * torch.sin(number * phase).float()
    return noise + tones * ac.decibels(draw.uniform(-6.0, 12.0, clips, 1))


def keyboard(bank: SoundBank, draw: Draw, clips: int, samples: int) -> Tensor:
    """Crop strokes recorded beside a keyboard."""
    assert bank.keyboard is not None  # noqa: S101 - `simulate` looked
    which = draw.choice(bank.keyboard.weights, clips)
    return ac.crop(bank.keyboard, which, draw.uniform(0, 1, clips), samples)


def rumble(draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw an offset of 0.01 to 0.2 of full scale, either sign, that moves below 20 Hz."""
    size = torch.exp(draw.uniform(math.log(0.01), math.log(0.2), clips, 1))
    offset = torch.where(draw.chance(0.5, clips, 1), size, -size)
    total = offset.expand(clips, samples)
    for low, high, most in ((0.05, 1.0, 0.05), (1.0, 20.0, 0.01)):
        hertz = draw.uniform(low, high, clips, 1)
        total = total + draw.uniform(0.0, most, clips, 1) * _sine(draw, hertz, samples)
    return total


_SOUNDS = {
    "hum": hum,
    "whine": whine,
    "beeps": beeps,
    "alarm": alarm,
    "fan": fan,
    "keyboard": keyboard,
}


def _time(draw: Draw, samples: int) -> Tensor:
    return torch.arange(samples, device=draw.device) / SAMPLE_RATE


def _sine(draw: Draw, hertz: Tensor, samples: int) -> Tensor:
    phase = draw.uniform(0, 2 * math.pi, len(hertz), 1)
    return torch.sin(2 * math.pi * hertz * _time(draw, samples) + phase)


def _pitch(draw: Draw, low: float, high: float, clips: int) -> Tensor:
    """(clips, 1), even on a logarithmic scale."""
    return torch.exp(draw.uniform(math.log(low), math.log(high), clips, 1))
