"""A linear echo canceller: two partitioned frequency-domain Kalman filters and a gate.

B batch, T hops, S hop (256 samples), K transform (512), F = 257 bins of the filters, P
partitions of S taps. See ``docs/canceller.md`` for the design and what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from voxhop.errors import ShapeError
from voxhop.reference.echo_gate import EchoEstimate, GateState, gate_echo
from voxhop.reference.filterbank import FILTERBANK_FFT, FILTERBANK_HOP, Analysis

PARTITIONS = (16, 32, 48)
GROUP = 16

PRIOR_DECAY = 0.1
POWER_SMOOTHING = 0.8
NEAR_SMOOTHING = 0.8
NEAR_FLOOR = 1e-7
NEAR_SHARE = 0.5
UNCERTAINTY_FLOOR = 1e-10

QUICK_BETTER = 10 ** (-0.1)
QUICK_USEFUL = 0.8
TAKE_HOPS = 3
QUICK_HEARD = 10 ** (-0.05)
HEARD_HOPS = 2
QUICK_LOST = 10**0.6
RESTART_SHARE = 0.5
RESTART_HOPS = 6
RESTART_PAUSE = 60
PLAYING = 1e-4


@dataclass(frozen=True)
class FilterRule:
    """How one filter adapts.

    Parameters
    ----------
    prior
        Uncertainty of the first partition at the start, for an echo of unit gain.
    shrink
        How much of the uncertainty a perfectly fitting bin takes away; 0.5 is Kalman's rule
        with independent partitions, less is slower to trust.
    forget
        Share of a tap's energy that becomes uncertain again with every hop.
    spread
        Part of the whole path's energy that does so in every partition.
    constrain_all
        Whether the whole gradient is constrained in every hop, or in every other hop the
        weights of one group of 16 partitions.
    """

    prior: float
    shrink: float
    forget: float
    spread: float = 0.0
    constrain_all: bool = True


STEADY = FilterRule(prior=0.05, shrink=0.5, forget=2e-4, constrain_all=False)
QUICK = FilterRule(prior=0.25, shrink=0.1, forget=4e-4, spread=0.1)


class FilterState(NamedTuple):
    """One filter of a stream."""

    weights: Tensor  # (B, P, F) complex
    uncertainty: Tensor  # (B, P, F)
    near: Tensor  # (B, F), smoothed power of what is not echo


class Decision(NamedTuple):
    """Smoothed powers and counts that decide between the filters, (B,) each."""

    steady: Tensor
    quick: Tensor
    mic: Tensor
    better_hops: Tensor
    heard_hops: Tensor
    bad_hops: Tensor
    pause_hops: Tensor


class CancellerState(NamedTuple):
    """Everything a stream remembers between hops."""

    hop: int
    reference: Tensor  # (B, S), the last hop
    spectra: Tensor  # (B, P, F) complex, newest first
    steady: FilterState
    quick: FilterState
    decision: Decision
    gate: GateState | None  # None until `Canceller.cancel` has run


class CancellerOutput(NamedTuple):
    """Spectra of the residual and of the subtracted echo, (B, T, 256, 2) each."""

    residual: Tensor
    echo: Tensor


class Canceller:
    """Estimates the linear part of the echo and takes it from the microphone's spectrum.

    Parameters
    ----------
    partitions
        P, 16, 32 or 48: a tail of 256, 512 or 768 ms.

    Raises
    ------
    ValueError
        For another number of partitions.
    """

    def __init__(self, partitions: int = 32) -> None:
        if partitions not in PARTITIONS:
            raise ValueError(f"partitions: {partitions}, expected 16, 32 or 48")
        self.partitions = partitions

    def cancel(
        self,
        mic: Tensor,
        ref: Tensor,
        analysis: Analysis,
        heard: Tensor,
        state: CancellerState | None = None,
    ) -> tuple[CancellerOutput, CancellerState]:
        """Cancel in hops.

        Parameters
        ----------
        mic, ref : Tensor, (B, T*256) f32 or f64
            Samples of microphone and loudspeaker.
        analysis
            The filterbank.
        heard : Tensor, (B, T, 256, 2)
            The microphone's frames by this filterbank.
        state
            What the previous call returned; None starts from silence.

        Returns
        -------
        output : CancellerOutput
        state : CancellerState

        Raises
        ------
        ShapeError
            For shapes that do not fit.
        """
        estimate, new = self.estimate(mic, ref, state)
        past = None if state is None else state.gate
        residual, echo, gate = gate_echo(analysis, heard, estimate, past)
        return CancellerOutput(residual, echo), new._replace(gate=gate)

    @torch.no_grad()
    def estimate(
        self, mic: Tensor, ref: Tensor, state: CancellerState | None = None
    ) -> tuple[EchoEstimate, CancellerState]:
        """Run the two filters only; arguments and errors as for `cancel`."""
        if mic.dim() != 2 or mic.shape[1] % FILTERBANK_HOP or ref.shape != mic.shape:  # noqa: PLR2004
            raise ShapeError(
                f"mic, ref: shapes {tuple(mic.shape)}, {tuple(ref.shape)}, expected (B, N) twice, "
                f"N a multiple of {FILTERBANK_HOP}"
            )
        if state is None:
            state = self._first(mic)
        after, before = [], []
        for start in range(0, mic.shape[1], FILTERBANK_HOP):
            part = slice(start, start + FILTERBANK_HOP)
            now, old, state = self._hop(mic[:, part], ref[:, part], state)
            after.append(now)
            before.append(old)
        return EchoEstimate(torch.cat(after, 1), torch.cat(before, 1)), state

    def _first(self, mic: Tensor) -> CancellerState:
        hop = mic.new_zeros(mic.shape[0], FILTERBANK_HOP)
        bins = hop.new_zeros(len(hop), FILTERBANK_FFT // 2 + 1)
        spectra = torch.complex(bins, bins)[:, None].repeat(1, self.partitions, 1)
        none = torch.zeros(len(hop), dtype=torch.int64, device=mic.device)
        still = hop[:, 0]
        steady, quick = (
            FilterState(spectra, self._prior(rule, spectra).expand(spectra.shape), bins)
            for rule in (STEADY, QUICK)
        )
        decision = Decision(still, still, still, none, none, none, none)
        return CancellerState(0, hop, spectra, steady, quick, decision, None)

    def _prior(self, rule: FilterRule, like: Tensor) -> Tensor:
        """(1, P, 1): rooms decay."""
        index = torch.arange(self.partitions, device=like.device, dtype=like.real.dtype)
        return (rule.prior * torch.exp(-PRIOR_DECAY * index))[None, :, None]

    def _hop(
        self, d: Tensor, x: Tensor, state: CancellerState
    ) -> tuple[Tensor, Tensor, CancellerState]:
        newest = torch.fft.rfft(torch.cat((state.reference, x), 1))
        spectra = torch.cat((newest[:, None], state.spectra[:, :-1]), 1)
        steady, quick = state.steady, state.quick
        e_steady, e_quick = d - _echo(steady, spectra), d - _echo(quick, spectra)
        before = d - e_steady
        decision, take, lost, restart = _compare(state.decision, d, x, e_steady, e_quick)

        # Weights move between the filters; each keeps its own idea of how sure it is.
        weights = _where(take, quick.weights, steady.weights)
        e_steady = _where(take, e_quick, e_steady)
        quick_weights = _where(lost, weights, quick.weights)
        e_quick = _where(lost, e_steady, e_quick)
        prior = self._prior(QUICK, spectra)
        uncertain = torch.maximum(quick.uncertainty, prior)
        quick = FilterState(
            _where(restart, torch.zeros_like(quick_weights), quick_weights),
            _where(restart, uncertain, quick.uncertainty),
            _where(restart, torch.zeros_like(quick.near), quick.near),
        )
        e_quick = _where(restart, d, e_quick)

        steady = steady._replace(weights=weights)
        steady, left = self._adapt(STEADY, steady, spectra, d, e_steady, state.hop)
        quick, quick_left = self._adapt(QUICK, quick, spectra, d, e_quick, state.hop)
        left = _where(decision.heard_hops >= HEARD_HOPS, quick_left, left)
        new = CancellerState(state.hop + 1, x, spectra, steady, quick, decision, state.gate)
        return d - left, before, new

    def _adapt(
        self, rule: FilterRule, f: FilterState, spectra: Tensor, d: Tensor, e: Tensor, hop: int
    ) -> tuple[FilterState, Tensor]:
        """Adapt a filter to a hop whose error was e (B, S); return what then is left of d."""
        power = _power(spectra)
        error = _spectrum(e)
        misfit = 0.5 * (f.uncertainty * power).sum(1)
        at_least = NEAR_SMOOTHING * f.near + (1 - NEAR_SMOOTHING) * NEAR_SHARE * _power(error)
        total = misfit + torch.maximum(f.near, at_least) + NEAR_FLOOR
        gain = f.uncertainty / total[:, None]
        step = gain * spectra.conj() * error[:, None]
        if rule.constrain_all:
            weights = f.weights + _constrained(step)
        else:
            weights = f.weights + step
            if hop % 2 == 0:
                first = hop // 2 * GROUP % self.partitions
                group = slice(first, first + GROUP)
                weights[:, group] = _constrained(weights[:, group])
        taps = _power(weights)
        shape = self._prior(rule, spectra)
        spread = rule.spread * taps.sum(1, keepdim=True) * shape / shape.sum()
        uncertainty = f.uncertainty * (1 - rule.shrink * gain * power)
        uncertainty = uncertainty + rule.forget * (taps + spread)
        new = FilterState(weights, uncertainty.clamp(min=UNCERTAINTY_FLOOR), f.near)
        left = d - _echo(new, spectra)
        near = NEAR_SMOOTHING * f.near + (1 - NEAR_SMOOTHING) * _power(_spectrum(left))
        return new._replace(near=near), left


def _compare(
    past: Decision, d: Tensor, x: Tensor, e_steady: Tensor, e_quick: Tensor
) -> tuple[Decision, Tensor, Tensor, Tensor]:
    """Tell from the errors before the update who is right.

    Returns
    -------
    decision : Decision
    take : Tensor of bool, (B,)
        The steady filter takes the quick one's weights.
    lost : Tensor of bool, (B,)
        The quick filter takes the steady one's.
    restart : Tensor of bool, (B,)
        The quick filter starts again from nothing.
    """

    def smoothed(old: Tensor, now: Tensor) -> Tensor:
        return POWER_SMOOTHING * old + (1 - POWER_SMOOTHING) * now.square().sum(1)

    mic = smoothed(past.mic, d)
    steady, quick = smoothed(past.steady, e_steady), smoothed(past.quick, e_quick)
    better = (quick < QUICK_BETTER * steady) & (quick < QUICK_USEFUL * mic)
    better_hops = _counted(past.better_hops, better)
    take = better_hops >= TAKE_HOPS
    steady = torch.where(take, quick, steady)
    lost = quick > QUICK_LOST * steady
    quick = torch.where(lost, steady, quick)
    bad = (quick > RESTART_SHARE * mic) & (x.square().sum(1) > PLAYING)
    bad_hops = torch.where(bad, past.bad_hops + 1, past.bad_hops - 1).clamp(0, RESTART_HOPS)
    pause_hops = (past.pause_hops - 1).clamp(min=0)
    restart = (bad_hops >= RESTART_HOPS) & (pause_hops == 0)
    quick = torch.where(restart, mic, quick)
    heard_hops = _counted(past.heard_hops, quick < QUICK_HEARD * steady)
    bad_hops = bad_hops * ~restart
    pause_hops = torch.where(restart, torch.full_like(pause_hops, RESTART_PAUSE), pause_hops)
    decision = Decision(steady, quick, mic, better_hops, heard_hops, bad_hops, pause_hops)
    return decision, take, lost, restart


def _counted(hops: Tensor, holds: Tensor) -> Tensor:
    """Hops in a row; the count stops where nothing asks further."""
    return torch.where(holds, (hops + 1).clamp(max=TAKE_HOPS), torch.zeros_like(hops))


def _where(rows: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (no.dim() - 1)), yes, no)


def _echo(f: FilterState, spectra: Tensor) -> Tensor:
    """(B, S): the half of the circular convolution that is linear."""
    return torch.fft.irfft((f.weights * spectra).sum(1), FILTERBANK_FFT)[:, FILTERBANK_HOP:]


def _spectrum(hop: Tensor) -> Tensor:
    """(B, S) -> (B, F), zeros before the hop."""
    return torch.fft.rfft(torch.cat((torch.zeros_like(hop), hop), 1))


def _constrained(weights: Tensor) -> Tensor:
    """Keep the taps that a partition has: (..., F) -> (..., F)."""
    taps = torch.fft.irfft(weights, FILTERBANK_FFT)[..., :FILTERBANK_HOP]
    return torch.fft.rfft(taps, FILTERBANK_FFT)


def _power(z: Tensor) -> Tensor:
    return z.real.square() + z.imag.square()
