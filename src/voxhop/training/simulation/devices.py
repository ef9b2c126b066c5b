"""What devices do to sound: small loudspeakers, wandering clocks, gains, suppressors, lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from voxhop.training.simulation import acoustics as ac
from voxhop.training.sounds.corpus import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw

_FRAME = 160
_FFT = 512
_LINE_HZ = (300.0, 3400.0)


def small_loudspeaker(draw: Draw, far: Tensor) -> Tensor:
    """Play through a loudspeaker of a few centimetres at its limit.

    Bass moves the cone until it hits its stop, which bends everything else; then the bass itself
    is not radiated. (clips, samples) -> the same shape, peaks near one.
    """
    clips, samples = far.shape
    x = far / far.abs().amax(1, keepdim=True).clamp(min=1e-4)
    bins = ac.fft_length(samples) // 2 + 1
    corner = draw.uniform(250.0, 700.0, clips, 1)
    top = draw.uniform(5000.0, 7800.0, clips, 1)
    length = 2 * (bins - 1)
    spectrum = torch.fft.rfft(x, length)
    hertz = torch.linspace(0, SAMPLE_RATE / 2, bins, device=far.device)
    cone = torch.fft.irfft(spectrum / (1 + (hertz / corner) ** 2), length)[:, :samples]
    cone = cone / cone.abs().amax(1, keepdim=True).clamp(min=1e-4)
    stiff = 1 - draw.uniform(0.2, 0.7, clips, 1) * cone.square()
    driven = torch.tanh(draw.uniform(3.0, 10.0, clips, 1) * x * stiff)
    spectrum = torch.fft.rfft(driven, length) * ac.band_limits(corner, top, bins)
    return torch.fft.irfft(spectrum, length)[:, :samples]


def wander(draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw by how many samples a playback clock runs behind: up to ten, (clips, samples)."""
    time = torch.arange(samples, device=draw.device) / SAMPLE_RATE
    total = torch.zeros(clips, samples, device=draw.device)
    for low, high, most in ((0.05, 0.3, 6.0), (0.3, 2.0, 3.0), (2.0, 10.0, 1.0)):
        hertz, phase = draw.uniform(low, high, clips, 1), draw.uniform(0, 2 * math.pi, clips, 1)
        size = draw.uniform(0.1, 1.0, clips, 1) * most
        total = total + size * (1 + torch.sin(2 * math.pi * hertz * time + phase)) / 2
    return total


def between_paths(draw: Draw, clips: int, samples: int) -> Tensor:
    """Draw the share of a second path in one that never rests, (clips, samples) in [0, 1]."""
    time = torch.arange(samples, device=draw.device) / SAMPLE_RATE
    total = torch.zeros(clips, samples, device=draw.device)
    for low, high in ((0.1, 0.5), (0.5, 2.0)):
        hertz, phase = draw.uniform(low, high, clips, 1), draw.uniform(0, 2 * math.pi, clips, 1)
        total = total + torch.sin(2 * math.pi * hertz * time + phase)
    return 0.5 + 0.25 * total


def automatic_gain(draw: Draw, mic: Tensor) -> Tensor:
    """Return the gain of a device that wants speech at one level, (clips, samples).

    Falls within 50 ms or so, rises over seconds, by up to 20 dB; stays where nothing is heard.
    """
    clips, samples = mic.shape
    frames = -(-samples // _FRAME)
    padded = torch.nn.functional.pad(mic, (0, frames * _FRAME - samples))
    power = padded.view(clips, frames, _FRAME).square().mean(2)
    level_db = 10 * torch.log10(power + 1e-12)
    wanted = draw.uniform(-26.0, -16.0, clips)
    attack, release = draw.uniform(0.1, 0.4, clips), draw.uniform(0.003, 0.02, clips)
    heard = level_db > level_db.amax(1, keepdim=True) - 30.0
    gain = (wanted - level_db.amax(1)).clamp(-20, 20) + draw.uniform(0.0, 8.0, clips)
    gains = []
    for t in range(frames):
        error = (wanted - level_db[:, t]).clamp(-20, 20) - gain
        speed = torch.where(error < 0, attack, release)
        gain = gain + torch.where(heard[:, t], speed * error, torch.zeros_like(error))
        gains.append(gain)
    steps = torch.nn.functional.interpolate(
        torch.stack(gains, 1)[:, None], frames * _FRAME, mode="linear"
    )
    return ac.decibels(steps[:, 0, :samples])


def device_suppressor(draw: Draw, mic: Tensor) -> Tensor:
    """Take away what is near each bin's usual level, as devices do, and sounding so."""
    clips, samples = mic.shape
    window = torch.hann_window(_FFT, device=mic.device)
    spectrum = torch.stft(mic, _FFT, _FFT // 2, window=window, return_complex=True)
    magnitude = spectrum.abs()
    floor = magnitude.quantile(0.2, 2, keepdim=True)
    strength = draw.uniform(1.0, 3.0, clips, 1, 1)
    least = ac.decibels(draw.uniform(-25.0, -8.0, clips, 1, 1))
    gain = (1 - strength * floor / magnitude.clamp(min=1e-9)).clamp(min=0)
    gain = torch.maximum(gain, least)
    return torch.istft(spectrum * gain, _FFT, _FFT // 2, window=window, length=samples)


def telephone_line(bins: int, device: torch.device) -> Tensor:
    """Return the amplitude of a telephone line at `bins` frequencies up to 8 kHz, (bins,)."""
    low, high = (torch.full((1, 1), hertz, device=device) for hertz in _LINE_HZ)
    hertz = torch.linspace(0, SAMPLE_RATE / 2, bins, device=device)
    # Nothing at all above half of the line's rate.
    return ac.band_limits(low, high, bins)[0] * (hertz < 4000.0)  # noqa: PLR2004
