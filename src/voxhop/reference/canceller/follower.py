"""Takes from a spectrum what of an echo moves or bends too fast for the long filters.

B batch, T frames, F = 256 bins, P partitions of the tail, L = 8 of them. A short Kalman filter per
bin, in the frames of the network's own filterbank: see ``docs/canceller.md``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from voxhop.reference.canceller.gate import no_louder, opened
from voxhop.reference.filterbank import power_of

FOLLOWED_HOPS = 8
BEFORE_ECHO = 2
FARTHEST = 4
MOVE_HOPS = 60
PRIOR = 0.1
FORGET = 0.1
SHARED = 0.1
LEAST_PATH = 1e-4
UNCERTAINTY_FLOOR = 1e-10
NEAR_SMOOTHING = 0.8
NEAR_SHARE = 0.5
NEAR_FLOOR = 1e-6
PROOF_SMOOTHING = 0.98
SHUT_BELOW = 0.012
OPEN_ABOVE = 0.03


class Proof(NamedTuple):
    """How well the weights of two frames ago foretell, smoothed.

    Bins count alike: powers are those over `loudness`.
    """

    loudness: Tensor  # (B, F), of what the long filters left
    common: Tensor  # (B,), Re<D, Y>
    foretold: Tensor  # (B,), <Y, Y>
    heard: Tensor  # (B,), <D, D>


class FollowerState(NamedTuple):
    """What a stream remembers between frames."""

    first: Tensor  # (B,) int64, the newest hop that is looked at
    astray: Tensor  # (B,) int64, frames in a row in which the echo was elsewhere
    spectra: Tensor  # (B, P, F) complex, of the reference, newest first
    weights: Tensor  # (B, L, F) complex
    uncertainty: Tensor  # (B, L, F)
    near: Tensor  # (B, F), smoothed power of what is not echo
    older: Tensor  # (B, L, F) complex, the weights a frame before these
    proof: Proof


@torch.no_grad()
def follow_echo(
    residual: Tensor, ref: Tensor, place: Tensor, partitions: int, state: FollowerState | None
) -> tuple[Tensor, FollowerState]:
    """Take from frames what eight hops of the reference still explain.

    The weights have seen a frame before it is told what is left of it, so they would find something
    of any reference in any talker. How much is taken therefore goes by how well those of two frames
    ago, which had heard nothing of it, foretell a frame. None becomes louder.

    Parameters
    ----------
    residual, ref : Tensor, (B, T, F, 2)
        What the long filters have left of the microphone's frames, and the reference's frames.
    place : Tensor of int64, (B, T)
        Partition in which the echo is strongest; -1 where nothing is known.
    partitions
        P.
    state
        What the previous call returned; None starts from silence.

    Returns
    -------
    left : Tensor, (B, T, F, 2)
    state : FollowerState
    """
    d, x = (torch.view_as_complex(z.contiguous()) for z in (residual, ref))
    if state is None:
        state = _first(d, partitions)
    left = []
    for t in range(d.shape[1]):
        spectra = torch.cat((x[:, t, None], state.spectra[:, :-1]), 1)
        state = _moved(state._replace(spectra=spectra), place[:, t])
        x_t = _looked_at(state)
        proof = _seen(state.proof, d[:, t], (state.older * x_t).sum(1), x_t)
        state, echo = _adapt(state._replace(proof=proof), d[:, t], x_t)
        taken = torch.view_as_real(echo * _share(proof)[:, None])
        left.append(residual[:, t] - no_louder(residual[:, t], taken) * taken)
    return torch.stack(left, 1), state


def _first(like: Tensor, partitions: int) -> FollowerState:
    bins = like.real[:, 0]
    first = torch.zeros(len(like), dtype=torch.int64, device=like.device)
    spectra = like.new_zeros(len(like), partitions, like.shape[2])
    weights = spectra[:, :FOLLOWED_HOPS]
    prior = torch.full_like(weights.real, PRIOR)
    none, still = torch.zeros_like(bins), torch.zeros_like(bins[:, 0])
    proof = Proof(none, still, still, still)
    return FollowerState(first, first, spectra, weights, prior, none, weights, proof)


def _moved(state: FollowerState, place: Tensor) -> FollowerState:
    """Look where the echo is; what was learned of other hops is forgotten."""
    last = state.spectra.shape[1] - FOLLOWED_HOPS
    wanted = (place - BEFORE_ECHO).clamp(0, last)
    ahead = place - state.first
    elsewhere = (place >= 0) & ((ahead < 1) | (ahead > FARTHEST)) & (wanted != state.first)
    astray = torch.where(elsewhere, state.astray + 1, 0)
    moves = astray >= MOVE_HOPS
    rows = moves[:, None, None]
    return state._replace(
        first=torch.where(moves, wanted, state.first),
        astray=astray * ~moves,
        weights=torch.where(rows, torch.zeros_like(state.weights), state.weights),
        older=torch.where(rows, torch.zeros_like(state.older), state.older),
        uncertainty=torch.where(rows, torch.full_like(state.uncertainty, PRIOR), state.uncertainty),
    )


def _looked_at(state: FollowerState) -> Tensor:
    """Return the reference's frames that are looked at, (B, L, F)."""
    hops = torch.arange(FOLLOWED_HOPS, device=state.first.device)
    at = (state.first[:, None] + hops)[:, :, None].expand(state.weights.shape)
    return state.spectra.gather(1, at)


def _seen(past: Proof, d: Tensor, y: Tensor, x: Tensor) -> Proof:
    """Compare a frame d (B, F) with what was foretold of it, y, wherever the reference x sounds.

    Frames overlap by half, so the weights of one frame ago have heard half of d.
    """
    loudness = _smoothed(past.loudness, power_of(d))
    weight = 1 / (loudness + NEAR_FLOOR)
    seen = ((y.conj() * d).real, power_of(y), power_of(d))
    sounds = power_of(x).mean((1, 2)) > NEAR_FLOOR
    kept = [
        torch.where(sounds, _smoothed(old, (new * weight).sum(1), PROOF_SMOOTHING), old)
        for new, old in zip(seen, past[1:], strict=True)
    ]
    return Proof(loudness, *kept)


def _share(proof: Proof) -> Tensor:
    """(B,): how much of what is found is taken."""
    fit = proof.common / (proof.foretold * proof.heard).sqrt().clamp(min=NEAR_FLOOR)
    return opened(fit, SHUT_BELOW, OPEN_ABOVE)


def _adapt(state: FollowerState, d: Tensor, x: Tensor) -> tuple[FollowerState, Tensor]:
    """Adapt to a frame d (B, F) and return the echo that is then found in it."""
    power = power_of(x)
    e = d - (state.weights * x).sum(1)
    near = torch.maximum(state.near, _smoothed(state.near, NEAR_SHARE * power_of(e)))
    total = (state.uncertainty * power).sum(1) + near + NEAR_FLOOR
    gain = state.uncertainty / total[:, None]
    weights = state.weights + gain * x.conj() * e[:, None]
    taps = power_of(weights)
    energy = taps.sum(1, keepdim=True)
    path = taps + SHARED * (energy / FOLLOWED_HOPS + LEAST_PATH)
    uncertainty = state.uncertainty * (1 - gain * power) + FORGET * path
    # In a long silence nothing is learned, and doubt must end somewhere.
    uncertainty = torch.minimum(uncertainty, PRIOR + energy).clamp(min=UNCERTAINTY_FLOOR)
    echo = (weights * x).sum(1)
    near = _smoothed(state.near, power_of(d - echo))
    new = state._replace(weights=weights, uncertainty=uncertainty, near=near, older=state.weights)
    return new, echo


def _smoothed(old: Tensor, now: Tensor, keep: float = NEAR_SMOOTHING) -> Tensor:
    return keep * old + (1 - keep) * now
