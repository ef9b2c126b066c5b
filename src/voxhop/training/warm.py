"""What the canceller knows when a clip begins: as in the middle of a call, or in other states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from voxhop.errors import ArgumentError
from voxhop.reference.filterbank import FILTERBANK_HOP, Analysis, stft_basis

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.reference.canceller import Canceller, CancellerOutput, CancellerState
    from voxhop.training.draw import Draw
    from voxhop.training.simulate import Clips

_BRANCH = 16
_FURTHEST = 4  # partitions that a disturbed filter is off by


@dataclass(frozen=True)
class WarmConfig:
    """How canceller and clips meet.

    Attributes
    ----------
    seconds : float
        Sound before every clip, heard by the canceller and not by the network; 0: none, and every
        canceller begins with the clip.
    fresh, disturbed : float
        Share of clips that begin from nothing all the same; whose filters are 1 to 4 partitions
        off, as after a jump of the delay at that moment.
    """

    seconds: float = 0.0
    fresh: float = 0.25
    disturbed: float = 0.15

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        shares = (self.fresh, self.disturbed)
        if self.seconds < 0 or min(shares) < 0 or sum(shares) > 1:
            raise ArgumentError(
                f"warm: seconds {self.seconds:g}, shares {self.fresh:g} and {self.disturbed:g}, "
                "expected none below 0 and at most 1 in all"
            )

    @property
    def samples(self) -> int:
        """Whole hops."""
        return int(self.seconds * 16000) // FILTERBANK_HOP * FILTERBANK_HOP


class Warmed(NamedTuple):
    """A batch, and what the canceller knows at its begin."""

    clips: Clips
    echo: CancellerState


class Cancelled(NamedTuple):
    """A batch, and what the canceller makes of it, which no step of training changes."""

    clips: Clips
    echo: CancellerOutput


def clips_of(batch: Clips | Cancelled) -> Clips:
    """Return the clips of either kind of batch."""
    return batch.clips if isinstance(batch, Cancelled) else batch


def cancelled(canceller: Canceller, batch: Clips | Warmed) -> Cancelled:
    """Run the canceller over a batch, from what it knows or from nothing."""
    clips, state = batch if isinstance(batch, Warmed) else (batch, None)
    analysis = Analysis(stft_basis()[0]).to(clips.mic.device)
    with torch.no_grad():
        heard = analysis(clips.mic)[0]
        return Cancelled(clips, canceller.cancel(clips.mic, clips.ref, analysis, heard, state)[0])


def warmed(canceller: Canceller, config: WarmConfig, draw: Draw, clips: Clips) -> Warmed:
    """Let the canceller hear the first part of longer clips, and cut it off.

    Parameters
    ----------
    canceller
        Of the model.
    config
    draw
        The batch's; a branch of it says which clips begin otherwise.
    clips
        Longer than asked for by `config.samples`.
    """
    lead = config.samples
    analysis = Analysis(stft_basis()[0]).to(clips.mic.device)
    mic, ref = clips.mic[:, :lead], clips.ref[:, :lead]
    with torch.no_grad():
        state = canceller.cancel(mic, ref, analysis, analysis(mic)[0])[1]
        silence = torch.zeros_like(mic[:, :FILTERBANK_HOP])
        nothing = canceller.cancel(silence, silence, analysis, analysis(silence)[0])[1]
    kind = draw.branch(_BRANCH).uniform(0, 1, len(mic))
    moved = draw.branch(_BRANCH + 1).uniform(1, _FURTHEST + 1, len(mic)).long()
    fresh = kind < config.fresh
    disturbed = ~fresh & (kind < config.fresh + config.disturbed)
    state = _disturbed(state, disturbed, moved)
    return Warmed(_tail(clips, lead), _chosen(fresh, nothing, state))


def _tail(clips: Clips, lead: int) -> Clips:
    hops = lead // FILTERBANK_HOP
    changed = clips.change_sample - lead
    return clips._replace(
        mic=clips.mic[:, lead:],
        ref=clips.ref[:, lead:],
        target=clips.target[:, lead:],
        near=clips.near[:, lead:],
        delay_frames=clips.delay_frames[:, hops:],
        delay_valid=clips.delay_valid[:, hops:],
        change_sample=torch.where(changed >= 0, changed, -1),
    )


def _disturbed(state: CancellerState, which: Tensor, by: Tensor) -> CancellerState:
    """Move the weights of some clips to later partitions."""
    partitions = state.spectra.shape[1]
    index = torch.arange(partitions, device=by.device)
    source = index - by[:, None]

    def moved(weights: Tensor) -> Tensor:
        at = source.clamp(min=0)[:, :, None].expand(weights.shape)
        late = weights.gather(1, at) * (source >= 0)[:, :, None]
        return torch.where(which[:, None, None], late, weights)

    return state._replace(
        steady=state.steady._replace(weights=moved(state.steady.weights)),
        quick=state.quick._replace(weights=moved(state.quick.weights)),
    )


def _chosen(rows: Tensor, yes: Any, no: Any) -> Any:  # noqa: ANN401 - a state or a part of it
    """Choose between two states clip by clip; counters that clips share come from `no`."""
    if isinstance(yes, tuple):
        parts = (_chosen(rows, a, b) for a, b in zip(yes, no, strict=True))
        return type(yes)(*parts)
    if not isinstance(yes, torch.Tensor):
        return no
    repeats = len(yes) // len(rows)  # the gate holds three signals of every clip
    mask = rows.repeat(repeats).view(-1, *[1] * (yes.dim() - 1))
    return torch.where(mask, yes, no)
