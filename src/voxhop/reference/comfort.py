"""Comfort noise: what the room sounds like, where the echo was taken out.

B batch, T frames, F bins. All decisions are per frame and causal; see ``docs/models.md``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SMOOTHING = 0.1
SETTLE_HOPS = 12
MINIMUM_BIAS = 1.66
MINIMUM_HOPS = 24
MINIMA = 4
SUM_SMOOTHING = 0.3
REFERENCE_POWER = 1e-6
REFERENCE_HOPS = 40
ABOVE_FLOOR = 10.0
SUPPRESSED = 100.0
HOLD_HOPS = 90
FADE_HOPS = 8
SIGN_BINS = 16


class ComfortState(NamedTuple):
    """What a stream remembers of its noise and its echo."""

    hop: int
    tracked: Tensor  # (B,), hops that minima are counted in
    power: Tensor  # (B, F), smoothed
    current: Tensor  # (B, F), minimum of the running stretch
    minima: Tensor  # (B, MINIMA, F), of the stretches before
    reference_hops: Tensor  # (B,)
    hold_hops: Tensor  # (B,)
    heard: Tensor  # (B,), smoothed power of the microphone's frame
    left: Tensor  # (B,), of the masked one


def comfort_noise(
    z: Tensor, mic: Tensor, ref: Tensor, gain_db: float, state: ComfortState | None
) -> tuple[Tensor, ComfortState]:
    """Raise a masked spectrum to a floor under the microphone's noise.

    The floor N is the lowest smoothed power of the last 1.5 s outside echoes, times what a
    mean is above a minimum (minimum statistics). While an echo is being suppressed, each bin
    becomes z + max(0, g sqrt(N) - |z|) (+-1 +- j), with g = 10^(gain_db / 20) and random signs:
    sqrt(2) makes up for the half of the power that unrelated frames lose in the overlap.

    Parameters
    ----------
    z, mic, ref : Tensor, (B, T, F, 2)
        Spectra: masked, of the microphone, of the reference.
    gain_db : float
        Level of the comfort noise against the microphone's noise.
    state : ComfortState or None
        What the call for the frames before returned; None starts from silence.

    Returns
    -------
    raised : Tensor, (B, T, F, 2)
    state : ComfortState
    """
    if state is None:
        state = _first(mic)
    powers = [_power(x) for x in (z, mic, ref)]
    sums = [p.sum(2) for p in powers]
    gain = 10.0 ** (gain_db / 20.0)
    signs = _signs(state.hop, z)
    frames = []
    for t in range(z.shape[1]):
        state, floor = _track(state, powers[1][:, t])
        state, level = _gate(state, floor.sum(1), *(s[:, t] for s in sums), bins=z.shape[2])
        missing = (gain * floor.sqrt() - powers[0][:, t].sqrt()).clamp(min=0)
        part = level[:, None] * missing
        frames.append(z[:, t] + part[..., None] * signs[t])
        state = state._replace(hop=state.hop + 1)
    return torch.stack(frames, dim=1), state


def _first(mic: Tensor) -> ComfortState:
    zeros = mic.new_zeros(mic.shape[0], mic.shape[2])
    still, none = zeros[:, 0], torch.zeros(len(zeros), dtype=torch.int64, device=mic.device)
    highest = zeros[:, None].expand(-1, MINIMA, -1) + torch.finfo(torch.float32).max
    return ComfortState(0, none, zeros, zeros, highest, none, none, still, still)


def _track(state: ComfortState, now: Tensor) -> tuple[ComfortState, Tensor]:
    """Follow the noise floor by one frame's power (B, F); return it.

    Time stands still in an echo, or steady music would become noise.
    """
    first = state.hop == 0
    passes = state.hold_hops < HOLD_HOPS
    starts = passes & (state.tracked % MINIMUM_HOPS == 0)
    oldest = state.tracked // MINIMUM_HOPS % MINIMA
    takes = starts[:, None] & (oldest[:, None] == torch.arange(MINIMA, device=now.device))
    minima = state.minima
    if not first:
        minima = torch.where(takes[..., None], state.current[:, None], minima)
    power = state.power + max(SMOOTHING, 1 / (state.hop + 1)) * (now - state.power)
    restarts = starts | (state.hop < SETTLE_HOPS)
    current = torch.where(restarts[:, None], power, torch.minimum(state.current, power))
    floor = MINIMUM_BIAS * torch.minimum(current, minima.amin(1))
    tracked = state.tracked + passes
    return state._replace(tracked=tracked, power=power, current=current, minima=minima), floor


def _gate(
    state: ComfortState, floor: Tensor, left: Tensor, heard: Tensor, ref: Tensor, *, bins: int
) -> tuple[ComfortState, Tensor]:
    """Tell from sums over a frame, (B,) each, how much noise to add: 0 to 1."""
    heard = state.heard + SUM_SMOOTHING * (heard - state.heard)
    left = state.left + SUM_SMOOTHING * (left - state.left)
    playing = ref > REFERENCE_POWER * bins * bins
    fewer = (state.reference_hops - 1).clamp(min=0)
    reference = torch.where(playing, torch.full_like(fewer, REFERENCE_HOPS), fewer)
    echo = (reference > 0) & (heard > ABOVE_FLOOR * floor) & (heard > SUPPRESSED * left)
    fewer = (state.hold_hops - 1).clamp(min=0)
    hold = torch.where(echo, torch.full_like(fewer, HOLD_HOPS), fewer)
    state = state._replace(heard=heard, left=left, reference_hops=reference, hold_hops=hold)
    return state, (hold / FADE_HOPS).clamp(max=1).to(heard.dtype)


def _signs(hop: int, z: Tensor) -> Tensor:
    """(T, F, 2) of +-1: two bits of a hashed count for each bin."""
    words = z.shape[2] // SIGN_BINS
    count = torch.arange(hop * words, (hop + z.shape[1]) * words, device=z.device)
    word = _hashed(count & 0xFFFFFFFF)
    bits = word[:, None] >> torch.arange(2 * SIGN_BINS, device=z.device) & 1
    return (2 * bits - 1).to(z.dtype).view(z.shape[1], z.shape[2], 2)


def _hashed(word: Tensor) -> Tensor:
    """Scramble 32-bit counts with the finalizer of MurmurHash3."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = (word ^ word >> shift) * factor & 0xFFFFFFFF
    return word ^ word >> 16


def _power(z: Tensor) -> Tensor:
    """(B, T, F, 2) -> (B, T, F)."""
    return z.square().sum(3)
