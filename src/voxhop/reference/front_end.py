"""Puts what needs no training in front of a network that knows nothing of it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from voxhop.reference.localvqe import LocalVQE

_FIRST = "mic_enc1"


def with_front_end(
    model: LocalVQE,
    partitions: int,
    *,
    echo_inputs: bool = False,
    follow: bool = False,
    tones: bool = False,
) -> LocalVQE:
    """Return a copy of a model that hears the microphone through cancellers.

    Parameters
    ----------
    model
        Of version 2 or later, without a canceller. Left as it is.
    partitions
        Of 16 ms: 16, 32 or 48; 0 for none.
    echo_inputs
        Whether the copy also sees the echo that was taken, through weights that are zero: a
        start for training. The first norm counts the new inputs too, so its gain falls by the
        square root of two: without an echo the copy then computes what the model computed, but
        for a mean that features hardly have.
    follow
        Whether the canceller has a follower for what moves fast.
    tones
        Whether steady tones are taken from the microphone.

    Raises
    ------
    ValueError
        For a number of partitions or a version that cannot have a canceller.
    """
    widths = model.config.mic_channels
    if echo_inputs:
        widths = (2 * widths[0], *widths[1:])
    config = replace(
        model.config,
        echo_partitions=partitions,
        echo_follower=follow,
        cancel_tones=tones,
        mic_channels=widths,
    )
    state = dict(model.state_dict())
    if echo_inputs:
        state = with_echo_inputs(state)
    changed = LocalVQE(config).to(model.encoder.conv.weight.dtype)
    changed.load_state_dict(state)
    return changed


def with_echo_inputs(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of a network that hears two inputs two more, of weight zero."""
    weight, gain, bias = (
        state[f"{_FIRST}.{name}"] for name in ("conv.weight", "norm.weight", "norm.bias")
    )
    gain = gain / math.sqrt(2)
    return state | {
        f"{_FIRST}.conv.weight": torch.cat((weight, torch.zeros_like(weight)), 1),
        f"{_FIRST}.norm.weight": torch.cat((gain, gain)),
        f"{_FIRST}.norm.bias": torch.cat((bias, torch.zeros_like(bias))),
    }
