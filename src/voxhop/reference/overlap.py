"""Named windows and overlap-add of half-overlapping frames.

B batch, T frames, H hop; a frame has 2 H samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def periodic_window(name: str, length: int) -> Tensor:
    """Return ``hann_periodic`` or its root, ``sqrt_hann_periodic``, in float64."""
    n = torch.arange(length, dtype=torch.float64)
    hann = 0.5 - 0.5 * torch.cos(2 * math.pi * n / length)
    return hann if name == "hann_periodic" else hann.sqrt()


def overlap_add(frames: Tensor, tail: Tensor | None) -> tuple[Tensor, Tensor]:
    """Add each frame's first half to the second half of the one before.

    Parameters
    ----------
    frames : Tensor, (B, T, 2H)
        Windowed frames.
    tail : Tensor, (B, H), optional
        Second half of the frame before these; zeros when None.

    Returns
    -------
    audio : Tensor, (B, T, H)
        Call t of a stream gives row t.
    tail : Tensor, (B, H)
    """
    H = frames.shape[2] // 2
    if tail is None:
        tail = frames.new_zeros(frames.shape[0], H)
    tails = torch.cat((tail[:, None], frames[:, :, H:]), dim=1)  # (B, T+1, H)
    return frames[:, :, :H] + tails[:, :-1], tails[:, -1]
