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
SHUT_BELOW = 0.5
OPEN_ABOVE = 0.8


class GateState(NamedTuple):
    """What a stream remembers of its estimates."""

    audio: Tensor  # (2B, 256): the last hop of `after`, then of `before`
    common: Tensor  # (B, G), smoothed Re<D, Y>
    power: Tensor  # (B, G), smoothed <Y, Y>


class EchoEstimate(NamedTuple):
    """What the filters say the echo is, (B, N) each.

    Attributes
    ----------
    after
        By the chosen filter, adapted to the very hop: what is to be subtracted.
    before
        By the steady filter before it saw the hop: what can be compared with the hop.
    """

    after: Tensor
    before: Tensor


def gate_echo(
    analysis: Analysis, mic: Tensor, echo: EchoEstimate, state: GateState | None = None
) -> tuple[Tensor, Tensor, GateState]:
    """Subtract echo estimates from the microphone's frames.

    With D such a frame and Y the estimate made *before* the filter saw it, a band's fit
    <D, Y> / <Y, Y> is one where the estimate is the echo, and falls towards zero where it is
    not, whatever the near end does. A band whose fit over half a second is below 0.5 is left
    alone, one above 0.8 is subtracted whole. A frame never becomes louder.

    Parameters
    ----------
    analysis
        The filterbank that made `mic`.
    mic : Tensor, (B, T, F, 2)
        The microphone's frames.
    echo : EchoEstimate, (B, T*256) each
    state
        What the previous call returned; None starts from silence.

    Returns
    -------
    residual, echo : Tensor, (B, T, F, 2)
        What is left, and what was subtracted.
    state : GateState
    """
    spectra, audio = analysis(torch.cat(echo), None if state is None else state.audio)
    estimate, judged = spectra.chunk(2)
    bands = (*mic.shape[:2], -1, BAND_BINS)
    common = _dot(mic, judged).view(bands).sum(3)  # (B, T, G)
    power = _dot(judged, judged).view(bands).sum(3)
    past = torch.zeros_like(common[:, 0])
    state = state or GateState(audio, past, past)
    residuals, echoes = [], []
    for t in range(mic.shape[1]):
        smoothed = [
            FIT_SMOOTHING * old + (1 - FIT_SMOOTHING) * new[:, t]
            for old, new in ((state.common, common), (state.power, power))
        ]
        state = GateState(audio, *smoothed)
        fit = state.common / (state.power + FIT_FLOOR)
        gain = ((fit - SHUT_BELOW) / (OPEN_ABOVE - SHUT_BELOW)).clamp(0, 1)
        taken = estimate[:, t] * gain.repeat_interleave(BAND_BINS, 1)[..., None]
        taken = taken * _no_louder(mic[:, t], taken)
        echoes.append(taken)
        residuals.append(mic[:, t] - taken)
    return torch.stack(residuals, 1), torch.stack(echoes, 1), state


def _no_louder(mic: Tensor, echo: Tensor) -> Tensor:
    """Gain (B, 1, 1): one, or the best one where subtracting all adds energy to the frame."""
    fits, energy = _dot(mic, echo).sum(1), _dot(echo, echo).sum(1)
    best = (fits / energy.clamp(min=FIT_FLOOR)).clamp(0, 1)
    return torch.where(energy > 2 * fits, best, torch.ones_like(best))[:, None, None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Re(a conj(b)) of (..., F, 2) -> (..., F)."""
    return (a * b).sum(-1)
