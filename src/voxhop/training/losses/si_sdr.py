"""Scale-invariant signal-to-distortion ratio."""

from __future__ import annotations

import torch
from torch import Tensor

_LOWEST_RATIO_DB = -60.0


def si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant SDR per clip in dB, (clips, samples) both."""
    scale = (estimate * target).sum(1, keepdim=True) / (
        target.square().sum(1, keepdim=True) + 1e-12
    )
    wanted = scale * target
    rest = (estimate - wanted).square().sum(1)
    ratio = 10 * torch.log10((wanted.square().sum(1) + 1e-12) / (rest + 1e-12))
    return ratio.clamp(min=_LOWEST_RATIO_DB)
