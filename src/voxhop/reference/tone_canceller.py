"""Takes steady tones (mains hum, whines, beeps) from a microphone: found by phase, then tracked.

B batch, T hops, S hop (256 samples), K = 512, N = 32 frames of K samples, one per hop, M = 16
tones. See ``docs/tones.md``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from voxhop.reference.filterbank import FILTERBANK_FFT, FILTERBANK_HOP, power_of

TONES = 16
FRAMES = 32
BINS = FILTERBANK_FFT // 2  # 0 to 255; the first is never looked at
LOOKED_AT = BINS // FRAMES  # bins in each hop, so that every bin is looked at in every N hops
GRID = 64  # frequencies per cycle and hop; a bin's own are the 2 * WIDTH + 1 in the middle
WIDTH = 19
COHERENT = 0.65
SAME_RATE = 1 / 62.5  # cycles per hop: 1 Hz
SAME_PHASE = 0.8 / 62.5
APART = 2 * math.pi * 6 / 16000  # rad per sample: 6 Hz
AUDIBLE_BIN = 1e-3
QUIET = 1e-4  # amplitude
FORGET = 1e-4
LAG_SMOOTHING, LAG_SHARE = 0.9, 0.05
FASTEST = 0.25
FIRST_DOUBT, FIRST_NEAR = 0.05, 0.1
NEAR_SMOOTHING, NEAR_RISE = 0.9, 0.2
FIT_SMOOTHING = 0.9
NO_FIT, FIT_RANGE = 0.4, 0.3
PHASE_STEP = 0.5
IDLE_HOPS = 60
POWER_FLOOR = 1e-12
PAUSE_LOUDER = 4.0


class Tones(NamedTuple):
    """What is known of each tone, (B, M) each; one of amplitude 0 is none."""

    amplitude: Tensor  # complex, at the first sample of the next hop
    rate: Tensor  # rad per sample
    doubt: Tensor  # variance of the amplitude
    near: Tensor  # smoothed power of what else is there
    last: Tensor  # complex, the last hop's error, and smoothed errors, as turned as the amplitude
    lag: Tensor
    fit: Tensor  # smoothed Re<microphone, tone>
    power: Tensor  # smoothed <tone, tone>
    idle: Tensor  # int64, hops in a row in which it was not there


class ToneState(NamedTuple):
    """What a stream remembers between hops."""

    hop: int
    past: Tensor  # (B, S), the last hop without tones
    frames: Tensor  # (B, N, BINS) complex of its frames, oldest first
    rates: Tensor  # (B, BINS) cycles per hop off the bin's middle, as last seen
    phases: Tensor  # (B, BINS) in the middle of those frames
    seen: Tensor  # (B, BINS) bool
    tones: Tones


@torch.no_grad()
def cancel_tones(mic: Tensor, state: ToneState | None = None) -> tuple[Tensor, ToneState]:
    """Take from a microphone the tones that have been steady for a second.

    Parameters
    ----------
    mic : Tensor, (B, T * S) f32 or f64
    state
        What the previous call returned; None starts from silence.

    Returns
    -------
    left : Tensor, (B, T * S)
        The same, bit for bit, as long as no tone is known.
    state : ToneState
    """
    if state is None:
        state = _silence(mic)
    left = []
    for hop in torch.split(mic, FILTERBANK_HOP, 1):
        tones, out, without = _track(state.tones, hop)
        state = _searched(_framed(state._replace(tones=tones), without))
        left.append(out)
    return torch.cat(left, 1), state


def _silence(like: Tensor) -> ToneState:
    batch = len(like)
    real = like.new_zeros(batch, BINS)
    frames = torch.complex(real, real)[:, None].repeat(1, FRAMES, 1)
    none = like.new_zeros(batch, TONES)
    still = torch.complex(none, none)
    tones = Tones(still, *(none,) * 3, still, still, none, none, none.long())
    past = like.new_zeros(batch, FILTERBANK_HOP)
    return ToneState(0, past, frames, real, real, real > 0, tones)


def _track(tones: Tones, hop: Tensor) -> tuple[Tones, Tensor, Tensor]:
    """Follow the tones through a hop; return it less what fits, and less all of them."""
    known = tones.amplitude != 0
    if not known.any():
        return tones, hop, hop
    n = torch.arange(FILTERBANK_HOP, dtype=hop.dtype, device=hop.device)
    turns = torch.polar(torch.ones_like(n), tones.rate[:, :, None] * n)  # (B, M, S)
    error = hop - (tones.amplitude[:, :, None] * turns).real.sum(1)
    c = 2 / FILTERBANK_HOP * (turns.conj() * error[:, None]).sum(2)
    power = power_of(tones.amplitude)
    along = c * tones.amplitude.conj()

    fit = _smoothed(tones.fit, along.real + power, FIT_SMOOTHING)
    smooth_power = _smoothed(tones.power, power, FIT_SMOOTHING)
    there = ((fit / (smooth_power + POWER_FLOOR) - NO_FIT) / FIT_RANGE).clamp(0, 1)

    # What lags behind goes on from hop to hop; what else is there does not.
    noise = power_of(c - tones.last) / 2
    lag = _smoothed(tones.lag, c, LAG_SMOOTHING)
    total = torch.maximum(tones.near, _smoothed(tones.near, noise, 1 - NEAR_RISE))
    gain = (tones.doubt / (tones.doubt + total + POWER_FLOOR)).clamp(max=FASTEST)
    late = (along.imag / (power + POWER_FLOOR)).clamp(-PHASE_STEP, PHASE_STEP)
    rate = tones.rate + gain.square() / 4 * late / FILTERBANK_HOP
    amplitude = tones.amplitude + gain * c
    each = (amplitude[:, :, None] * turns).real * known[:, :, None]
    out = hop - _no_pause_filled(hop, (there[:, :, None] * each).sum(1))
    without = hop - each.sum(1)

    idle = torch.where(there > 0, 0, tones.idle + 1)
    turn = torch.polar(torch.ones_like(rate), rate * FILTERBANK_HOP)
    amplitude = amplitude * turn
    stays = known & (idle <= IDLE_HOPS) & (amplitude.abs() >= QUIET)
    new = Tones(
        amplitude,
        rate,
        tones.doubt * (1 - gain) + FORGET * power + LAG_SHARE * power_of(lag),
        _smoothed(tones.near, noise, NEAR_SMOOTHING),
        c * turn,
        lag * turn,
        fit,
        smooth_power,
        idle,
    )
    return Tones(*(value * stays for value in new)), out, without


def _no_pause_filled(hop: Tensor, sound: Tensor) -> Tensor:
    """Keep of a sound that is 6 dB louder than the microphone what fits best."""
    fits, energy = (hop * sound).sum(1), sound.square().sum(1)
    best = (fits / energy.clamp(min=POWER_FLOOR)).clamp(0, 1)
    louder = energy > PAUSE_LOUDER * hop.square().sum(1)
    return torch.where(louder, best, 1.0)[:, None] * sound


def _framed(state: ToneState, without: Tensor) -> ToneState:
    """Add the frame that ends with a hop."""
    n = torch.arange(FILTERBANK_FFT, dtype=without.dtype, device=without.device)
    window = torch.sin(math.pi * (n + 0.5) / FILTERBANK_FFT).square()
    frame = torch.fft.rfft(torch.cat((state.past, without), 1) * window)[:, :BINS]
    frames = torch.cat((state.frames[:, 1:], frame[:, None]), 1)
    return state._replace(hop=state.hop + 1, past=without, frames=frames)


def _searched(state: ToneState) -> ToneState:
    """Look at the bins whose turn it is; what is seen a second time becomes a tone."""
    if state.hop <= FRAMES:
        return state
    first = (state.hop - 1) % FRAMES * LOOKED_AT
    bins = slice(first, first + LOOKED_AT)
    z = state.frames[:, :, bins].transpose(1, 2)  # (B, 8, N)
    magnitude = z.abs()
    dtype, device = magnitude.dtype, magnitude.device
    at = torch.arange(FRAMES, dtype=dtype, device=device)
    k = torch.arange(first, first + LOOKED_AT, dtype=dtype, device=device)
    # The middle of an odd bin turns by half a cycle with every hop.
    u = z / (magnitude + AUDIBLE_BIN) * (1 - 2 * (k[:, None] * at % 2))
    window = torch.sin(math.pi * (at + 1) / (FRAMES + 1)).square()
    u = u * window / window.sum()
    middle = at - (FRAMES - 1) / 2
    grid = torch.arange(-WIDTH, WIDTH + 1, dtype=dtype, device=device) / GRID
    found = (u @ torch.polar(magnitude.new_ones(()), -2 * math.pi * middle[:, None] * grid)).abs()
    coherence, best = found[:, :, 1:-1].max(2)
    near = torch.stack([found.gather(2, best[:, :, None] + i)[:, :, 0] for i in range(3)])
    left, peak, right = near.clamp(min=1e-9).log()
    curve = left - 2 * peak + right
    between = torch.where(curve < 0, 0.5 * (left - right) / curve, 0).clamp(-1, 1)
    rate = (best + 1 - WIDTH + between) / GRID
    turned = u * torch.polar(
        torch.ones_like(rate)[:, :, None], -2 * math.pi * rate[:, :, None] * middle
    )
    phase = turned.sum(2).angle()

    seen = coherence >= COHERENT
    seen &= k > 0
    step = phase - state.phases[:, bins] - 2 * math.pi * FRAMES * rate
    step = (step / (2 * math.pi) + 0.5).remainder(1) - 0.5
    step = step / FRAMES
    again = seen & state.seen[:, bins] & ((rate - state.rates[:, bins]).abs() < SAME_RATE)
    again &= step.abs() < SAME_PHASE
    state = state._replace(
        rates=_put(state.rates, bins, rate),
        phases=_put(state.phases, bins, phase),
        seen=_put(state.seen, bins, seen),
    )
    if not again.any():
        return state
    rate = rate + step
    off = 2 * rate  # bins
    response = FILTERBANK_HOP * torch.sinc(off) / (1 - off.square())
    size = 2 / response * magnitude.median(2).values
    omega = 2 * math.pi * (k + off) / FILTERBANK_FFT
    newest = phase + math.pi * (FRAMES - 1) * rate + math.pi * (k % 2)
    start = newest - 2 * math.pi * off / FILTERBANK_FFT * (FILTERBANK_FFT - 1) / 2
    amplitude = torch.polar(size, start + FILTERBANK_FFT * omega)
    tones = state.tones
    for i in range(LOOKED_AT):
        tones = _born(tones, again[:, i], amplitude[:, i], omega[:, i])
    return state._replace(tones=tones)


def _born(tones: Tones, wanted: Tensor, amplitude: Tensor, rate: Tensor) -> Tones:
    """Give a tone the first free place, unless it is known."""
    known = tones.amplitude != 0
    close = (known & ((tones.rate - rate[:, None]).abs() < APART)).any(1)
    place = (~known).long().argmax(1)
    wanted = wanted & ~close & ~known.all(1) & (amplitude.abs() >= QUIET)
    here = wanted[:, None] & (torch.arange(TONES, device=rate.device) == place[:, None])
    power = power_of(amplitude)
    first = (
        amplitude, rate, FIRST_DOUBT * power, FIRST_NEAR * power, 0 * amplitude, 0 * amplitude,
        power / 2, power, torch.zeros_like(place),
    )  # fmt: skip
    values = (torch.where(here, a[:, None], b) for a, b in zip(first, tones, strict=True))
    return Tones(*values)


def _put(whole: Tensor, bins: slice, values: Tensor) -> Tensor:
    whole = whole.clone()
    whole[:, bins] = values
    return whole


def _smoothed(old: Tensor, now: Tensor, share: float) -> Tensor:
    return share * old + (1 - share) * now
