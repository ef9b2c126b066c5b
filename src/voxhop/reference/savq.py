"""Simulated-annealing vector quantisation: attention over codes that sharpens to a look-up.

N frames in any shape, G groups, K codes per group, D query channels, W value channels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.errors import ArgumentError, ShapeError


def nearest(scores: Tensor) -> Tensor:
    """Return the index of the maximum of the last axis, the lowest of equals.

    A matrix product may round equal columns differently: what lies within a few of the last digits
    is equal.
    """
    best = scores.amax(-1, keepdim=True)
    room = 4 * torch.finfo(scores.dtype).eps * best.abs().clamp(min=1)
    return (scores >= best - room).int().argmax(-1)


class Attention(NamedTuple):
    """What soft quantisation gives."""

    z_a: Tensor  # (..., W): the groups of mode A
    z_b: Tensor  # (..., W): what mode B adds
    cosines: Tensor  # (..., G, K), with gradients to queries and keys


class SAVQ(nn.Module):
    """Keys that queries are compared with, and values that they stand for.

    Parameters
    ----------
    groups_a, groups_b
        Groups of mode A, which come first, and of mode B.
    size
        Codes per group.
    dim, width
        Channels of a query and of a value; 0 leaves keys or values out.
    """

    def __init__(
        self, groups_a: int, groups_b: int, size: int, *, dim: int = 0, width: int = 0
    ) -> None:
        super().__init__()
        self.groups_a, self.groups, self.size = groups_a, groups_a + groups_b, size
        rows = self.groups * size
        self.key = nn.Parameter(torch.randn(rows, dim)) if dim else None
        # A frame's value is a sum over groups.
        scale = self.groups**-0.5
        self.value = nn.Parameter(scale * torch.randn(rows, width)) if width else None

    def cosines(self, queries: Tensor) -> Tensor:
        """(..., G, D) -> cosine of each query with its group's keys, (..., G, K)."""
        return _cosines(queries, self._keys())

    def codes(self, queries: Tensor) -> Tensor:
        """(..., G, D) -> index of the nearest key, (..., G) int64; the lowest of equals."""
        return nearest(self.cosines(queries))

    def lookup(self, codes: Tensor) -> Tensor:
        """Sum the values of codes.

        Parameters
        ----------
        codes : Tensor, (..., G) or (..., groups_a), integers from 0 to K - 1

        Returns
        -------
        Tensor, (..., W)
        """
        if codes.shape[-1] not in (self.groups_a, self.groups):
            raise ShapeError(
                f"codes: shape {tuple(codes.shape)}, "
                f"expected (..., {self.groups}) or (..., {self.groups_a})"
            )
        codes = codes.long()
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.size:
            raise ArgumentError(
                f"codes: values {int(codes.min())} to {int(codes.max())}, "
                f"expected 0 to {self.size - 1}"
            )
        first = self.size * torch.arange(codes.shape[-1], device=codes.device)
        assert self.value is not None  # noqa: S101
        return self.value[codes + first].sum(-2)

    def attend(self, queries: Tensor, temperature: float, floor: float) -> Attention:
        """Quantise softly, with gradients to the queries as at ``max(temperature, floor)``.

        Keys and values learn at ``temperature``; what the queries' network learns from would
        vanish there, so its gradient is that of a warmer attention. The output is that of
        ``temperature`` exactly.

        Parameters
        ----------
        queries : Tensor, (..., G, D)
        temperature, floor
            Above 0.
        """
        if temperature <= 0 or floor <= 0:
            raise ArgumentError(f"temperature {temperature}, floor {floor}: expected above 0")
        keys, values = self._keys(), self._values()
        at_t = weights(_cosines(queries.detach(), keys), queries.shape[-1], temperature)
        warm = max(temperature, floor)
        at_floor = weights(_cosines(queries, keys.detach()), queries.shape[-1], warm)

        def output(group: slice) -> Tensor:
            out = _weighted(at_t[..., group, :], values[group])
            path = _weighted(at_floor[..., group, :], values[group].detach())
            return out + (path - path.detach())  # the bracket is zero

        A, B = slice(self.groups_a), slice(self.groups_a, None)
        return Attention(output(A), output(B), _cosines(queries, keys))

    def _keys(self) -> Tensor:
        assert self.key is not None  # noqa: S101
        return self.key.view(self.groups, self.size, -1)

    def _values(self) -> Tensor:
        assert self.value is not None  # noqa: S101
        return self.value.view(self.groups, self.size, -1)


def _cosines(queries: Tensor, keys: Tensor) -> Tensor:
    q, k = functional.normalize(queries, dim=-1), functional.normalize(keys, dim=-1)
    return torch.einsum("...gd,gkd->...gk", q, k)


def weights(cosines: Tensor, dim: int, temperature: float) -> Tensor:
    """Return softmax of sqrt(D) cosine / T over the last axis, for D = ``dim``."""
    return log_weights(cosines, dim, temperature).exp()


def log_weights(cosines: Tensor, dim: int, temperature: float) -> Tensor:
    """Return the logarithm of `weights`, finite where a weight underflows."""
    return functional.log_softmax(cosines * (math.sqrt(dim) / temperature), dim=-1)


def _weighted(p: Tensor, values: Tensor) -> Tensor:
    """(..., g, K), (g, K, W) -> (..., W)."""
    return p.flatten(-2) @ values.flatten(0, 1)


def rwss(log_p: Tensor, *, quantile: float = 0.05, eps: float = 1e-3) -> Tensor:
    """Reciprocally weighted smoothed surprisal: pulls frames towards codes that are rare.

    For each code the frames of its highest weights are asked to raise it, by one over the
    share of frames in which it wins.

    Parameters
    ----------
    log_p : Tensor, (N, G, K)
        Logarithms of the weights.
    quantile
        Share of frames that a code is asked of, at least one.
    eps
        Added to the share of wins.

    Returns
    -------
    Tensor, scalar
        Mean over the frames of a code, over codes and groups.
    """
    N, _, K = log_p.shape
    wins = functional.one_hot(log_p.argmax(-1), K).to(log_p.dtype).mean(0)  # (G, K)
    frames = max(1, math.ceil(quantile * N))
    surprisal = -log_p.topk(frames, dim=0).values.mean(0)
    return (surprisal / (wins + eps)).mean()
