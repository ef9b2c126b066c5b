"""Soft alignment of the far-end features with the microphone's, section 2.4.

B batch, T frames, F frequency positions, C channels, h projection channels, D = d_max
delays. The delay axis runs oldest first: index i is a delay of D-1-i frames.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.blocks import PointConv

SMOOTH_TIME = 5
SMOOTH_DELAY = 3
BLOCK_FRAMES = 32


class AlignState(NamedTuple):
    """What the alignment remembers: keys, far-end features and scores of past frames."""

    keys: Tensor  # (B, D-1, F, h)
    features: Tensor  # (B, D-1, F, C)
    scores: Tensor  # (B, h, 4, D)


class AlignOutput(NamedTuple):
    """Aligned features and the delay distribution that made them."""

    aligned: Tensor  # (B, T, F, C)
    logits: Tensor  # (B, T, D), after the temperature
    weights: Tensor  # (B, T, D)


class Align(nn.Module):
    """Cross-attention over D past frames with a smoothing convolution before the softmax.

    Parameters
    ----------
    channels_mic, channels_ref
        Channels C of both features.
    hidden
        Projection channels h.
    d_max
        Delays D.
    """

    temperature: Tensor

    def __init__(self, channels_mic: int, channels_ref: int, hidden: int, d_max: int) -> None:
        super().__init__()
        self.d_max = d_max
        self.pconv_mic = PointConv(channels_mic, hidden)
        self.pconv_ref = PointConv(channels_ref, hidden)
        self.conv = nn.Sequential(
            nn.ZeroPad2d((1, 1, 0, 0)),
            nn.Conv2d(hidden, 1, (SMOOTH_TIME, SMOOTH_DELAY)),
        )
        self.register_buffer("temperature", torch.tensor(0.1))

    def forward(
        self, mic: Tensor, ref: Tensor, state: AlignState | None
    ) -> tuple[AlignOutput, AlignState]:
        """Align ``ref`` with ``mic``.

        Parameters
        ----------
        mic, ref : Tensor, (B, T, F, C)
            Level-2 encoder features.
        state : AlignState, optional
            Past frames; zeros when None. Frames before the start are zero vectors that
            keep their share of the softmax.

        Returns
        -------
        output : AlignOutput
            ``logits`` and ``weights`` are at least float32 even under autocast.
        state : AlignState
        """
        query, key = self.pconv_mic(mic), self.pconv_ref(ref)
        if state is None:
            state = self._zero_state(key, ref)
        keys = torch.cat((state.keys.to(key.dtype), key), dim=1)  # (B, D-1+T, F, h)
        features = torch.cat((state.features.to(ref.dtype), ref), dim=1)
        with torch.autocast(mic.device.type, enabled=False):
            scores = banded_scores(_full(query), _full(keys), self.d_max)  # (B, h, T, D)
            scores = torch.cat((state.scores, scores), dim=2)
            logits = self.conv(scores)[:, 0] / self.temperature  # (B, T, D)
            weights = logits.softmax(dim=2)
            aligned = banded_sum(weights.to(features.dtype), features)
        past = self.d_max - 1
        state = AlignState(
            keys[:, keys.shape[1] - past :],
            features[:, features.shape[1] - past :],
            scores[:, :, 1 - SMOOTH_TIME :],
        )
        return AlignOutput(aligned, logits, weights), state

    def _zero_state(self, key: Tensor, ref: Tensor) -> AlignState:
        (B, _, F, h), C, past = key.shape, ref.shape[3], self.d_max - 1
        return AlignState(
            key.new_zeros(B, past, F, h),
            ref.new_zeros(B, past, F, C),
            _full(key.new_zeros(B, h, SMOOTH_TIME - 1, self.d_max)),
        )

    @torch.no_grad()
    def fold_temperature(self) -> None:
        """Divide the smoothing convolution by the temperature and set that to 1.

        The distribution stays the same; a second call changes nothing.
        """
        smooth = self.conv[1]
        smooth.weight.div_(self.temperature)
        smooth.bias.div_(self.temperature)
        self.temperature.fill_(1.0)


def _full(x: Tensor) -> Tensor:
    """Return x in at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _windows(x: Tensor, block: int, count: int, d_max: int) -> Tensor:
    """Cut the overlapping stretches of past and present that blocks of frames look at.

    x (B, D-1+T, E) -> (B, count, block + D, E): window n starts at the oldest frame that
    the first frame of block n sees. Its last row is padding, see `banded_scores`.
    """
    need = count * block + d_max
    x = functional.pad(x, (0, 0, 0, need - x.shape[1]))
    return x.unfold(1, block + d_max, block).transpose(2, 3)


def _blocks(x: Tensor, block: int) -> Tensor:
    """(B, T, E) -> (B, count, block, E), zero-padded at the end."""
    return functional.pad(x, (0, 0, 0, -x.shape[1] % block)).unflatten(1, (-1, block))


def banded_scores(query: Tensor, keys: Tensor, d_max: int) -> Tensor:
    """Score every frame against its last ``d_max`` keys, eq. (6).

    A block of frames is multiplied with all keys that any of them sees; the wanted
    diagonal band is then read as a skewed view: element (t, t+i) of a row-major
    (L, W) matrix lies at t*(W+1) + i. W = L + D leaves room for the last row's reach.

    Parameters
    ----------
    query : Tensor, (B, T, F, h)
    keys : Tensor, (B, D-1+T, F, h)
    d_max : int

    Returns
    -------
    Tensor, (B, h, T, D)
    """
    B, T, F, h = query.shape
    L = min(BLOCK_FRAMES, T)
    q = _blocks(query.flatten(2), L).unflatten(3, (F, h))  # (B, n, L, F, h)
    k = _windows(keys.flatten(2), L, q.shape[1], d_max).unflatten(3, (F, h))
    full = torch.einsum("bnlfh,bnwfh->bhnlw", q, k) / F**0.5  # (B, h, n, L, W)
    band = full.flatten(3).unfold(3, d_max, full.shape[4] + 1)  # (B, h, n, L, D)
    return band.flatten(2, 3)[:, :, :T]


def banded_sum(weights: Tensor, features: Tensor) -> Tensor:
    """Sum each frame's last D feature frames with its weights, eq. (4).

    Parameters
    ----------
    weights : Tensor, (B, T, D)
    features : Tensor, (B, D-1+T, F, C)

    Returns
    -------
    Tensor, (B, T, F, C)
    """
    _, T, D = weights.shape
    L = min(BLOCK_FRAMES, T)
    w = functional.pad(_blocks(weights, L), (0, L + 1))  # (B, n, L, W+1)
    # Dropping the last L entries of the flat rows shifts row t right by t.
    skewed = w.flatten(2)[:, :, :-L].unflatten(2, (L, L + D))  # (B, n, L, W)
    values = _windows(features.flatten(2), L, w.shape[1], D)  # (B, n, W, F*C)
    out = (skewed @ values).flatten(1, 2)[:, :T]
    return out.unflatten(2, features.shape[2:])
