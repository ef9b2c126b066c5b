"""Voices that recordings lack: whispered, a child's, held as in singing. (clips, samples) tensors.

The envelope of a voice's spectrum is taken from the low quefrencies of its cepstrum; tempo is
changed by a phase vocoder.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voxhop.training.sounds.corpus import SAMPLE_RATE

_FFT, _HOP = 512, 128
_LIFTER = 24  # quefrencies kept: 1.5 ms, below the period of any voice
_FLOOR = 1e-4


def whispered(voice: Tensor, noise: Tensor) -> Tensor:
    """Replace the voice's excitation by breath: its envelope over time and frequency on noise.

    Whispering has no pitch and less of the lowest frequencies.

    Parameters
    ----------
    voice : Tensor, (clips, samples)
    noise : Tensor, (clips, samples)
        White, of unit power.
    """
    spectrum = _stft(voice)
    envelope = _envelope(spectrum.abs())
    breath = _stft(noise)
    breath = breath / breath.abs().mean(1, keepdim=True).clamp(min=_FLOOR)
    hertz = torch.linspace(0, SAMPLE_RATE / 2, spectrum.shape[1], device=voice.device)
    tilt = (hertz / (hertz + 800.0))[:, None]  # no glottis: the source falls 6 dB per octave less
    return _istft(breath * envelope * tilt, voice.shape[1])


def raised(voice: Tensor, factor: float) -> Tensor:
    """Raise pitch and formants by a factor, tempo kept: a smaller head on the same sentence."""
    samples = voice.shape[1]
    return _resampled(stretched(voice, factor), samples)


def stretched(voice: Tensor, factor: float) -> Tensor:
    """Make a voice last `factor` times as long at the same pitch; a phase vocoder.

    (clips, samples) -> (clips, round(factor * samples)).
    """
    spectrum = _stft(voice)
    frames = spectrum.shape[2]
    places = torch.arange(0, frames - 1, 1 / factor, device=voice.device, dtype=torch.float64)
    low = places.long()
    share = (places - low).to(voice.dtype)
    first, second = spectrum[:, :, low], spectrum[:, :, low + 1]
    magnitude = torch.lerp(first.abs(), second.abs(), share)
    usual = 2 * math.pi * _HOP / _FFT * torch.arange(spectrum.shape[1], device=voice.device)
    turn = second.angle() - first.angle() - usual[:, None]
    turn = turn - 2 * math.pi * torch.round(turn / (2 * math.pi)) + usual[:, None]
    phase = first[:, :, :1].angle() + torch.cat(
        (torch.zeros_like(turn[:, :, :1]), turn[:, :, :-1].double().cumsum(2).float()), 2
    )
    return _istft(torch.polar(magnitude, phase), round(factor * voice.shape[1]))


def _resampled(audio: Tensor, samples: int) -> Tensor:
    """Play whole clips in `samples`, linearly between two samples of four times the rate."""
    length = audio.shape[1]
    fine = torch.fft.irfft(torch.fft.rfft(audio), 4 * length) * 4
    place = torch.arange(samples, device=audio.device, dtype=torch.float64) * (4 * length / samples)
    low = place.long().clamp(max=4 * length - 2)
    return torch.lerp(fine[:, low], fine[:, low + 1], (place - low).to(audio.dtype))


def _envelope(magnitude: Tensor) -> Tensor:
    """Smooth over frequency, (clips, bins, frames)."""
    loudest = magnitude.amax((1, 2), keepdim=True).clamp(min=_FLOOR)
    logarithm = magnitude.clamp(min=_FLOOR * loudest).log()
    cepstrum = torch.fft.irfft(logarithm, _FFT, dim=1)
    cepstrum[:, _LIFTER : _FFT - _LIFTER + 1] = 0.0
    return torch.fft.rfft(cepstrum, _FFT, dim=1).real.exp()


def _stft(audio: Tensor) -> Tensor:
    window = torch.hann_window(_FFT, device=audio.device)
    return torch.stft(audio, _FFT, _HOP, window=window, return_complex=True)


def _istft(spectrum: Tensor, samples: int) -> Tensor:
    window = torch.hann_window(_FFT, device=spectrum.device)
    audio = torch.istft(spectrum, _FFT, _HOP, window=window)
    missing = samples - audio.shape[1]
    return torch.nn.functional.pad(audio, (0, max(missing, 0)))[:, :samples]
