"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """Divide by the root of the mean square over one axis, then scale each channel.

    Parameters
    ----------
    channels
        Length of the axis.
    eps
        Added to the mean square.
    axis
        Which axis the channels are.
    """

    def __init__(self, channels: int, eps: float, axis: int = -1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps, self.axis = eps, axis

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with the channels at ``axis`` -> the same shape."""
        shape = [1] * x.dim()
        shape[self.axis] = -1
        scale = torch.rsqrt(x.square().mean(self.axis, keepdim=True) + self.eps)
        return x * scale * self.weight.view(shape)
