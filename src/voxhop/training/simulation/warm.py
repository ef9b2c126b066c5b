"""What the canceller knows when a clip begins: as in the middle of a call, or in other states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from voxhop.errors import ArgumentError
from voxhop.reference.canceller import CancellerOutput
from voxhop.reference.filterbank import FILTERBANK_HOP

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.simulation.hearing import FrontEnd
    from voxhop.training.simulation.simulate import Clips

_BRANCH = 16
_FURTHEST = 4  # hops that a reference jumps by


@dataclass(frozen=True)
class WarmConfig:
    """How canceller and clips meet.

    Attributes
    ----------
    seconds : float
        Sound before every clip, heard by the canceller and not by the network; 0: none, and every
        canceller begins with the clip.
    fresh, disturbed : float
        Share of clips that begin from nothing all the same; whose reference
        jumps by 1 to 4 hops at that moment.
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


class Cancelled(NamedTuple):
    """A batch, and what the canceller makes of it, which no step of training changes."""

    clips: Clips
    echo: CancellerOutput


def clips_of(batch: Clips | Cancelled) -> Clips:
    """Return the clips of either kind of batch."""
    return batch.clips if isinstance(batch, Cancelled) else batch


def cancelled(front: FrontEnd, config: WarmConfig, draw: Draw, clips: Clips) -> Cancelled:
    """Let a front-end hear clips, and cut off what it alone was to hear.

    Parameters
    ----------
    front
        Of the model.
    config
    draw
        The batch's; a branch of it says which clips begin otherwise.
    clips
        Longer than asked for by `config.samples`.
    """
    lead = config.samples
    mic, ref = clips.mic, clips.ref
    if lead:
        kind = draw.branch(_BRANCH).uniform(0, 1, len(mic))
        moved = draw.branch(_BRANCH + 1).uniform(1, _FURTHEST + 1, len(mic)).long()
        heard = kind >= config.fresh
        disturbed = heard & (kind < config.fresh + config.disturbed)
        before = _later(ref[:, :lead], moved * disturbed)
        # In silence nothing is learned.
        mic, ref = (
            torch.cat((first * heard[:, None], side[:, lead:]), 1)
            for first, side in ((mic[:, :lead], mic), (before, ref))
        )
        clips = _tail(clips, lead)
    with torch.no_grad():
        echo = front(mic, ref)
    hops = lead // FILTERBANK_HOP
    return Cancelled(clips, CancellerOutput(*(part[:, hops:] for part in echo)))


def _later(samples: Tensor, hops: Tensor) -> Tensor:
    """Move every row by its own number of hops."""
    at = torch.arange(samples.shape[1], device=samples.device) - FILTERBANK_HOP * hops[:, None]
    return samples.gather(1, at.clamp(min=0)) * (at >= 0)


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
