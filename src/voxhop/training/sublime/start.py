"""A codec to begin with: its encoder passes on what it hears, its codes are those of k-means.

Left at random weights, a deep encoder hides the features from all that comes after it, and codes
tell little but the level for thousands of steps. From here, training improves on a quantiser
of log-mel features that works.

B clips, N samples, C channels, M mel frames, T code frames, G groups, K codes, D query channels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.memory import Memory
from voxhop.reference.sublime.blocks import ConvBlock

if TYPE_CHECKING:
    from voxhop.reference.savq import SAVQ
    from voxhop.reference.sublime import FrameEncoder, Sublime

_CONSTANT = 20.0
"""What one channel always holds. Beside it the features are small, so that the norm at the end
of an encoder, which takes the size of a vector away, hardly bends them."""

_COARSE = ((0,), (1, 4), (2, 3), (5, 6, 7, 8))
"""Components of mode A's groups. Each of the first has about the spread of all after it."""

_TWICE = 8  # components of mode B that two groups tell, each with another neighbour
_ROUNDS = 12  # of k-means
_RIDGE = 1e-3
_LEAST_SPREAD = 1e-3
_LEAST_MAGNITUDE = 1e-4


@torch.no_grad()
def fit_codec(model: Sublime, noisy: Tensor, target: Tensor) -> None:
    """Fit a new model to some minutes of sound, in closed form but for k-means.

    The principal components of pairs of log-mel frames are shared out among the groups: the
    first ones to mode A, two each from the first again to mode B. Values are what is best
    added up, by least squares: of mode A alone, then of mode B in what it leaves.

    Parameters
    ----------
    model
        With random weights; changed in place, its functions' form is not.
    noisy, target : Tensor, (B, N)
        What the encoder hears, and what should be heard.
    """
    assert model.mel is not None  # noqa: S101 - a codec has one
    assert model.enc is not None  # noqa: S101 - a new one has all of it
    fit_encoder(model, model.enc, noisy)
    features, _ = model.mel(noisy)
    wanted = _components(model, target)
    inner = _inner(model.enc, features)
    frames = min(wanted.shape[1], inner.shape[1])
    wanted = wanted[:, :frames].flatten(0, 1)
    _project(model, inner[:, :frames].flatten(0, 1), wanted)
    queries, _ = model.queries(noisy)
    queries = queries[:, :frames].flatten(0, 1)
    _fit_keys(model.vq, queries)
    codes = model.vq.codes(queries)
    _fit_values(model.vq, codes, wanted[:, : model.config.width])
    _fit_level(model, codes, target)


@torch.no_grad()
def fit_encoder(model: Sublime, network: FrameEncoder, noisy: Tensor) -> None:
    """Let shortcuts carry the principal components of features, and blocks add nothing yet.

    Parameters
    ----------
    model
        Whose features they are.
    network
        Its encoder or front-end; changed in place.
    noisy : Tensor, (B, N)
        What it hears.
    """
    assert model.mel is not None  # noqa: S101 - it has a network that hears
    features, _ = model.mel(noisy)
    spread = features.std((0, 2)).clamp_min(_LEAST_SPREAD)
    mean = features.mean((0, 2))
    first = network.get_submodule("0")
    assert isinstance(first, ConvBlock)  # noqa: S101 - all of them are
    assert first.conv.bias is not None  # noqa: S101 - made with one
    assert first.skip is not None  # noqa: S101 - features are of another width
    first.conv.weight.div_(spread[:, None])
    first.conv.bias.sub_(first.conv.weight.sum(2) @ mean)
    scaled = (features - mean[:, None]) / spread[:, None]
    _, directions = _principal(scaled.transpose(1, 2).flatten(0, 1))
    room = first.skip.out_features - 1
    first.skip.weight.zero_()
    kept = min(room, directions.shape[1])
    first.skip.weight[:kept] = directions[:, :kept].T / spread
    for i in range(network.blocks):
        block = network.get_submodule(str(i))
        assert isinstance(block, ConvBlock)  # noqa: S101 - all of them are
        block.ff2.weight.zero_()
        block.ff2.bias.zero_()
        if i and block.skip is not None:
            block.skip.weight.zero_()
            block.skip.weight.fill_diagonal_(1.0)
    first.ff2.bias.sub_(first.skip.weight @ mean)
    first.ff2.bias[room] = _CONSTANT


def _principal(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return variances, falling, and directions in columns, of rows of mean 0."""
    variance, directions = torch.linalg.eigh(rows.T @ rows / rows.shape[0])
    return variance.flip(0).clamp_min(0), directions.flip(1)


def _components(model: Sublime, audio: Tensor) -> Tensor:
    """Return the principal components of code frames, (B, T, 2 C), the first of spread 1."""
    assert model.mel is not None  # noqa: S101 - a codec has one
    features, _ = model.mel(audio)
    mean = features.mean((0, 2), keepdim=True)
    scaled = (features - mean) / features.std((0, 2), keepdim=True).clamp_min(_LEAST_SPREAD)
    scaled = functional.pad(scaled, (1, 0))
    pairs = torch.cat((scaled[..., :-1:2], scaled[..., 1::2]), 1).transpose(1, 2)
    variance, directions = _principal(pairs.flatten(0, 1))
    return pairs @ directions / variance[0].sqrt()


def _inner(network: FrameEncoder, features: Tensor) -> Tensor:
    """Return what a network's projection sees, (B, T, C)."""
    kept: list[Tensor] = []
    handle = network.norm.register_forward_hook(lambda _module, _given, out: kept.append(out))
    network(features)
    handle.remove()
    return kept[0]


def shared_out(groups_a: int, groups_b: int) -> list[tuple[int, ...]]:
    """Return the components of every group, those of mode A first."""
    coarse = [_COARSE[g] if g < len(_COARSE) else (9 + g,) for g in range(groups_a)]
    chain = [(i, i + 2) for i in range(_TWICE)]
    pairs = [(i, i + 1) for i in range(_TWICE + 2, _TWICE + 2 + 2 * groups_b, 2)]
    return [*coarse, *(chain + pairs)[:groups_b]]


def _project(model: Sublime, inner: Tensor, wanted: Tensor) -> None:
    """Make each group's query of a constant and the components that the group is to tell."""
    vq, c = model.vq, model.config
    assert model.enc is not None  # noqa: S101 - asked before
    spread = wanted.std(0).clamp_min(_LEAST_SPREAD)
    targets = wanted.new_zeros(len(wanted), c.n_groups, c.query_dim)
    targets[..., 0] = 1.0
    for group, own in enumerate(shared_out(vq.groups_a, vq.groups - vq.groups_a)):
        told = [k for k in own if k < wanted.shape[1]][: c.query_dim - 1]
        targets[:, group, 1 : 1 + len(told)] = wanted[:, told] / spread[told]
    ones = functional.pad(inner, (0, 1), value=1.0)
    solved = _least_squares(ones, targets.flatten(1))
    projection = model.enc.get_submodule(model.enc.head)
    assert isinstance(projection, nn.Linear)  # noqa: S101 - it is one
    projection.weight.copy_(solved[:-1].T)
    projection.bias.copy_(solved[-1])


def _least_squares(given: Tensor, wanted: Tensor) -> Tensor:
    """Return the matrix that makes `wanted` of `given`, with a little ridge."""
    given, wanted = given.double(), wanted.double()
    square = given.T @ given / len(given)
    square.diagonal().add_(_RIDGE * square.diagonal().mean())
    return torch.linalg.solve(square, given.T @ wanted / len(given)).float()


def _fit_keys(vq: SAVQ, queries: Tensor) -> None:
    """K-means of the directions of each group's queries, (N, G, D)."""
    assert vq.key is not None  # noqa: S101 - an encoder has keys
    directions = functional.normalize(queries, dim=-1).transpose(0, 1)  # (G, N, D)
    picked = torch.linspace(0, directions.shape[1] - 1, vq.size, device=queries.device).long()
    keys = directions[:, picked]
    for _ in range(_ROUNDS):
        nearest = (directions @ keys.transpose(1, 2)).argmax(-1)  # (G, N)
        chosen = functional.one_hot(nearest, vq.size).float()
        sums = chosen.transpose(1, 2) @ directions
        counts = chosen.sum(1)
        # One that has lost all its frames goes where the widest of all is, a little aside.
        widest = keys.gather(1, counts.argmax(1)[:, None, None].expand(-1, 1, keys.shape[2]))
        aside = widest + 0.1 * torch.randn_like(keys) / math.sqrt(keys.shape[2])
        keys = functional.normalize(torch.where(counts[..., None] > 0, sums, aside), dim=-1)
    vq.key.copy_(keys.flatten(0, 1))


def _fit_values(vq: SAVQ, codes: Tensor, wanted: Tensor) -> None:
    """Let the values of codes (N, G) add up to what is wanted, (N, W).

    Components count by the root of their spread, so that the vocoder hears the small ones too.
    """
    assert vq.value is not None  # noqa: S101 - a vocoder has values
    wanted = wanted / wanted.std(0).clamp_min(_LEAST_SPREAD).sqrt()
    wanted = wanted / wanted.square().mean().sqrt()
    if wanted.shape[1] < vq.value.shape[1]:
        wanted = functional.pad(wanted, (0, vq.value.shape[1] - wanted.shape[1]))
    chosen = functional.one_hot(codes, vq.size).float().flatten(1)
    first = vq.groups_a * vq.size
    vq.value[:first] = _least_squares(chosen[:, :first], wanted)
    left = wanted - chosen[:, :first] @ vq.value[:first]
    vq.value[first:] = _least_squares(chosen[:, first:], left)


def _fit_level(model: Sublime, codes: Tensor, target: Tensor) -> None:
    """Give the vocoder's log-magnitudes the mean of what should be heard."""
    assert model.voc is not None  # noqa: S101 - asked before
    assert model.voc.out.bias is not None  # noqa: S101 - made with one
    hop = model.config.hop_length
    spectrum = model.voc.spectrum(model.vq.lookup(codes)[None], Memory(None))
    frames = target.unfold(1, 2 * hop, hop) * model.voc.window
    wanted = torch.fft.rfft(frames, norm="ortho").abs().clamp_min(_LEAST_MAGNITUDE)
    model.voc.out.bias[0] += wanted.log().mean() - spectrum[:, 0].mean()
