"""Scales of a codec that begins with random weights, fitted to what it will hear and say.

B clips, N samples, C channels, T frames, G groups, D channels of a query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from voxhop.reference.memory import Memory
from voxhop.reference.sublime_blocks import ConvBlock

if TYPE_CHECKING:
    from voxhop.reference.sublime import FrameEncoder, Sublime

_LEAST_SPREAD = 1e-2  # of the widest direction of what queries are made of
_COARSE_SHARE = 0.7
_LEAST_MAGNITUDE = 1e-4


@torch.no_grad()
def fit_scales(model: Sublime, noisy: Tensor, target: Tensor) -> None:
    """Let a new model begin with features, queries and sound of the right mean and size.

    Log-mel features are numbers around -7 of which the loudness is the largest part. Left like
    that, all queries look alike for thousands of steps and codes tell little but the level.

    Parameters
    ----------
    model
        With random weights; changed in place, its functions' form is not.
    noisy, target : Tensor, (B, N)
        Some minutes of what the encoder hears and of what should be heard.
    """
    assert model.mel is not None  # noqa: S101 - a codec has one
    features, _ = model.mel(noisy)
    for network in (model.enc, model.fe):
        if network is not None:
            _take_features(network, features)
    if model.enc is not None:
        _spread_queries(model.enc, features)
    if model.voc is not None and model.vq.value is not None:
        _share_out(model)
        queries, _ = model.queries(noisy)
        spectrum = model.voc.spectrum(model.vq.lookup(model.vq.codes(queries)), Memory(None))
        window = model.voc.window
        hop = model.config.hop_length
        wanted = torch.fft.rfft(target.unfold(1, 2 * hop, hop) * window, norm="ortho").abs()
        level = wanted.clamp_min(_LEAST_MAGNITUDE).log().mean()
        assert model.voc.out.bias is not None  # noqa: S101 - made with one
        model.voc.out.bias[0] += level - spectrum[:, 0].mean()


def _take_features(network: FrameEncoder, features: Tensor) -> None:
    """Make the first block begin with features of mean 0 and spread 1, (B, C, T)."""
    mean, spread = features.mean((0, 2)), features.std((0, 2)).clamp_min(1e-3)
    block = network.get_submodule("0")
    assert isinstance(block, ConvBlock)  # noqa: S101 - all of them are
    assert block.conv.bias is not None  # noqa: S101 - made with one
    block.conv.weight.div_(spread[:, None])
    block.conv.bias.sub_(block.conv.weight.sum(2) @ mean)
    if block.skip is not None:
        block.skip.weight.div_(spread)
        block.ff2.bias.sub_(block.skip.weight @ mean)


def _spread_queries(network: FrameEncoder, features: Tensor) -> None:
    """Make queries of mean 0 that tell the directions of what they are made of alike."""
    kept = []
    handle = network.norm.register_forward_hook(lambda _module, _given, out: kept.append(out))
    network(features)
    handle.remove()
    inner = kept[0].flatten(0, 1)
    mean = inner.mean(0)
    variance, directions = torch.linalg.eigh(torch.cov((inner - mean).T))
    spread = variance.clamp_min(_LEAST_SPREAD * variance.max()).sqrt()
    projection = network.get_submodule(network.head)
    assert isinstance(projection, nn.Linear)  # noqa: S101 - it is one
    projection.weight.copy_(torch.randn_like(projection.weight) / inner.shape[1] ** 0.5)
    projection.weight.copy_(projection.weight @ (directions / spread) @ directions.T)
    projection.bias.copy_(-projection.weight @ mean)


def _share_out(model: Sublime) -> None:
    """Give mode A's few groups most of a frame's vector, and mode B's the rest."""
    vq = model.vq
    assert vq.value is not None  # noqa: S101 - asked before
    first = vq.groups_a * vq.size
    scale = vq.groups**0.5  # of the values as they were drawn
    vq.value[:first] *= scale * (_COARSE_SHARE / vq.groups_a) ** 0.5
    vq.value[first:] *= scale * ((1 - _COARSE_SHARE) / (vq.groups - vq.groups_a)) ** 0.5
