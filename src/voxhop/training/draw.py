"""Seeded random draws, one value per clip, on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_MIX = 0x9E3779B97F4A7C15
_MASK = (1 << 63) - 1


class Draw:
    """A stream of draws that depends on its key alone.

    Keys are sequences of integers such as (seed, process, step): a run that stops and
    resumes needs no generator state to draw the very clips it would have drawn.

    Parameters
    ----------
    *key : int
        Any non-negative integers.
    device : torch.device
        Where results are made. CPU and GPU streams of one key differ.
    """

    def __init__(self, *key: int, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        mixed = 0
        for part in key:
            mixed = ((mixed ^ part) * _MIX + (mixed >> 29) + 1) & _MASK
        self._key = mixed
        self._generator = torch.Generator(self.device).manual_seed(mixed)

    def branch(self, number: int) -> Draw:
        """Return another stream, told by this one's key alone: it takes no draw from this one."""
        return Draw(self._key, number, device=self.device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw float32 values in [low, high)."""
        unit = torch.rand(shape, generator=self._generator, device=self.device)
        return low + (high - low) * unit

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal float32 values."""
        return torch.randn(shape, generator=self._generator, device=self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Draw booleans that are true with this probability."""
        return torch.rand(shape, generator=self._generator, device=self.device) < probability

    def choice(self, weights: Tensor, count: int) -> Tensor:
        """Draw `count` int64 indices with these relative weights, with replacement."""
        return torch.multinomial(weights, count, replacement=True, generator=self._generator)
