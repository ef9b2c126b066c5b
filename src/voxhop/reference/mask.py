"""Complex convolving mask, section 2.6.

B batch, T frames, F bins. Mask channel = 9 * basis + tap, tap = 3 m + n, where m = 0 is
frame t-2 and n = 0 is bin f-1; the current bin is tap 7.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS_TIME = 3
TAPS_FREQ = 3
CURRENT_TAP = 7


class ConvolvingMask(nn.Module):
    """Filter the uncompressed spectrum with a 3x3 complex kernel per bin."""

    v_real: Tensor
    v_imag: Tensor

    def __init__(self) -> None:
        super().__init__()
        half_sqrt3 = math.sqrt(3.0) / 2.0
        self.register_buffer("v_real", torch.tensor([1.0, -0.5, -0.5]))
        self.register_buffer("v_imag", torch.tensor([0.0, half_sqrt3, -half_sqrt3]))

    def forward(
        self, mask: Tensor, spectrum: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Apply the mask, eqs. (13)-(15).

        Parameters
        ----------
        mask : Tensor, (B, T, F, 27)
        spectrum : Tensor, (B, T, F, 2)
            Real and imaginary part, at least float32.
        state : Tensor, (B, 2, F, 2), or None
            The two frames before; zeros when None.

        Returns
        -------
        enhanced : Tensor, (B, T, F, 2)
        state : Tensor, (B, 2, F, 2)
        """
        past = TAPS_TIME - 1
        F = spectrum.shape[2]
        if state is None:
            padded = functional.pad(spectrum, (0, 0, 1, 1, past, 0))
        else:
            padded = functional.pad(torch.cat((state, spectrum), dim=1), (0, 0, 1, 1))
        with torch.autocast(mask.device.type, enabled=False):
            taps = padded.unfold(1, TAPS_TIME, 1).unfold(2, TAPS_FREQ, 1)  # (B, T, F, 2, 3, 3)
            taps = taps.flatten(4)[:, :, :, :, None]  # (B, T, F, 2, 1, 9)
            m = mask.to(spectrum.dtype).unflatten(3, (1, 3, 9))  # (B, T, F, 1, 3, 9)
            # One broadcast product: picking mask channels one by one would make autograd
            # fill a full-size zero gradient for each.
            filtered = (m * taps).sum(dim=5)  # (B, T, F, 2, 3)
            re = filtered @ self.v_real.to(filtered.dtype)  # (B, T, F, 2)
            im = filtered @ self.v_imag.to(filtered.dtype)
            out = torch.stack((re[..., 0] - im[..., 1], re[..., 1] + im[..., 0]), dim=3)
        return out, padded[:, -past:, 1 : F + 1]
