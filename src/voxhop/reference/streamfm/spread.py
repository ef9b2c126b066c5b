"""How much noise Stream.FM's flow starts with, told from the damaged spectrum.

B batch, F bins, T frames, I bands of F / I bins each, K frames.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

SPREAD_EPS: Final = 1e-3  # of the compressed spectrum's power: what lies below is silence
SPREAD_LIMITS: Final = (0.003, 1.0)


class NoiseSpread(nn.Module):
    """One sigma_y per band and frame, instead of one per bin for all times.

    l_i = ln(1 + mean of |Y|^2 over band i / eps) for this frame and the K - 1 before it,
    sigma = exp(W_2 SiLU(W_1 l + b_1) + b_2) within `SPREAD_LIMITS`.

    The network would have to multiply noise by what it finds in other bins, which takes it long to
    learn; here it is arithmetic.

    Parameters
    ----------
    bands
        I, a divisor of the bins.
    frames
        K.
    hidden
        Between the two layers.
    """

    def __init__(self, bands: int, frames: int, hidden: int) -> None:
        super().__init__()
        self.bands, self.frames = bands, frames
        self.fc1 = nn.Linear(bands * frames, hidden)
        self.fc2 = nn.Linear(hidden, bands)

    def forward(self, y: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return sigma_y (B, F, T) of spectra (B, F, T) complex, and the levels to remember.

        `past`, (B, I, K - 1), is what the previous call returned; None starts from silence.
        """
        levels = self.levels(y)
        if past is None:
            past = levels.new_zeros(levels.shape[0], self.bands, self.frames - 1)
        window = torch.cat((past, levels), dim=2)
        sigma = self.log_sigma(window).exp()
        share = y.shape[1] // self.bands
        return sigma.repeat_interleave(share, 1), window[:, :, window.shape[2] - self.frames + 1 :]

    def levels(self, y: Tensor) -> Tensor:
        """(B, F, T) complex -> l of single frames, (B, I, T)."""
        power = y.real.square() + y.imag.square()
        means = power.reshape(len(power), self.bands, -1, power.shape[2]).mean(2)
        return torch.log1p(means / SPREAD_EPS)

    def log_sigma(self, window: Tensor) -> Tensor:
        """Levels of T + K - 1 frames -> ln sigma of the last T, (B, I, T), within limits."""
        T = window.shape[2] - self.frames + 1
        # Oldest frame first, the bands of a frame side by side.
        told = torch.cat([window[:, :, k : k + T] for k in range(self.frames)], dim=1)
        hidden = functional.silu(self.fc1(told.transpose(1, 2)))
        low, high = (math.log(limit) for limit in SPREAD_LIMITS)
        return self.fc2(hidden).clamp(low, high).transpose(1, 2)
