"""Batches of a run, each drawn once and trained on as often as the run says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxhop.training.config import Phase

BLOCK = 32
"""Batches that are gone through before the first of them comes again."""

_Batch = TypeVar("_Batch")


class Batches(Generic[_Batch]):
    """The batch of every step: a pure function of it, whatever was asked for before.

    Parameters
    ----------
    draw
        Draws the batch of a number for a phase.
    times : int
        How often each batch comes. Drawing costs as much as a third of a step, and in clips
        that are cut at random from hours of recordings nothing is learnt by heart.
    """

    def __init__(self, draw: Callable[[int, Phase], _Batch], times: int) -> None:
        self._draw, self._times = draw, times
        self._kept: dict[tuple[int, Phase], _Batch] = {}

    def at(self, step: int, phase: Phase) -> _Batch:
        """Return the batch of a step."""
        block, place = divmod(step, BLOCK * self._times)
        key = block * BLOCK + place % BLOCK, phase
        if key not in self._kept:
            if place % BLOCK == 0:
                self._kept.clear()
            self._kept[key] = self._draw(*key)
        # The last time nobody will ask for it again.
        return self._kept.pop(key) if place >= BLOCK * (self._times - 1) else self._kept[key]
