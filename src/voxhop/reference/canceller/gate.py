"""Takes an estimated echo from a spectrum, band by band, as far as it proves to be there.

B batch, T frames, F = 256 bins, G bands of eight bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from voxhop.reference.filterbank import Analysis

BAND_BINS = 8
FIT_SMOOTHING = 0.97
FIT_FLOOR = 1e-7
UNHEARD = 0.0125
SHUT_BELOW = 0.5
OPEN_ABOVE = 0.8


class Fit(NamedTuple):
    """How well a filter's estimates fitted, (B, G) each."""

    common: Tensor  # smoothed Re<D, Y>
    power: Tensor  # smoothed <Y, Y>


class GateState(NamedTuple):
    """What a stream remembers of its estimates."""

    audio: Tensor  # (3B, 256): the last hop of `after`, `steady`, `quick`
    steady: Fit
    quick: Fit


class Verdicts(NamedTuple):
    """What passed between the filters in a hop: Tensors of bool, (B,) or, of many hops, (B, T).

    Attributes
    ----------
    take, lost
        The steady filter took the quick one's weights; then the quick one the steady one's.
    restart
        Then the quick filter started again from nothing.
    heard
        The quick filter's estimate is the one to be subtracted.
    """

    take: Tensor
    lost: Tensor
    restart: Tensor
    heard: Tensor


class EchoEstimate(NamedTuple):
    """What the filters say the echo is, (B, N) each.

    Attributes
    ----------
    after
        By the heard filter, adapted to the very hop: what is to be subtracted.
    steady, quick
        By each filter before it saw the hop: what can be compared with the hop.
    verdicts
    place : Tensor of int64, (B,) or, of many hops, (B, T)
        Partition in which the echo is strongest; -1 where nothing is known.
    """

    after: Tensor
    steady: Tensor
    quick: Tensor
    verdicts: Verdicts
    place: Tensor


def gate_echo(
    analysis: Analysis, mic: Tensor, echo: EchoEstimate, state: GateState | None = None
) -> tuple[Tensor, Tensor, GateState]:
    """Subtract echo estimates from the microphone's frames.

    With D such a frame and Y the estimate made *before* the filter saw it, a band's fit
    <D, Y> / <Y, Y> is one where the estimate is the echo, and falls towards zero where it is
    not, whatever the near end does. A band whose fit over half a second is below 0.5 is left
    alone, one above 0.8 is subtracted whole, bins between the middles of bands by what lies
    between; nor is a band open before it was judged. Weights that move between the filters take
    along how well they fitted. A frame never becomes louder.

    Parameters
    ----------
    analysis
        The filterbank that made `mic`.
    mic : Tensor, (B, T, F, 2)
        The microphone's frames.
    echo : EchoEstimate
        Of T hops.
    state
        What the previous call returned; None starts from silence.

    Returns
    -------
    residual, echo : Tensor, (B, T, F, 2)
        What is left, and what was subtracted.
    state : GateState
    """
    samples = torch.cat((echo.after, echo.steady, echo.quick))
    spectra, audio = analysis(samples, None if state is None else state.audio)
    estimate, *judged = spectra.chunk(3)
    bands = (*mic.shape[:2], -1, BAND_BINS)
    energy = _dot(estimate, estimate).view(bands).sum(3)  # (B, T, G)
    seen = [Fit(*(_dot(a, y).view(bands).sum(3) for a in (mic, y))) for y in judged]
    nothing = Fit(*(torch.zeros_like(energy[:, 0]) for _ in range(2)))
    steady, quick = (nothing, nothing) if state is None else state[1:]
    residuals, echoes = [], []
    for t in range(mic.shape[1]):
        steady, quick = (
            _smoothed(fit, now, t) for fit, now in zip((steady, quick), seen, strict=True)
        )
        take, lost, restart, heard = (flag[:, t, None] for flag in echo.verdicts)
        gain = torch.where(heard, _gain(quick, energy[:, t]), _gain(steady, energy[:, t]))
        steady = _moved(take, quick, steady)
        quick = _moved(restart, nothing, _moved(lost, steady, quick))
        taken = estimate[:, t] * _between(gain)[..., None]
        taken = taken * no_louder(mic[:, t], taken)
        echoes.append(taken)
        residuals.append(mic[:, t] - taken)
    return torch.stack(residuals, 1), torch.stack(echoes, 1), GateState(audio, steady, quick)


def _smoothed(fit: Fit, seen: Fit, t: int) -> Fit:
    both = zip(fit, seen, strict=True)
    return Fit(*(FIT_SMOOTHING * old + (1 - FIT_SMOOTHING) * new[:, t] for old, new in both))


def _moved(rows: Tensor, yes: Fit, no: Fit) -> Fit:
    return Fit(*(torch.where(rows, a, b) for a, b in zip(yes, no, strict=True)))


def _gain(fit: Fit, energy: Tensor) -> Tensor:
    """(B, G): how much of an estimate of this energy to subtract."""
    share = fit.common / (fit.power + UNHEARD * energy + FIT_FLOOR)
    return opened(share, SHUT_BELOW, OPEN_ABOVE)


def opened(fit: Tensor, shut_below: float, open_above: float) -> Tensor:
    """Tell how far something is open, 0 to 1, that opens as it proves to fit."""
    return ((fit - shut_below) / (open_above - shut_below)).clamp(0, 1)


def _between(gains: Tensor) -> Tensor:
    """(B, G) -> (B, F): straight lines between the middles of bands.

    Steps would ring within the frame.
    """
    bands = gains.shape[1]
    bins = torch.arange(bands * BAND_BINS, device=gains.device, dtype=gains.dtype)
    at = ((bins + 0.5) / BAND_BINS - 0.5).clamp(0, bands - 1)
    low = at.long()
    high = (low + 1).clamp(max=bands - 1)
    return gains[:, low] + (at - low) * (gains[:, high] - gains[:, low])


def no_louder(mic: Tensor, echo: Tensor) -> Tensor:
    """Tell what of an echo to subtract from a frame, (B, F, 2) both.

    Returns
    -------
    gain : Tensor, (B, 1, 1)
        One, or the best one where subtracting all adds energy to the frame.
    """
    fits, energy = _dot(mic, echo).sum(1), _dot(echo, echo).sum(1)
    best = (fits / energy.clamp(min=FIT_FLOOR)).clamp(0, 1)
    return torch.where(energy > 2 * fits, best, torch.ones_like(best))[:, None, None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Re(a conj(b)) of (..., F, 2) -> (..., F)."""
    return (a * b).sum(-1)
