"""The causal U-Net of Stream.FM, used as flow (with time) and as predictor (without)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.memory import Memory, NetworkState
from voxhop.reference.streamfm.blocks import (
    CausalConv,
    Head,
    PointConv,
    ResBlock,
    SubbandBatchNorm,
    fir_down,
    fir_up,
)
from voxhop.reference.streamfm.config import EMBED_SCALE, StreamFMConfig

if TYPE_CHECKING:
    from collections.abc import Mapping


class TimeEmbedding(nn.Module):
    """e(tau): sines and cosines of fixed random frequencies, then two layers."""

    freqs: Tensor

    def __init__(self, nf: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.randn(nf) * EMBED_SCALE)
        self.fc1 = nn.Linear(2 * nf, 4 * nf)
        self.fc2 = nn.Linear(4 * nf, 4 * nf)

    def forward(self, tau: Tensor) -> Tensor:
        """(B) in [0, 1] -> (B, 4 nf)."""
        phase = 2 * math.pi * tau[:, None] * self.freqs
        waves = torch.cat((phase.sin(), phase.cos()), dim=1)
        return self.fc2(functional.silu(self.fc1(waves)))


class UNet(nn.Module):
    """The network of one call.

    Parameters
    ----------
    config
        Sizes.
    in_channels
        Real channels of the input.
    timed
        Whether it depends on tau.
    folded
        Norms as fixed maps (what a file holds) instead of batch statistics.
    """

    def __init__(  # noqa: C901  (reads as the list of layers)
        self, config: StreamFMConfig, in_channels: int, *, timed: bool, folded: bool = False
    ) -> None:
        super().__init__()
        nf, mult = config.nf, config.ch_mult
        widths = [nf * m for m in mult]
        self.levels, self.blocks = len(mult), config.num_res_blocks
        rank, bins = config.decoupled_rank, config.bins
        E = 4 * nf if timed else 0

        def add(name: str, c_in: int, c_out: int, F: int, mode: str = "same") -> None:
            block = ResBlock(
                c_in,
                c_out,
                F,
                mode=mode,
                dilation=config.time_dilation if mode == "down" else 1,
                embedding=E,
                folded=folded,
                rank=rank,
            )
            scope, _, leaf = name.partition(".")
            if leaf:
                if scope not in self._modules:
                    self.add_module(scope, nn.Module())
                getattr(self, scope).add_module(leaf, block)
            else:
                self.add_module(name, block)

        self.embed = TimeEmbedding(nf) if timed else None
        self.add_module("in", CausalConv(in_channels, nf, rank=rank))
        skips, width = [nf], nf
        for level, channels in enumerate(widths):
            F = bins >> level
            for i in range(self.blocks):
                add(f"d{level}.rb{i}", width, channels, F)
                width = channels
                skips.append(width)
            if level + 1 < self.levels:
                add(f"down{level}", width, width, F, "down")
                self.add_module(f"dcomb{level}", PointConv(in_channels, width))
        for i in range(2):
            add(f"mid{i}", width, width, bins >> (self.levels - 1))
        for level in reversed(range(self.levels)):
            F = bins >> level
            # The lowest index takes the input convolution's skip besides its own.
            for i in range(self.blocks + (level == 0)):
                skip = skips.pop()
                if skip != width:
                    self.add_module(f"ucomb{level}_{i}", PointConv(skip, width))
                add(f"u{level}.rb{i}", width, widths[level], F)
                width = widths[level]
            self.add_module(f"head{level}", Head(width, F, folded=folded, rank=rank))
            if level:
                add(f"up{level}", width, width, F, "up")
        for name, module in self.named_modules():
            if isinstance(module, CausalConv):
                module.path = name

    def forward(  # noqa: C901  (the same)
        self, x: Tensor, tau: Tensor | None, state: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, NetworkState]:
        """Run frames through the network.

        Parameters
        ----------
        x : Tensor, (B, C, F, T)
            Input channels, real parts first.
        tau : Tensor, (B), or None without time
            Flow time.
        state
            What the last call returned; None starts from zeros.

        Returns
        -------
        y : Tensor, (B, 2, F, T)
        state : dict of Tensor
            The history of every convolution by its name.
        """
        memory = Memory(state)
        e = None
        if self.embed is not None:
            assert tau is not None  # noqa: S101
            e = functional.silu(self.embed(tau))

        def block(name: str, h: Tensor) -> Tensor:
            return self.get_submodule(name)(h, e, memory)

        h = self.get_submodule("in")(x, memory)
        skips = [h]
        for level in range(self.levels):
            for i in range(self.blocks):
                h = block(f"d{level}.rb{i}", h)
                skips.append(h)
            if level + 1 < self.levels:
                h = block(f"down{level}", h)
                x = fir_down(x)
                h = (self.get_submodule(f"dcomb{level}")(x) + h) / math.sqrt(2)
        for i in range(2):
            h = block(f"mid{i}", h)
        pyramid: Tensor | None = None
        for level in reversed(range(self.levels)):
            for i in range(self.blocks + (level == 0)):
                s = skips.pop()
                if hasattr(self, f"ucomb{level}_{i}"):
                    s = self.get_submodule(f"ucomb{level}_{i}")(s)
                h = block(f"u{level}.rb{i}", (s + h) / math.sqrt(2))
            y = self.get_submodule(f"head{level}")(h, memory)
            pyramid = y if pyramid is None else fir_up(pyramid) + y
            if level:
                h = block(f"up{level}", h)
        assert pyramid is not None  # noqa: S101
        return pyramid, memory.left

    def folded_state(self) -> dict[str, Tensor]:
        """Return the state dict of the same network with its norms folded."""
        state = {k: v.detach().clone() for k, v in self.state_dict().items()}
        for name, module in self.named_modules():
            if isinstance(module, SubbandBatchNorm):
                for leaf in ("weight", "bias", "running_mean", "running_var"):
                    del state[f"{name}.{leaf}"]
                scale, shift = module.folded()
                state[f"{name}.scale"], state[f"{name}.shift"] = scale.detach(), shift.detach()
        return state
