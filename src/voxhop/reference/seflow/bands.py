"""From spectrum to one vector per band, and back.

B clips, T frames, N = B T, F bins, K bands, w the widest of them, D' width of the network in
use. Bands lie in one tensor, padded to the widest, so that all are one batched product; what
is padded has no gradient.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from voxhop.reference.seflow.config import SEFlowConfig

FEATURES = 3  # real part, imaginary part, log magnitude


class BandEncoder(nn.Module):
    """Norm of a band's features, then a linear layer of its own."""

    bins: Tensor
    counts: Tensor

    def __init__(self, config: SEFlowConfig) -> None:
        super().__init__()
        K, D, w = config.n_bands, config.width, max(config.band_widths)
        self.eps, self.log_eps = config.encoder_rms_eps, config.log_eps
        self.widths = config.band_widths
        self.norm = nn.Parameter(torch.ones(K, FEATURES, w))
        self.weight = nn.Parameter(torch.zeros(K, D, FEATURES, w))
        self.bias = nn.Parameter(torch.zeros(K, D))
        with torch.no_grad():
            for k, width in enumerate(self.widths):
                bound = 1 / math.sqrt(FEATURES * width)
                self.weight[k, :, :, :width].uniform_(-bound, bound)
        steps = torch.arange(w)
        edges = torch.tensor(config.band_edges)
        bins = edges[:-1, None] + steps
        # One bin beyond the last holds a zero for what is padded.
        bins = torch.where(bins < edges[1:, None], bins, -1)
        self.register_buffer("bins", bins, persistent=False)
        self.register_buffer("counts", FEATURES * (edges[1:] - edges[:-1]), persistent=False)

    def forward(self, spectrum: Tensor, bands: int, width: int) -> Tensor:
        """(B, T, F) complex -> (B, T, K, D'); the first `bands` bands, `width` = D'."""
        B, T, F = spectrum.shape
        widest = max(self.widths[:bands])
        power = spectrum.real.square() + spectrum.imag.square()
        log = 0.5 * (power + self.log_eps).log()
        planes = torch.stack((spectrum.real, spectrum.imag, log), dim=2)  # (B, T, 3, F)
        planes = nn.functional.pad(planes, (0, 1))
        bins = self.bins[:bands, :widest]
        bins = torch.where(bins < 0, F, bins)
        x = planes.view(B * T, FEATURES, F + 1)[:, :, bins.flatten()]
        x = x.view(B * T, FEATURES, bands, widest).permute(2, 0, 1, 3).flatten(2)  # (K, N, 3w)
        mean = x.square().sum(2, keepdim=True) / self.counts[:bands, None, None]
        x = x * (mean + self.eps).rsqrt() * self.norm[:bands, :, :widest].reshape(bands, 1, -1)
        weight = self.weight[:bands, :width, :, :widest].flatten(2)
        y = torch.baddbmm(self.bias[:bands, None, :width], x, weight.mT)  # (K, N, D')
        return y.transpose(0, 1).contiguous().view(B, T, bands, width)


class BandDecoder(nn.Module):
    """Per band: norm, linear, tanh, linear, and a gated linear unit: the clean spectrum.

    ``scale`` is how large a band's spectrum is taken to be: with it all bands' weights are of
    one order, although speech falls off by 50 dB. Files have it folded into the weights.
    """

    scale: Tensor
    rows: Tensor

    def __init__(self, config: SEFlowConfig) -> None:
        super().__init__()
        K, D, w = config.n_bands, config.width, max(config.band_widths)
        hidden = config.dec_mult * D
        self.eps, self.mult, self.edges = config.rms_eps, config.dec_mult, config.band_edges
        self.norm = nn.Parameter(torch.ones(K, D))
        self.fc1_weight = nn.Parameter(torch.empty(K, hidden, D))
        self.fc1_bias = nn.Parameter(torch.zeros(K, hidden))
        self.fc2_weight = nn.Parameter(torch.zeros(K, 4, w, hidden))
        self.fc2_bias = nn.Parameter(torch.zeros(K, 4, w))
        self.register_buffer("scale", torch.ones(K))
        nn.init.uniform_(self.fc1_weight, -1 / math.sqrt(D), 1 / math.sqrt(D))
        with torch.no_grad():
            for k, width in enumerate(config.band_widths):
                self.fc2_weight[k, :, :width].uniform_(
                    -1 / math.sqrt(hidden), 1 / math.sqrt(hidden)
                )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, K, D') -> (2, F, B, T): real and imaginary part of the clean spectrum."""
        B, T, K, width = x.shape
        hidden = self.mult * width
        widest = max(b - a for a, b in zip(self.edges[:K], self.edges[1:], strict=False))
        x = rms_norm(x, self.eps).view(B * T, K, width).transpose(0, 1)
        fc1 = self.fc1_weight[:K, :hidden, :width] * self.norm[:K, None, :width]
        bias = self.fc1_bias[:K, None, :hidden]
        h = torch.baddbmm(bias, x, fc1.mT).tanh()  # (K, N, 4D')
        scale = self.scale[:K, None, None].to(x.dtype)
        fc2 = self.fc2_weight[:K, :, :widest, :hidden].flatten(1, 2)
        bias = self.fc2_bias[:K, :, :widest].reshape(K, -1, 1)
        y = torch.baddbmm(bias, fc2, h.mT).view(K, 4, widest, B * T)
        u = scale * nn.functional.glu(y, dim=1).flatten(1, 2)  # (K, 2w, N)
        return u.flatten(0, 1)[self._rows(K, widest)].view(2, self.edges[K], B, T)

    def _rows(self, bands: int, widest: int) -> Tensor:
        """Where each bin's real and imaginary part lies among (band, part, bin of the band)."""
        at = [
            2 * widest * k + i
            for k in range(bands)
            for i in range(self.edges[k + 1] - self.edges[k])
        ]
        real = torch.tensor(at, device=self.scale.device)
        return torch.cat((real, real + widest))


class _RmsNorm(torch.autograd.Function):
    """Four passes over memory each way; on CPUs, where it is a chain, torch's own has ten."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:  # noqa: ANN401 - torch's
        mean = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        inverse = mean.add_(eps).rsqrt_()
        y = x * inverse
        ctx.save_for_backward(y, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (gradient,) = gradients
        y, inverse = ctx.saved_tensors
        along = (gradient * y).sum(-1, keepdim=True).div_(-y.shape[-1])
        return torch.addcmul(gradient, y, along).mul_(inverse), None


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """Divide by the root of the mean square over the last axis, which may be a part of D.

    The norm's weight is left to the linear layer that follows, as a factor on its columns.
    """
    normed: Tensor = _RmsNorm.apply(x, eps)  # type: ignore[no-untyped-call]
    return normed
