"""Blocks of Sublime: 1-D convolution blocks and the sub-band decoders of the vocoder.

B batch, C channels, F bins, T frames; maps are (B, C, F, T), sequences (B, C, T).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.rms_norm import RMSNorm

if TYPE_CHECKING:
    from voxhop.reference.memory import Memory
    from voxhop.reference.sublime.config import BandShape, BlockShape, SublimeConfig

_KERNEL = 3


class CausalConv1d(nn.Conv1d):
    """A convolution over this frame and the two before it."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, _KERNEL)
        self.path = ""  # set by the network: where its history lies

    def forward(self, x: Tensor, memory: Memory) -> Tensor:  # type: ignore[override]
        """(B, c_in, T) -> (B, c_out, T)."""
        window = memory.with_past(self.path, x, _KERNEL - 1)
        if not x.shape[2]:  # torch refuses a past with no frame after it
            return x.new_zeros(x.shape[0], self.out_channels, 0)
        return super().forward(window)


class CausalConv2d(nn.Conv2d):
    """A convolution over bins, with zeros at both edges, and this frame and past ones.

    Parameters
    ----------
    c_in, c_out
        Channels.
    kernel
        (bins, frames).
    groups
        ``c_in`` for a depthwise convolution.
    """

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int], groups: int = 1) -> None:
        super().__init__(c_in, c_out, kernel, padding=(kernel[0] // 2, 0), groups=groups)
        self.path = ""

    def forward(self, x: Tensor, memory: Memory) -> Tensor:  # type: ignore[override]
        """(B, c_in, F, T) -> (B, c_out, F, T)."""
        return super().forward(memory.with_past(self.path, x, self.kernel_size[1] - 1))


class ConvBlock(nn.Module):
    """Convolution, norm and a feed-forward pair around a shortcut."""

    def __init__(self, shape: BlockShape, eps: float) -> None:
        super().__init__()
        self.conv = CausalConv1d(shape.c_in, shape.hidden)
        self.norm = RMSNorm(shape.hidden, eps)
        self.ff1 = nn.Linear(shape.hidden, shape.ff)
        self.ff2 = nn.Linear(shape.ff, shape.c_out)
        same = shape.c_in == shape.c_out
        self.skip = None if same else nn.Linear(shape.c_in, shape.c_out, bias=False)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, c_in, T) -> (B, c_out, T)."""
        y = self.norm(self.conv(x, memory).transpose(1, 2))  # (B, T, hidden)
        y = self.ff2(functional.gelu(self.ff1(y))).transpose(1, 2)
        if self.skip is not None:
            x = self.skip(x.transpose(1, 2)).transpose(1, 2)
        return x + y


class Bottleneck(nn.Module):
    """Universal inverted bottleneck: depthwise, norm, GEGLU of wider features, depthwise."""

    def __init__(self, features: int, hidden: int, kernel: tuple[int, int], eps: float) -> None:
        super().__init__()
        self.dw1 = CausalConv2d(features, features, kernel, groups=features)
        self.norm = RMSNorm(features, eps, axis=1)
        self.expand = nn.Conv2d(features, 2 * hidden, 1)
        self.dw2 = CausalConv2d(hidden, hidden, kernel, groups=hidden)
        self.project = nn.Conv2d(hidden, features, 1)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, features, F, T) -> the same shape."""
        gate, y = self.expand(self.norm(self.dw1(x, memory))).chunk(2, dim=1)
        return x + self.project(self.dw2(functional.gelu(gate) * y, memory))


def shuffle_bins(x: Tensor, factor: int) -> Tensor:
    """(B, C*r, F, T) -> (B, C, F*r, T): channel c*r + j of bin q goes to bin q*r + j."""
    B, channels, F, T = x.shape
    split = x.view(B, channels // factor, factor, F, T)
    return split.transpose(2, 3).reshape(B, channels // factor, F * factor, T)


class BandDecoder(nn.Module):
    """From a vector per frame to the feature maps of one sub-band."""

    def __init__(self, width: int, shape: BandShape, config: SublimeConfig) -> None:
        super().__init__()
        C = config.features
        self.features, self.start_bins, self.upsample = C, shape.start_bins, shape.upsample
        self.add_module("in", nn.Linear(width, C * shape.start_bins))
        kernel = (shape.kernel_f, shape.kernel_t)
        for i, factor in enumerate(shape.upsample):
            self.add_module(f"ps{i}", nn.Conv2d(C, C * factor, 1))
            uib = Bottleneck(C, config.band_hidden, kernel, config.rms_eps)
            self.add_module(f"uib{i}", uib)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, T, width) -> (B, features, end_bins, T)."""
        y = self.get_submodule("in")(x)
        y = y.view(*x.shape[:2], self.features, self.start_bins)  # (B, T, C, F)
        y = y.permute(0, 2, 3, 1)
        for i, factor in enumerate(self.upsample):
            y = shuffle_bins(self.get_submodule(f"ps{i}")(y), factor)
            y = self.get_submodule(f"uib{i}")(y, memory)
        return y


def name_histories(network: nn.Module) -> None:
    """Tell every causal convolution of a network where its history lies."""
    for name, module in network.named_modules():
        if isinstance(module, (CausalConv1d, CausalConv2d)):
            module.path = name
