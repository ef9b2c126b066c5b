"""Norms, causal convolutions and residual blocks of Stream.FM.

B batch, C channels, F bins, T frames; activations are (B, C, F, T).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.products import conv2d
from voxhop.reference.streamfm.config import FREQ_GROUPS, band_groups, channel_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxhop.reference.memory import Memory

NORM_EPS = 1e-5
NORM_MOMENTUM = 0.1
_SMALL = 1e-5  # scale of layers that start at almost nothing
_KERNEL = 3


def _variance_scaled(weight: Tensor, scale: float = 1.0) -> None:
    """Fill uniformly with variance 1 / (mean of fan-in and fan-out)."""
    area = weight[0, 0].numel()
    fan = (weight.shape[0] + weight.shape[1]) * area / 2
    bound = math.sqrt(3.0 / fan)
    nn.init.uniform_(weight, -bound, bound)
    with torch.no_grad():
        weight.mul_(scale)


class PointConv(nn.Conv2d):
    """A 1x1 convolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 1)
        _variance_scaled(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class CausalConv(nn.Module):
    """A 3x3 convolution over 3 bins and 3 frames, this one last; zero history and edges.

    Parameters
    ----------
    c_in, c_out
        Channels.
    dilation
        Distance of its frames.
    rank
        0 for a dense kernel; else ``rank`` depthwise kernels per input channel and a 1x1
        convolution, where neither side has fewer channels than that.
    scale
        Factor on the initial weights.
    """

    def __init__(
        self, c_in: int, c_out: int, *, dilation: int = 1, rank: int = 0, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.path = ""  # set by the network: where its history lies
        self.decoupled = 0 < rank <= min(c_in, c_out)
        if self.decoupled:
            self.dw = nn.Conv2d(c_in, c_in * rank, _KERNEL, groups=c_in, bias=False)
            self.pw = PointConv(c_in * rank, c_out)
            with torch.no_grad():
                self.pw.weight.mul_(scale)
        else:
            self.weight = nn.Parameter(torch.empty(c_out, c_in, _KERNEL, _KERNEL))
            self.bias = nn.Parameter(torch.zeros(c_out))
            _variance_scaled(self.weight, scale)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, c_in, F, T) -> (B, c_out, F, T)."""
        window = memory.with_past(self.path, x, (_KERNEL - 1) * self.dilation)
        step = (1, self.dilation)
        if self.decoupled:
            y = functional.conv2d(
                window,
                self.dw.weight,
                None,
                padding=(1, 0),
                dilation=step,
                groups=x.shape[1],
            )
            return self.pw(y)
        return conv2d(window, self.weight, self.bias, padding=(1, 0), dilation=step)


class _GroupedNorm(torch.autograd.Function):
    """Norm by statistics of the batch: y = w (x - mean) / sqrt(var + eps) + b.

    A function of its own because of its cost: left to `torch.var_mean` and its gradient it took a
    third of a training step on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's own
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        channel_groups: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, F, T), twice (C, sub-bands) -> (B, C, F, T), statistics (groups, sub-bands)."""
        B, C, _, _ = x.shape
        cg, fg = channel_groups, weight.shape[1]
        x = x.contiguous()
        rows = x.view(B, C, fg, -1)
        count = x.numel() // (cg * fg)
        # Sums within rows in x's precision, over rows in double.
        first = rows.sum(-1).double().view(B, cg, -1, fg).sum((0, 2)) / count
        second = torch.linalg.vector_norm(rows, dim=-1).double().square()
        second = second.view(B, cg, -1, fg).sum((0, 2)) / count
        var = (second - first.square()).clamp(min=0)
        scale = torch.rsqrt(var + NORM_EPS)
        by_channel = (v.repeat_interleave(C // cg, 0) for v in (first, scale))
        mean_c, scale_c = (v.to(x.dtype) for v in by_channel)
        ctx.save_for_backward(x, weight, mean_c, scale_c)
        ctx.channel_groups = cg
        ctx.mark_non_differentiable(first, var)
        a = scale_c * weight
        y = (rows * _over(a)).add_(_over(bias - mean_c * a))
        return y.view(x.shape), first, var

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any,  # noqa: ANN401 - the same
        grad: Tensor,
        *_: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of x, weight and bias."""
        x, weight, mean, scale = ctx.saved_tensors
        B, C, _, _ = x.shape
        cg, fg = ctx.channel_groups, weight.shape[1]
        rows, grads = x.view(B, C, fg, -1), grad.reshape(B, C, fg, -1)
        bias_grad = grads.sum(-1).sum(0)  # (C, fg)
        weight_grad = ((grads * rows).sum(-1).sum(0) - mean * bias_grad) * scale
        count = x.numel() // (cg * fg)
        # Means over a group of w g and of w g (x - mean) / deviation.
        mean_g, mean_gx = (
            (v * weight).view(cg, -1, fg).sum(1).repeat_interleave(C // cg, 0) / count
            for v in (bias_grad, weight_grad)
        )
        slope = scale.square() * mean_gx
        out = grads * _over(scale * weight)
        out.add_((rows * _over(-slope)).add_(_over(slope * mean - scale * mean_g)))
        return out.view(x.shape), weight_grad, bias_grad, None


def _over(rows: Tensor) -> Tensor:
    """(C, sub-bands) to be broadcast over (B, C, sub-bands, bins and frames)."""
    return rows[None, :, :, None]


class SubbandBatchNorm(nn.Module):
    """Batch norm with statistics per group of channels and sub-band.

    In training statistics go over batch, channels of the group, bins of the sub-band and
    time; afterwards it is the fixed map that `SubbandMap` holds.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.groups = (channel_groups(channels), band_groups(bins))
        self.weight = nn.Parameter(torch.ones(channels, self.groups[1]))
        self.bias = nn.Parameter(torch.zeros(channels, self.groups[1]))
        self.momentum = NORM_MOMENTUM
        self.register_buffer("running_mean", torch.zeros(self.groups))
        self.register_buffer("running_var", torch.ones(self.groups))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> (B, C, F, T)."""
        if not self.training:
            return subband_map(x, *self.folded())
        y, mean, var = _GroupedNorm.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self.groups[0]
        )
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(var.to(self.running_var.dtype), self.momentum)
        return y

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift, (4, C) each; with one sub-band row 0 counts alone."""
        share = self.weight.shape[0] // self.groups[0]
        mean = self.running_mean.repeat_interleave(share, 0)  # (C, fg)
        deviation = torch.sqrt(self.running_var + NORM_EPS).repeat_interleave(share, 0)
        scale = self.weight / deviation
        shift = self.bias - mean * scale
        rows = FREQ_GROUPS // self.groups[1]
        return tuple(v.repeat(1, rows).T.contiguous() for v in (scale, shift))  # type: ignore[return-value]


class SubbandMap(nn.Module):
    """Fixed scale and shift per channel and sub-band, rows of (4, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(FREQ_GROUPS, channels))
        self.shift = nn.Parameter(torch.zeros(FREQ_GROUPS, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> (B, C, F, T)."""
        return subband_map(x, self.scale, self.shift)


def subband_map(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Multiply and add per channel and sub-band: (B, C, F, T) with maps (4, C)."""
    F = x.shape[2]
    groups = band_groups(F)

    def expand(rows: Tensor) -> Tensor:
        return rows[:groups].repeat_interleave(F // groups, 0).T[None, :, :, None]

    return x * expand(scale) + expand(shift)


def unfolded_state(folded: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a network with norms that are the maps of a folded one.

    Their statistics are those of signals of mean 0 and deviation 1, to be kept: what the maps
    were made of is not known.

    Parameters
    ----------
    folded : mapping
        State dict of a folded network.
    wanted : mapping
        State dict of one with norms, for names and shapes; values are not used.
    """
    found = {}
    for name, value in folded.items():
        path, _, leaf = name.rpartition(".")
        rows = wanted.get(f"{path}.running_var")
        if rows is None or leaf not in ("scale", "shift"):
            found[name] = value
            continue
        found[f"{path}.{'weight' if leaf == 'scale' else 'bias'}"] = value[: rows.shape[1]].T
        found[f"{path}.running_mean"] = torch.zeros_like(rows)
        found[f"{path}.running_var"] = torch.ones_like(rows) - NORM_EPS
    return found


def fir_down(x: Tensor) -> Tensor:
    """Halve the bins with [1, 3, 3, 1] / 8: (B, C, F, T) -> (B, C, F/2, T)."""
    p = functional.pad(x, (0, 0, 1, 1))  # bin f of x is p[f + 1]
    return (
        p[:, :, :-2:2]
        + 3 * p[:, :, 1:-1:2]
        + 3 * p[:, :, 2::2][:, :, : x.shape[2] // 2]
        + p[:, :, 3::2]
    ) / 8


def fir_up(x: Tensor) -> Tensor:
    """Double the bins, gain 1/2: y[2f] = (3 x[f] + x[f+1]) / 8, y[2f+1] = (x[f] + 3 x[f+1]) / 8."""
    above = functional.pad(x, (0, 0, 0, 1))[:, :, 1:]
    pairs = torch.stack((3 * x + above, x + 3 * above), dim=3) / 8  # (B, C, F, 2, T)
    return pairs.flatten(2, 3)


class ResBlock(nn.Module):
    """Two norms, SiLUs and convolutions around a shortcut; may halve or double the bins.

    Parameters
    ----------
    c_in, c_out
        Channels.
    bins
        Before resampling.
    mode
        ``"same"``, ``"down"`` or ``"up"``.
    dilation
        Of the first convolution.
    embedding
        Width of the time embedding, 0 for none.
    folded, rank
        As in the network.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        bins: int,
        *,
        mode: str = "same",
        dilation: int = 1,
        embedding: int = 0,
        folded: bool = False,
        rank: int = 0,
    ) -> None:
        super().__init__()
        self.mode = mode
        after = {"same": bins, "down": bins // 2, "up": bins * 2}[mode]
        self.norm0 = norm(c_in, bins, folded=folded)
        self.conv0 = CausalConv(c_in, c_out, dilation=dilation, rank=rank)
        self.temb = nn.Linear(embedding, c_out) if embedding else None
        self.norm1 = norm(c_out, after, folded=folded)
        self.conv1 = CausalConv(c_out, c_out, rank=rank, scale=_SMALL)
        self.skip = PointConv(c_in, c_out) if c_in != c_out or mode != "same" else None
        if self.temb is not None:
            _variance_scaled(self.temb.weight[:, :, None])
            nn.init.zeros_(self.temb.bias)

    def forward(self, x: Tensor, embedding: Tensor | None, memory: Memory) -> Tensor:
        """(B, c_in, F, T) -> (B, c_out, F', T); embedding (B, E) after its SiLU."""
        h = functional.silu(self.norm0(x))
        if self.mode != "same":
            resample = fir_down if self.mode == "down" else fir_up
            h, x = resample(h), resample(x)
        h = self.conv0(h, memory)
        if self.temb is not None:
            assert embedding is not None  # noqa: S101
            h = h + self.temb(embedding)[:, :, None, None]
        h = self.conv1(functional.silu(self.norm1(h)), memory)
        if self.skip is not None:
            x = self.skip(x)
        return (x + h) / math.sqrt(2)


class Head(nn.Module):
    """What a level adds to the output pyramid: Conv(SiLU(norm(x))) to 2 channels."""

    def __init__(self, channels: int, bins: int, *, folded: bool, rank: int) -> None:
        super().__init__()
        self.norm = norm(channels, bins, folded=folded)
        self.conv = CausalConv(channels, 2, rank=rank, scale=_SMALL)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, F, T) -> (B, 2, F, T)."""
        return self.conv(functional.silu(self.norm(x)), memory)


def norm(channels: int, bins: int, *, folded: bool) -> nn.Module:
    """Return the norm of a level, as trained or as a file holds it."""
    return SubbandMap(channels) if folded else SubbandBatchNorm(channels, bins)
