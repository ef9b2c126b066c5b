"""The past of causal convolutions, kept by name; time is the last axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

NetworkState = dict[str, Tensor]


class Memory:
    """The past of every convolution: what the last call left, and what this one leaves.

    Parameters
    ----------
    past
        What `left` was after the last call; None starts from zeros.
    """

    def __init__(self, past: Mapping[str, Tensor] | None) -> None:
        self._past = past
        self.left: NetworkState = {}

    def with_past(self, name: str, x: Tensor, frames: int) -> Tensor:
        """(..., T) -> (..., frames + T), and keep the last ``frames``."""
        past = x.new_zeros(*x.shape[:-1], frames) if self._past is None else self._past[name]
        window = torch.cat((past, x), dim=-1)
        self.left[name] = window[..., window.shape[-1] - frames :]
        return window
