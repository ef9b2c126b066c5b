"""Complex convolving mask, section 2.6.

B batch, T frames, F bins. Mask channel = 9 * basis + tap, tap = 3 m + n, where m = 0 is
frame t-2 and n = 0 is bin f-1; the current bin is tap 7.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

BASES = 3
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
            taps = taps.permute(0, 1, 2, 4, 5, 3).reshape(-1, TAPS_TIME * TAPS_FREQ, 2)
            m = mask.to(spectrum.dtype).reshape(-1, BASES, TAPS_TIME * TAPS_FREQ)
            # Filter real and imaginary part with each basis' real kernel, then combine.
            # Never pick mask channels one by one: autograd would fill a full-size zero
            # gradient for each.
            filtered = torch.bmm(m, taps).flatten(1)  # (B*T*F, 3*2)
            out = (filtered @ self._combination().to(filtered.dtype)).view(spectrum.shape)
        return out, padded[:, -past:, 1 : F + 1]

    def _combination(self) -> Tensor:
        """(6, 2): from (basis, part) to the real and imaginary part of sum_r v_r y_r."""
        to_real = torch.stack((self.v_real, -self.v_imag), dim=1)  # (3, 2)
        to_imag = torch.stack((self.v_imag, self.v_real), dim=1)
        return torch.stack((to_real.flatten(), to_imag.flatten()), dim=1)
