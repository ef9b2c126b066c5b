"""Diagonal complex state-space bottleneck, section 2.5.

B batch, T frames, H states, E = C * F flattened features (channel-major).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

# Below this many frames the recurrence costs less than the transforms.
RECURRENT_FRAMES = 8
MIN_RATE = 0.01


class S4D(nn.Module):
    """``h <- a h + b v``, ``y = Re(c h)`` between two projections, eqs. (8)-(12).

    The state space runs in at least float32: with |a| near 1 the tail of h is lost in
    half precision.

    Parameters
    ----------
    features
        E.
    hidden
        H.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.input_proj = nn.Linear(features, hidden)
        self.output_proj = nn.Linear(hidden, features)
        self.A_log_rate = nn.Parameter(torch.empty(hidden).uniform_(-6.0, 2.0))
        self.A_theta = nn.Parameter(torch.linspace(0.0, math.pi, hidden))
        self.B_real = nn.Parameter(0.5 * torch.randn(hidden))
        self.B_imag = nn.Parameter(0.5 * torch.randn(hidden))
        self.C_real = nn.Parameter(0.5 * torch.randn(hidden))
        self.C_imag = nn.Parameter(0.5 * torch.randn(hidden))
        self.D = nn.Parameter(torch.ones(features))

    def forward(self, u: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run T frames.

        Parameters
        ----------
        u : Tensor, (B, T, E)
            Flattened features.
        state : Tensor, (B, H) complex, or None
            h after the frame before; zeros when None.

        Returns
        -------
        o : Tensor, (B, T, E)
        state : Tensor, (B, H) complex64 or complex128
        """
        v = self.input_proj(u)
        with torch.autocast(u.device.type, enabled=False):
            full = torch.promote_types(v.dtype, torch.float32)
            run = self.recur if u.shape[1] < RECURRENT_FRAMES else self.convolve
            y, state = run(v.to(full), state)
        # Added as a product, not a concatenated projection: D is a diagonal.
        return self.output_proj(y.to(v.dtype)) + self.D.to(v.dtype) * u, state

    def log_pole(self) -> Tensor:
        """Return log a, (H) complex: minus the decay rate plus j theta, eq. (12)."""
        rate = functional.softplus(self.A_log_rate).clamp_min(MIN_RATE)
        return torch.complex(-rate, self.A_theta)

    def recur(self, v: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Step through (B, T, H) -> y (B, T, H), h (B, H): the definition."""
        a, b = self.log_pole().exp(), torch.complex(self.B_real, self.B_imag)
        c = torch.complex(self.C_real, self.C_imag)
        h = torch.zeros_like(v[:, 0] * a) if state is None else state
        outputs = []
        for v_t in v.unbind(dim=1):
            h = a * h + b * v_t
            outputs.append((c * h).real)
        return torch.stack(outputs, dim=1), h

    def convolve(self, v: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Do the same at once: a causal convolution with Re(c b a^t) plus the decay of h."""
        T = v.shape[1]
        steps = torch.arange(T + 1, device=v.device, dtype=v.dtype)
        powers = torch.exp(steps[:, None] * self.log_pole())  # (T+1, H)
        b, c = torch.complex(self.B_real, self.B_imag), torch.complex(self.C_real, self.C_imag)
        kernel = (c * b * powers[:T]).real  # (T, H)
        size = 2 * T
        product = torch.fft.rfft(v, size, dim=1) * torch.fft.rfft(kernel, size, dim=0)
        y = torch.fft.irfft(product, size, dim=1)[:, :T]
        h = b * torch.einsum("bth,th->bh", v.to(powers.dtype), powers[:T].flip(0))
        if state is not None:
            y = y + (c * powers[1:] * state[:, None]).real
            h = h + powers[T] * state
        return y, h


def polar_from_pole(real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
    """Recover the trained parameters from the poles that a model file holds.

    Parameters
    ----------
    real, imag : Tensor, (H)
        a, with 0 <= |a| <= exp(-0.01).

    Returns
    -------
    log_rate, theta : Tensor, (H) f64
        ``A_log_rate`` and ``A_theta`` that give the same a.
    """
    a = torch.complex(real.double(), imag.double())
    # The parameters cannot leave this range: below it the rate is clamped, above it a is
    # zero to float32.
    rate = (-a.abs().log()).clamp(MIN_RATE, 80.0)
    return rate.expm1().log(), a.angle()
