"""Where in the tail the echo lies, told from microphone and reference alone.

B batch, P partitions, F bins of the filters, L = 128 bins from 250 Hz to 4.2 kHz. What a filter
that starts again begins with: see ``docs/canceller.md``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from voxhop.reference.filterbank import power_of

BINS = slice(8, 136)
KEEP = 0.95
POWER_FLOOR = 1e-6
MEDIAN_FLOOR = 2.5
DECAY = 0.7
LEAST = 1e-12


class Location(NamedTuple):
    """Smoothed cross-spectra of microphone and reference."""

    spectra: Tensor  # (B, P, L) complex
    loudness: Tensor  # (B, L), of the microphone


class Place(NamedTuple):
    """Where the echo is.

    Attributes
    ----------
    share : Tensor, (B, P)
        Of the echo's energy in each partition; sums to one, or to zero when nothing is known.
    evidence : Tensor, (B,)
        How far the strongest partition stands out of the others.
    """

    share: Tensor
    evidence: Tensor


def no_location(spectra: Tensor) -> Location:
    """Return what is known at the start, for filters of (B, P, F) complex weights."""
    looked_at = torch.zeros_like(spectra[:, :, BINS])
    return Location(looked_at, looked_at.real[:, 0].clone())


def locate(past: Location, ref: Tensor, mic: Tensor, sounds: Tensor) -> Location:
    """Take in a hop.

    Parameters
    ----------
    past : Location
    ref : Tensor, (B, P, F) complex
        Spectra of the reference, newest first.
    mic : Tensor, (B, F) complex
    sounds : Tensor of bool, (B,)
        What is known survives hops in which either side is silent.
    """
    x, d = ref[:, :, BINS], mic[:, BINS]
    heard = power_of(d)
    loudness = KEEP * past.loudness + (1 - KEEP) * heard
    power = (x.real.square() + x.imag.square()).mean(1) + POWER_FLOOR
    scaled = d / (power * (loudness + POWER_FLOOR)).sqrt()
    spectra = KEEP * past.spectra + x.conj() * scaled[:, None]
    return Location(
        torch.where(sounds[:, None, None], spectra, past.spectra),
        torch.where(sounds[:, None], loudness, past.loudness),
    )


def place_of(location: Location) -> Place:
    """Tell the place: partitions without an echo by their median, and that rooms decay."""
    s = location.spectra
    energy = (s.real.square() + s.imag.square()).sum(2)  # (B, P)
    partitions = energy.shape[1]
    floor = MEDIAN_FLOOR * energy.sort(1).values[:, partitions // 2]
    above = (energy - floor[:, None]).clamp(min=0)
    # The largest of DECAY^(p - q) above_q over q <= p.
    index = torch.arange(partitions, device=energy.device, dtype=energy.dtype)
    decay = DECAY**index
    run = (above / decay).cummax(1).values * decay
    total = run.sum(1, keepdim=True)
    share = torch.where(total > LEAST, run / total, torch.zeros_like(run))
    return Place(share, above.amax(1) / (floor + LEAST))
