"""Soft alignment of the far-end features with the microphone's, section 2.4.

B batch, T frames, F frequency positions, C channels, h projection channels, D = d_max
delays. The delay axis runs oldest first: index i is a delay of D-1-i frames.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.localvqe.blocks import PointConv

SMOOTH_TIME = 5
SMOOTH_DELAY = 3


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
            scores = banded_scores(query, keys, self.d_max)  # (B, h, T, D)
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
        for parameter in self.conv.parameters():
            parameter.div_(self.temperature)
        self.temperature.fill_(1.0)


def _full(x: Tensor) -> Tensor:
    """Return x in at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _blocks(x: Tensor, frames: int, block: int) -> Tensor:
    """Cut (B, T, ...) into blocks of frames: (n, B, block, ...), zero-padded to `frames`."""
    B, T, *rest = x.shape
    if frames > T:
        x = torch.cat((x, x.new_zeros(B, frames - T, *rest)), dim=1)
    return x.view(B, frames // block, block, *rest).transpose(0, 1)


def _rows(x: Tensor) -> Tensor:
    """(n, B, L, F, h) -> (n, B, h, L, F), contiguous and at least float32, in one copy."""
    x = x.permute(0, 1, 4, 2, 3)
    full = torch.promote_types(x.dtype, torch.float32)
    return x.to(full, memory_format=torch.contiguous_format).contiguous()


def banded_scores(query: Tensor, keys: Tensor, d_max: int) -> Tensor:
    """Score every frame against its last D keys, eq. (6).

    Frames go in blocks of D. A block sees the D keys of its own block and of the one
    before, which is two plain products; of the (D, 2D) result the wanted diagonal band
    is a skewed view, because element (t, t+i) of a row-major (L, W) matrix lies at
    t*(W+1) + i.

    Parameters
    ----------
    query : Tensor, (B, T, F, h)
    keys : Tensor, (B, D-1+T, F, h)
    d_max : int

    Returns
    -------
    Tensor, (B, h, T, D)
        At least float32.
    """
    T, F = query.shape[1:3]
    frames = -(-T // d_max) * d_max
    q = _rows(_blocks(query, frames, d_max))  # (n, B, h, D, F)
    k = _rows(_blocks(keys, frames + d_max, d_max)).mT  # (n+1, B, h, F, D)
    full = torch.cat((q @ k[:-1], q @ k[1:]), dim=4) / F**0.5  # (n, B, h, D, 2D)
    band = full.flatten(3).unfold(3, d_max, 2 * d_max + 1)  # (n, B, h, D, D)
    return band.permute(1, 2, 0, 3, 4).flatten(2, 3)[:, :, :T]


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
    B, T, D = weights.shape
    frames = -(-T // D) * D
    w = functional.pad(_blocks(weights, frames, D), (0, D + 1))  # (n, B, D, 2D+1)
    # Dropping the last D entries of the flat rows shifts row t right by t.
    skewed = w.flatten(2)[:, :, :-D].reshape(-1, B, D, 2 * D)  # (n, B, D, 2D)
    values = _blocks(features.flatten(2), frames + D, D).contiguous()  # (n+1, B, D, F*C)
    out = skewed[..., :D] @ values[:-1] + skewed[..., D:] @ values[1:]
    return out.transpose(0, 1).flatten(1, 2)[:, :T].reshape(B, T, *features.shape[2:])
