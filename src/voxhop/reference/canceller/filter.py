"""A linear echo canceller: two partitioned frequency-domain Kalman filters, a gate, a follower.

B batch, T hops, S hop (256 samples), K transform (512), F = 257 bins of the filters, P
partitions of S taps. See ``docs/canceller.md`` for the design and what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from voxhop.errors import ShapeError
from voxhop.reference.canceller.follower import FollowerState, follow_echo
from voxhop.reference.canceller.gate import EchoEstimate, GateState, Verdicts, gate_echo
from voxhop.reference.canceller.location import Location, Place, locate, no_location, place_of
from voxhop.reference.filterbank import FILTERBANK_FFT, FILTERBANK_HOP, Analysis, power_of

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
WORSE_SHARE = 1.6
RESTART_HOPS = 6
RESTART_PAUSE = 60
PLAYING = 1e-4
SOUNDING = 1e-8
LEAST_EVIDENCE = 0.5
LOCATE_HOPS = 40
LOCATED = 0.97
LOCATE_TRUST = 0.97
PAUSE_BLOCK = 32
PAUSE_LOUDER = 4.0
ENERGY_FLOOR = 1e-12


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
    location: Location
    gate: GateState | None  # None until `Canceller.cancel` has run
    follower: FollowerState | None  # the same, and None without one


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
    follow
        Whether a follower takes what these filters are too slow for.

    Raises
    ------
    ValueError
        For another number of partitions.
    """

    def __init__(self, partitions: int = 32, *, follow: bool = False) -> None:
        if partitions not in PARTITIONS:
            raise ValueError(f"partitions: {partitions}, expected 16, 32 or 48")
        self.partitions = partitions
        self.follow = follow

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
        new = new._replace(gate=gate)
        if self.follow:
            played, _ = analysis(ref, None if state is None else state.reference)
            follower = None if state is None else state.follower
            residual, follower = follow_echo(
                residual, played, estimate.place, self.partitions, follower
            )
            echo, new = heard - residual, new._replace(follower=follower)
        return CancellerOutput(residual, echo), new

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
        estimates: list[tuple[Tensor, Tensor, Tensor]] = []
        verdicts: list[Verdicts] = []
        places: list[Tensor] = []
        for start in range(0, mic.shape[1], FILTERBANK_HOP):
            part = slice(start, start + FILTERBANK_HOP)
            hop, state = self._hop(mic[:, part], ref[:, part], state)
            estimates.append(hop[:3])
            verdicts.append(hop.verdicts)
            places.append(hop.place)
        after, steady, quick = (torch.cat([hop[i] for hop in estimates], 1) for i in range(3))
        flags = zip(*verdicts, strict=True)
        seen = Verdicts(*(torch.stack(flag, 1) for flag in flags))
        return EchoEstimate(after, steady, quick, seen, torch.stack(places, 1)), state

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
        location = no_location(spectra)
        return CancellerState(0, hop, spectra, steady, quick, decision, location, None, None)

    def _prior(self, rule: FilterRule, like: Tensor) -> Tensor:
        """(1, P, 1): rooms decay."""
        index = torch.arange(self.partitions, device=like.device, dtype=like.real.dtype)
        return (rule.prior * torch.exp(-PRIOR_DECAY * index))[None, :, None]

    def _hop(
        self, d: Tensor, x: Tensor, state: CancellerState
    ) -> tuple[EchoEstimate, CancellerState]:
        newest = torch.fft.rfft(torch.cat((state.reference, x), 1))
        spectra = torch.cat((newest[:, None], state.spectra[:, :-1]), 1)
        steady, quick = state.steady, state.quick
        e_steady, e_quick = d - _echo(steady, spectra), d - _echo(quick, spectra)
        before = d - e_steady, d - e_quick
        place = place_of(state.location)
        errors = Errors(d, x, e_steady, e_quick)
        decision, (take, lost, restart, heard) = _compare(state.decision, errors, place.evidence)

        # Weights move between the filters; each keeps its own idea of how sure it is.
        weights = _where(take, quick.weights, steady.weights)
        e_steady = _where(take, e_quick, e_steady)
        quick_weights = _where(lost, weights, quick.weights)
        e_quick = _where(lost, e_steady, e_quick)
        quick = FilterState(
            _where(restart, torch.zeros_like(quick_weights), quick_weights),
            self._doubt(quick.uncertainty, place, decision, restart),
            _where(restart, torch.zeros_like(quick.near), quick.near),
        )
        e_quick = _where(restart, d, e_quick)

        steady = steady._replace(weights=weights)
        steady, left = self._adapt(STEADY, steady, spectra, d, e_steady, state.hop)
        quick, quick_left = self._adapt(QUICK, quick, spectra, d, e_quick, state.hop)
        after = _without_pauses(d, d - _where(heard, quick_left, left))
        sounds = (d.square().sum(1) > SOUNDING) & (x.square().sum(1) > SOUNDING)
        location = locate(state.location, spectra, _spectrum(d), sounds)
        new = state._replace(
            hop=state.hop + 1,
            reference=x,
            spectra=spectra,
            steady=steady,
            quick=quick,
            decision=decision,
            location=location,
        )
        known = place.evidence >= LEAST_EVIDENCE
        strongest = torch.where(known, place.share.argmax(1), -1)
        return EchoEstimate(after, *before, Verdicts(take, lost, restart, heard), strongest), new

    def _doubt(
        self, uncertainty: Tensor, place: Place, decision: Decision, restart: Tensor
    ) -> Tensor:
        """Make the quick filter uncertain where the echo is, after a restart and with it."""
        prior = self._prior(QUICK, uncertainty)
        total = prior.sum()
        share = place.share[:, :, None]
        since = RESTART_PAUSE - decision.pause_hops
        matters = (decision.pause_hops > 0) & (since < LOCATE_HOPS) & (since > 0)
        least = (LOCATE_TRUST**since * matters)[:, None, None] * total * share
        first = LOCATED * total * share + (1 - LOCATED) * prior
        return _where(restart, first.expand_as(uncertainty), torch.maximum(uncertainty, least))

    def _adapt(
        self, rule: FilterRule, f: FilterState, spectra: Tensor, d: Tensor, e: Tensor, hop: int
    ) -> tuple[FilterState, Tensor]:
        """Adapt a filter to a hop whose error was e (B, S); return what then is left of d."""
        power = power_of(spectra)
        error = _spectrum(e)
        misfit = 0.5 * (f.uncertainty * power).sum(1)
        at_least = NEAR_SMOOTHING * f.near + (1 - NEAR_SMOOTHING) * NEAR_SHARE * power_of(error)
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
        taps = power_of(weights)
        shape = self._prior(rule, spectra)
        spread = rule.spread * taps.sum(1, keepdim=True) * shape / shape.sum()
        uncertainty = f.uncertainty * (1 - rule.shrink * gain * power)
        uncertainty = uncertainty + rule.forget * (taps + spread)
        new = FilterState(weights, uncertainty.clamp(min=UNCERTAINTY_FLOOR), f.near)
        left = d - _echo(new, spectra)
        near = NEAR_SMOOTHING * f.near + (1 - NEAR_SMOOTHING) * power_of(_spectrum(left))
        return new._replace(near=near), left


class Errors(NamedTuple):
    """A hop of microphone and reference, and both filters' errors before the update, (B, S)."""

    mic: Tensor
    ref: Tensor
    steady: Tensor
    quick: Tensor


def _compare(past: Decision, hop: Errors, evidence: Tensor) -> tuple[Decision, Verdicts]:
    """Tell from the errors before the update who is right."""

    def smoothed(old: Tensor, now: Tensor) -> Tensor:
        return POWER_SMOOTHING * old + (1 - POWER_SMOOTHING) * now.square().sum(1)

    mic = smoothed(past.mic, hop.mic)
    steady, quick = smoothed(past.steady, hop.steady), smoothed(past.quick, hop.quick)
    better = (quick < QUICK_BETTER * steady) & (quick < QUICK_USEFUL * mic)
    better_hops = _counted(past.better_hops, better)
    take = better_hops >= TAKE_HOPS
    steady = torch.where(take, quick, steady)
    lost = quick > QUICK_LOST * steady
    quick = torch.where(lost, steady, quick)
    playing = hop.ref.square().sum(1) > PLAYING
    bad = playing & (quick > RESTART_SHARE * mic)
    worse = playing & (quick > WORSE_SHARE * mic)
    bad_hops = past.bad_hops + torch.where(bad, 1, -1) + worse.long()
    bad_hops = bad_hops.clamp(0, RESTART_HOPS)
    pause_hops = (past.pause_hops - 1).clamp(min=0)
    restart = (bad_hops >= RESTART_HOPS) & (pause_hops == 0) & (mic > PLAYING)
    restart = restart & (evidence >= LEAST_EVIDENCE)
    quick = torch.where(restart, mic, quick)
    heard_hops = _counted(past.heard_hops, quick < QUICK_HEARD * steady)
    bad_hops = bad_hops * ~restart
    pause_hops = torch.where(restart, torch.full_like(pause_hops, RESTART_PAUSE), pause_hops)
    decision = Decision(steady, quick, mic, better_hops, heard_hops, bad_hops, pause_hops)
    return decision, Verdicts(take, lost, restart, heard_hops >= HEARD_HOPS)


def _without_pauses(mic: Tensor, echo: Tensor) -> Tensor:
    """Where 32 samples of an estimate are 6 dB louder than the microphone, keep what fits best.

    An estimate in a pause is a wrong one, whatever a talker does; (B, S) both.
    """
    d, y = (x.view(len(x), -1, PAUSE_BLOCK) for x in (mic, echo))
    fits, heard, energy = (d * y).sum(2), d.square().sum(2), y.square().sum(2)
    best = (fits / (energy + ENERGY_FLOOR)).clamp(0, 1)
    gain = torch.where(energy > PAUSE_LOUDER * heard, best, torch.ones_like(best))
    return (y * gain[:, :, None]).reshape(echo.shape)


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
