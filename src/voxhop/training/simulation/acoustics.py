"""Pieces of the acoustic simulation: batched functions of (clips, samples) tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from voxhop.training.sounds.corpus import SAMPLE_RATE
from voxhop.training.sounds.rooms import PEAK_SAMPLE

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.sounds.bank import Sources

_KNOT_HZ = (60.0, 150.0, 350.0, 800.0, 1600.0, 3000.0, 5000.0, 7900.0)
_LOUDSPEAKERS = (0.20, 0.25, 0.17, 0.13, 0.18, 0.07)
"""Shares: linear, tanh, asymmetric sigmoid, cubic, second order with memory, clipped."""


def decibels(value: Tensor) -> Tensor:
    """Convert a level in dB to a linear amplitude."""
    return torch.exp(value * (math.log(10) / 20))


def fft_length(samples: int) -> int:
    """Smallest length >= samples with no prime factor above 7."""
    length = samples
    while True:
        rest = length
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def crop(sources: Sources, which: Tensor, offset: Tensor, samples: int) -> Tensor:
    """Cut `samples` from stream `which` at the fraction `offset` of its length.

    Streams shorter than the crop repeat. Returns (clips, samples) float32 at an active
    level near `ACTIVE_DBFS`.
    """
    lengths = sources.lengths[which]
    first = (offset * (lengths - samples).clamp(min=1)).long()
    steps = torch.arange(samples, device=which.device)
    index = sources.starts[which, None] + (first[:, None] + steps) % lengths[:, None]
    return sources.samples[index].float() / 32768


def crop_at_speed(
    sources: Sources, which: Tensor, offset: Tensor, samples: int, speed: Tensor
) -> Tensor:
    """`crop`, played `speed` times as fast, (clips), between samples along a line.

    Everything in it is as much higher and shorter: another machine, another door.
    """
    lengths, start = sources.lengths[which, None], sources.starts[which, None]
    speed = speed[:, None].double()  # a float has no parts of a sample after a minute
    first = offset[:, None] * (lengths - speed * samples).clamp(min=1)
    place = first + speed * torch.arange(samples, device=which.device)
    whole = place.long()
    before, after = (sources.samples[start + (whole + k) % lengths].float() for k in (0, 1))
    return torch.lerp(before, after, (place - whole).float()) / 32768


def active_level(audio: Tensor, rate: int = SAMPLE_RATE) -> Tensor:
    """RMS over 20 ms frames within 30 dB of the loudest, (clips, samples) -> (clips, 1).

    Silent clips give 1e-5, so that dividing by the level is safe.
    """
    frame = rate // 50
    frames = audio[:, : audio.shape[1] // frame * frame].reshape(len(audio), -1, frame)
    power = frames.square().mean(-1)
    active = power >= 1e-3 * power.amax(1, keepdim=True)
    mean = (power * active).sum(1, keepdim=True) / active.sum(1, keepdim=True)
    return mean.sqrt().clamp(min=1e-5)


def random_equaliser(
    draw: Draw, clips: int, bins: int, range_db: float = 6.0, rate: int = SAMPLE_RATE
) -> Tensor:
    """Smooth random gains, +-`range_db` at eight frequencies, (clips, bins) amplitude."""
    knots = torch.tensor(_KNOT_HZ, device=draw.device).log()
    hertz = torch.linspace(0, rate / 2, bins, device=draw.device)
    place = hertz.clamp(_KNOT_HZ[0], _KNOT_HZ[-1]).log()
    upper = torch.searchsorted(knots, place).clamp(1, len(_KNOT_HZ) - 1)
    share = (place - knots[upper - 1]) / (knots[upper] - knots[upper - 1])
    gains = draw.uniform(-range_db, range_db, clips, len(_KNOT_HZ))
    return decibels(torch.lerp(gains[:, upper - 1], gains[:, upper], share))


def band_limits(low_hz: Tensor, high_hz: Tensor, bins: int) -> Tensor:
    """Second-order-like slopes below and above two corners (clips, 1) -> (clips, bins)."""
    hertz = torch.linspace(0, SAMPLE_RATE / 2, bins, device=low_hz.device).clamp(min=1.0)
    low = 1 / (1 + (low_hz / hertz) ** 4)
    high = 1 / (1 + (hertz / high_hz) ** 12)
    return (low * high).sqrt()


def coloured_noise(draw: Draw, clips: int, samples: int, rate: int = SAMPLE_RATE) -> Tensor:
    """Gaussian noise with a spectral slope of 0 to -2 and a random equaliser."""
    bins = samples // 2 + 1
    slope = draw.uniform(-1.0, 0.0, clips, 1)  # amplitude: half of the power's slope
    hertz = torch.linspace(0, rate / 2, bins, device=draw.device).clamp(min=30.0)
    shape = (hertz / 1000) ** slope * random_equaliser(draw, clips, bins, rate=rate)
    return torch.fft.irfft(torch.fft.rfft(draw.normal(clips, samples)) * shape, samples)


def slow_modulation(
    draw: Draw, clips: int, samples: int, depth_db: float, rate: int = SAMPLE_RATE
) -> Tensor:
    """Gain that swings by +-`depth_db` at 0.3 to 4 Hz, (clips, samples) amplitude."""
    time = torch.arange(samples, device=draw.device) / rate
    swings = draw.uniform(0.3, 4.0, clips, 1)
    phase = draw.uniform(0.0, 2 * math.pi, clips, 1)
    depth = draw.uniform(0.3, 1.0, clips, 1) * depth_db
    return decibels(depth * torch.sin(2 * math.pi * swings * time + phase))


def loudspeaker(draw: Draw, audio: Tensor) -> Tensor:
    """Distort a far-end signal as one of six loudspeaker types per clip.

    Works on the peak-normalised signal, (clips, samples) -> the same shape.
    """
    x = audio / audio.abs().amax(1, keepdim=True).clamp(min=1e-4)
    clips = len(x)
    kind = draw.choice(torch.tensor(_LOUDSPEAKERS, device=draw.device), clips)
    drive = draw.uniform(1.0, 4.0, clips, 1)
    amount = draw.uniform(0.1, 0.5, clips, 1)
    limit = draw.uniform(0.2, 0.7, clips, 1)
    taps = draw.normal(clips, 64) * torch.exp(-torch.arange(64, device=x.device) / 16.0)
    out = x.clone()
    for index, distort in enumerate((None, _tanh, _sigmoid, _cubic, _second_order, _clip)):
        rows = torch.nonzero(kind == index)[:, 0]
        if distort is not None and len(rows):
            out[rows] = distort(x[rows], drive[rows], amount[rows], limit[rows], taps[rows])
    return out


def _tanh(x: Tensor, drive: Tensor, _a: Tensor, _l: Tensor, _t: Tensor) -> Tensor:
    return torch.tanh(drive * x)


def _sigmoid(x: Tensor, drive: Tensor, amount: Tensor, _l: Tensor, _t: Tensor) -> Tensor:
    # Steeper on positive swings, as a cone whose suspension yields unevenly.
    steep = torch.where(x > 0, drive, drive * (1 - amount))
    return 2 * torch.sigmoid(2 * steep * x) - 1


def _cubic(x: Tensor, _d: Tensor, amount: Tensor, _l: Tensor, _t: Tensor) -> Tensor:
    return x - amount * x**3 + 0.3 * amount * x**2


def _second_order(x: Tensor, _d: Tensor, amount: Tensor, _l: Tensor, taps: Tensor) -> Tensor:
    """Second-order Volterra series of rank 1 with a memory of 4 ms."""
    length = fft_length(x.shape[1] + taps.shape[1])
    spectrum = torch.fft.rfft(x, length) * torch.fft.rfft(taps, length)
    square = torch.fft.irfft(spectrum, length)[:, : x.shape[1]].square()
    return x + amount * square / square.amax(1, keepdim=True).clamp(min=1e-9)


def _clip(x: Tensor, _d: Tensor, _a: Tensor, limit: Tensor, _t: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, -limit), limit)


def delayed(audio: Tensor, delay: Tensor) -> Tensor:
    """Delay by a time-varying number of samples, zeros before the start.

    Catmull-Rom interpolation: exact at integer delays, which is what every clip
    without clock drift has.

    Parameters
    ----------
    audio : Tensor, shape (clips, samples)
        Signal.
    delay : Tensor, shape (clips, samples) or (clips, 1)
        Delay >= 0 of each output sample.
    """
    samples = audio.shape[1]
    place = torch.arange(samples, device=audio.device, dtype=torch.float64) - delay.double()
    base = place.floor()
    t = (place - base).to(audio.dtype)
    index = base.long()

    def tap(shift: int) -> Tensor:
        at = index + shift
        inside = (at >= 0) & (at < samples)
        return audio.gather(1, at.clamp(0, samples - 1)) * inside

    a, b, c, d = tap(-1), tap(0), tap(1), tap(2)
    quadratic = 2 * a - 5 * b + 4 * c - d
    return b + 0.5 * t * ((c - a) + t * (quadratic + t * (3 * (b - c) + d - a)))


def shape_responses(draw: Draw, responses: Tensor, rate: int = SAMPLE_RATE) -> Tensor:
    """Vary a bank's responses so that it never repeats exactly.

    Half of the clips decay faster by up to 14 nepers per second; everything later
    than 1.5 ms after the peak is scaled by -6 to +3 dB. Both act alike on all paths
    of a clip. (clips, paths, samples) -> the same shape.
    """
    clips, _, samples = responses.shape
    time = (torch.arange(samples, device=responses.device) - PEAK_SAMPLE).clamp(min=0)
    decay = draw.uniform(0.0, 14.0, clips, 1) * draw.chance(0.5, clips, 1)
    late = decibels(draw.uniform(-6.0, 3.0, clips, 1))
    gain = torch.exp(-decay * time / rate)
    return responses * torch.where(time > 0.0015 * rate, gain * late, gain)[:, None]


def early_part(responses: Tensor, early_s: float, rate: int = SAMPLE_RATE) -> Tensor:
    """Cut responses `early_s` after the peak, with a fade of 5 ms that ends there."""
    samples = responses.shape[-1]
    end = PEAK_SAMPLE + early_s * rate
    steps = torch.arange(samples, device=responses.device)
    return responses * ((end - steps) / (0.005 * rate)).clamp(0, 1)
