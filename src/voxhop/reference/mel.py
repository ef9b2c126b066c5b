"""Mel filters and their pseudo-inverse, for Mel vocoding."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn


class Mel(nn.Module):
    """The Mel operator and its pseudo-inverse: fb (F, M), pinv (M, F)."""

    fb: Tensor
    pinv: Tensor

    def __init__(self, bins: int, mels: int, sample_rate: int) -> None:
        super().__init__()
        fb = slaney_filters(bins, mels, sample_rate)
        self.register_buffer("fb", torch.as_tensor(fb, dtype=torch.float32))
        self.register_buffer("pinv", torch.as_tensor(np.linalg.pinv(fb), dtype=torch.float32))


def slaney_filters(bins: int, mels: int, sample_rate: int) -> np.ndarray:
    """Triangles with Slaney's scale and area norm over ``bins`` points from 0 to half the rate.

    Returns
    -------
    ndarray, (bins, mels) float64
    """
    top = sample_rate / 2
    points = np.linspace(0, top, bins)
    knee, width, log_step = 1000.0, 200.0 / 3, math.log(6.4) / 27
    top_mel = knee / width + math.log(top / knee) / log_step if top > knee else top / width
    scale = np.linspace(0, top_mel, mels + 2)
    edges = np.where(
        scale < knee / width, scale * width, knee * np.exp(log_step * (scale - knee / width))
    )
    gaps = np.diff(edges)
    slopes = edges[None, :] - points[:, None]
    rising, falling = -slopes[:, :-2] / gaps[:-1], slopes[:, 2:] / gaps[1:]
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
