"""Norm, causal convolution and the encoder and decoder stages of LocalVQE.

B batch, T frames, F frequency positions, C channels. Activations are (B, T, F, C) and
contiguous, which convolutions see as channels-last images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from voxhop.reference.localvqe.config import Shuffle

KERNEL_TIME = 4
KERNEL_FREQ = 4
NORM_EPS = 1e-5

ConvPair = tuple[Tensor, Tensor]
Activation = Callable[[Tensor], Tensor]


def _relu6(x: Tensor) -> Tensor:
    # In place: a convolution's output is needed by nobody else.
    return functional.relu6(x, inplace=True)


def _elu(x: Tensor) -> Tensor:
    return functional.elu(x, inplace=True)


ACTIVATIONS: dict[int, Activation] = {1: _elu, 2: _relu6, 3: functional.silu}


class FrameNorm(nn.Module):
    """Normalise each frame over (F, C) jointly, then scale and shift channels, eq. (16)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F, C) -> (B, T, F, C); statistics of one frame never see another."""
        shape = x.shape[2:]
        # Gain and bias as (F, C) let one fused kernel do the whole norm.
        weight = self.weight.to(x.dtype).expand(shape)
        bias = self.bias.to(x.dtype).expand(shape)
        with torch.autocast(x.device.type, enabled=False):
            return functional.layer_norm(x, shape, weight, bias, NORM_EPS)


class CausalConv(nn.Module):
    """A 4x4 convolution with 3 past frames of history and half-open frequency padding.

    Parameters
    ----------
    c_in, c_out
        Channels.
    stride
        Frequency stride, 1 or 2; F must be divisible by it.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(c_out, c_in, KERNEL_TIME, KERNEL_FREQ))
        self.bias = nn.Parameter(torch.zeros(c_out))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Convolve frames.

        Parameters
        ----------
        x : Tensor, (B, T, F, c_in)
            Frames, already normed where the block has a norm: zero history means zero
            after the norm.
        state : Tensor, (B, 3, F, c_in), or None
            The last three frames of x; zeros when None.

        Returns
        -------
        y : Tensor, (B, T, F / stride, c_out)
        state : Tensor, (B, 3, F, c_in)
        """
        past = KERNEL_TIME - 1
        # 1 below and 2 above. With stride 2 the second one above is never reached.
        above = 1 if self.stride == 2 else 2  # noqa: PLR2004
        F = x.shape[2]
        if state is None:
            padded = functional.pad(x, (0, 0, 1, above, past, 0))
        else:
            padded = functional.pad(torch.cat((state, x), dim=1), (0, 0, 1, above))
        image = padded.permute(0, 3, 1, 2)  # (B, C, T+3, F+1+above)
        y = functional.conv2d(image, self.weight, self.bias, stride=(1, self.stride))
        return y.permute(0, 2, 3, 1), padded[:, -past:, 1 : F + 1]


class PointConv(nn.Module):
    """A 1x1 convolution, written as the matrix product over channels that it is."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(c_out))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F, c_in) -> (B, T, F, c_out)."""
        return functional.linear(x, self.weight.flatten(1), self.bias)


def _norm(channels: int, version: int) -> nn.Module:
    """Return the norm of a block: generation 1 has none at run time."""
    return nn.Identity() if version == 1 else FrameNorm(channels)


class NormConv(nn.Module):
    """``conv(N(x))``: what ``resblock`` and ``deconv`` name."""

    def __init__(self, c_in: int, c_out: int, version: int, *, stride: int = 1) -> None:
        super().__init__()
        self.norm = _norm(c_in, version)
        self.conv = CausalConv(c_in, c_out, stride=stride)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, T, F, c_in), state (B, 3, F, c_in) -> (B, T, F / stride, c_out), state."""
        y: tuple[Tensor, Tensor] = self.conv(self.norm(x), state)
        return y


class EncoderBlock(NormConv):
    """Halve the frequency axis, then one residual convolution, eq. (3)."""

    def __init__(self, c_in: int, c_out: int, version: int) -> None:
        super().__init__(c_in, c_out, version, stride=2)
        self.resblock = NormConv(c_out, c_out, version)
        self._act = ACTIVATIONS[version]

    def forward(  # type: ignore[override]
        self, x: Tensor, state: ConvPair | None
    ) -> tuple[Tensor, ConvPair]:
        """(B, T, F, c_in) -> (B, T, F/2, c_out) and the history of both convolutions."""
        down_state, res_state = state or (None, None)
        y, down_state = super().forward(x, down_state)
        y = self._act(y)
        z, res_state = self.resblock(y, res_state)
        return y + self._act(z), (down_state, res_state)


class ChannelAffine(nn.Module):
    """Scale and shift of generation 1's decoders: a batch norm reduced to two vectors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F, C) -> (B, T, F, C)."""
        return x * self.scale.to(x.dtype) + self.bias.to(x.dtype)


class DecoderBlock(nn.Module):
    """Add the skip, one residual convolution, then double the frequency axis.

    Parameters
    ----------
    c_in, c_out
        Channels before and after.
    version
        Generation.
    shuffle
        Layout of the doubling.
    last
        Whether the output is the mask, which has no activation.
    """

    def __init__(
        self, c_in: int, c_out: int, version: int, *, shuffle: Shuffle, last: bool
    ) -> None:
        super().__init__()
        self.skip_norm = _norm(c_in, version)
        self.skip_conv = PointConv(c_in, c_in)
        self.resblock = NormConv(c_in, c_in, version)
        self.deconv = NormConv(c_in, 2 * c_out, version)
        self.bn = ChannelAffine(c_out) if version == 1 and not last else nn.Identity()
        self._act = ACTIVATIONS[version]
        self._shuffle = shuffle
        self._last = last

    def forward(self, x: Tensor, skip: Tensor, state: ConvPair | None) -> tuple[Tensor, ConvPair]:
        """Decode one stage.

        Parameters
        ----------
        x, skip : Tensor, (B, T, F, c_in)
            The stage below and the encoder's output of the same resolution.
        state : pair of Tensor, (B, 3, F, c_in) each, or None
            History of the two convolutions.

        Returns
        -------
        y : Tensor, (B, T, 2F, c_out)
        state : pair of Tensor
        """
        res_state, up_state = state or (None, None)
        y = x + self.skip_conv(self.skip_norm(skip))
        z, res_state = self.resblock(y, res_state)
        y = y + self._act(z)
        z, up_state = self.deconv(y, up_state)
        y = self.bn(double_bins(z, self._shuffle))
        return y if self._last else self._act(y), (res_state, up_state)


def double_bins(x: Tensor, shuffle: Shuffle) -> Tensor:
    """Turn pairs of channels into pairs of bins.

    Parameters
    ----------
    x : Tensor, (B, T, F, 2C)
        Convolution output.
    shuffle
        ``"halves"``: channel c of position g goes to bin g, channel C + c to bin F + g.
        ``"interleave"``: to bins 2g and 2g + 1.

    Returns
    -------
    Tensor, (B, T, 2F, C)
    """
    if shuffle == "halves":
        return torch.cat(x.chunk(2, dim=3), dim=2)
    B, T, F, channels = x.shape
    return x.reshape(B, T, 2 * F, channels // 2)
