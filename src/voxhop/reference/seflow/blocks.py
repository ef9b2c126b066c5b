"""Transformers over time and over bands, sliced to the heads in use.

B clips, T frames, K bands, P cached frames, h heads of d values, D' = h d.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.products import linear
from voxhop.reference.seflow.bands import rms_norm

if TYPE_CHECKING:
    from voxhop.reference.seflow.config import SEFlowConfig


class FlexLinear(nn.Linear):
    """A linear layer whose prefix slices are layers of their own."""

    def forward(self, x: Tensor, rows: int | None = None) -> Tensor:
        """(..., I') -> (..., `rows`): inputs as many as come, outputs all when None."""
        weight, bias = self.weight[:rows, : x.shape[-1]], self.bias[:rows]
        return linear(x, weight, bias)


class Past(NamedTuple):
    """Rotated keys and values of the frames before, (B, P, K, h, d) each."""

    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """Weights and products that both attentions have.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: SEFlowConfig) -> None:
        super().__init__()
        D, d = config.width, config.head_dim
        self.d, self.eps = d, config.rms_eps
        self.norm1 = nn.RMSNorm(D)
        self.q, self.k, self.v, self.o = (FlexLinear(D, D) for _ in range(4))
        self.norm2 = nn.RMSNorm(D)
        self.ffn1 = FlexLinear(D, config.ffn_mult * D)
        self.ffn2 = FlexLinear(config.ffn_mult * D, D)
        self.mult = config.ffn_mult
        # Element i turns with i + d/2. Neighbours turn in one complex product, so rows of q
        # and k are read in that order; scores do not depend on it.
        self.pairs = [i + half for i in range(d // 2) for half in (0, d // 2)]

    def project(self, x: Tensor, phases: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys, and values, (B, T, K, h, d) each.

        `phases` are complex and broadcast against (B, T, K, h, 2, d/2).
        """
        width, d = x.shape[-1], self.d
        heads = width // d
        x = rms_norm(x, self.eps)
        norm = self.norm1.weight[:width]
        parts = [getattr(self, name) for name in ("q", "k", "v")]
        weights = [(p.weight[:width, :width] * norm).view(heads, d, width) for p in parts]
        biases = [p.bias[:width].view(heads, d) for p in parts]
        # Scores are scaled in the queries.
        weights[0], biases[0] = weights[0] * d**-0.5, biases[0] * d**-0.5
        for i in range(2):
            weights[i], biases[i] = weights[i][:, self.pairs], biases[i][:, self.pairs]
        weight = torch.stack(weights, 1).flatten(0, 2)  # (h 3 d, D')
        y = linear(x, weight, torch.stack(biases, 1).flatten())
        y = y.view(*x.shape[:-1], heads, 3, d)
        turned, values = torch.split(y, [2, 1], dim=-2)
        turned = torch.view_as_complex(turned.view(*turned.shape[:-1], d // 2, 2))
        queries, keys = torch.view_as_real(turned * phases).flatten(-2).unbind(-2)
        return queries, keys, values.squeeze(-2)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residuals of attention and feed-forward layer, (B, T, K, D') both."""
        width = x.shape[-1]
        x = x + self.o(attended, width)
        y = rms_norm(x, self.eps)
        hidden = self.mult * width
        weight = self.ffn1.weight[:hidden, :width] * self.norm2.weight[:width]
        y = functional.gelu(linear(y, weight, self.ffn1.bias[:hidden]))
        return x + self.ffn2(y, width)


class TimeTransformer(Attention):
    """Every band looks at its own past."""

    def forward(
        self, x: Tensor, phases: Tensor, mask: Tensor, past: Past | None
    ) -> tuple[Tensor, Past]:
        """Attend along frames.

        Parameters
        ----------
        x : Tensor, (B, T, K, D')
        phases : Tensor, (T, 1, 1, 1, d/2) complex
            By absolute frame.
        mask : Tensor, (T, P + T) bool
            True where a frame may look.
        past : Past or None
            The P frames before.
        """
        B, T, K, width = x.shape
        queries, keys, values = self.project(x, phases)
        if past is not None:
            keys = torch.cat((past.keys, keys), dim=1)
            values = torch.cat((past.values, values), dim=1)
        q, k, v = (t.flatten(2, 3).transpose(1, 2) for t in (queries, keys, values))
        y = functional.scaled_dot_product_attention(q, k, v, mask, scale=1.0)  # (B, K h, T, d)
        y = y.transpose(1, 2).reshape(B, T, K, width)
        return self.finish(x, y), Past(keys, values)


class BandTransformer(Attention):
    """Every frame's bands look at each other."""

    def forward(self, x: Tensor, phases: Tensor) -> Tensor:
        """(B, T, K, D'), phases (K, 1, 1, d/2) complex by band -> (B, T, K, D')."""
        parts = self.project(x, phases)
        q, k, v = (t.flatten(0, 1).transpose(1, 2) for t in parts)  # (B T, h, K, d)
        # Few and short sequences: plain products are faster than the fused routine on CPUs.
        y = (q @ k.mT).softmax(3) @ v
        return self.finish(x, y.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """Time, then bands."""

    def __init__(self, config: SEFlowConfig) -> None:
        super().__init__()
        self.time, self.freq = TimeTransformer(config), BandTransformer(config)


class VoiceDecoder(nn.Module):
    """One learned query over the bands of a frame, and a logit."""

    def __init__(self, config: SEFlowConfig) -> None:
        super().__init__()
        D, self.d = config.width, config.head_dim
        self.q = nn.Parameter(torch.randn(self.d))
        self.k, self.v, self.o = (FlexLinear(D, D) for _ in range(3))
        self.out = FlexLinear(D, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, K, D') -> logits (B, T)."""
        width = x.shape[-1]
        heads = (-1, self.d)
        scores = self.k(x, width).unflatten(-1, heads) @ self.q / self.d**0.5  # (B, T, K, h)
        values = self.v(x, width).unflatten(-1, heads)
        y = torch.einsum("btkh,btkhd->bthd", scores.softmax(2), values).flatten(2)
        logits: Tensor = self.out(self.o(y, width))[..., 0]
        return logits
