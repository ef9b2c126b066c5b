"""Dense 3x3 convolutions as depthwise ones and a 1x1, to any rank.

Per input channel the kernels of all outputs, a (c_out, 9) matrix, are cut to rank R by singular
values: R depthwise kernels sqrt(S) V^T and their weights U sqrt(S). Rank 9 loses nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from voxhop.errors import ArgumentError
from voxhop.reference.streamfm import StreamFM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_TAPS: Final = 9
_DENSE: Final = re.compile(r"(.*)\.weight")


def decoupled_state(dense: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a decoupled network that come nearest to a dense one's.

    Parameters
    ----------
    dense : mapping
        State dict of a dense network.
    wanted : mapping
        State dict of the decoupled one, for names and shapes; values are not used.
    """
    found = dict(dense)
    for name, weight in dense.items():
        match = _DENSE.fullmatch(name)
        if match is None or f"{match[1]}.dw.weight" not in wanted:
            continue
        path = match[1]
        c_out, c_in = weight.shape[:2]
        rank = wanted[f"{path}.dw.weight"].shape[0] // c_in
        matrices = weight.permute(1, 0, 2, 3).reshape(c_in, c_out, _TAPS)
        u, s, v = torch.linalg.svd(matrices, full_matrices=False)
        root = s[:, :rank].sqrt()  # (c_in, R), fewer where there are no more
        depthwise = weight.new_zeros(c_in, rank, _TAPS)
        point = weight.new_zeros(c_in, rank, c_out)
        depthwise[:, : root.shape[1]] = root[:, :, None] * v[:, :rank]
        point[:, : root.shape[1]] = (u[:, :, :rank] * root[:, None]).transpose(1, 2)
        found[f"{path}.dw.weight"] = depthwise.reshape(c_in * rank, 1, 3, 3)
        found[f"{path}.pw.weight"] = point.reshape(c_in * rank, c_out).T[:, :, None, None]
        found[f"{path}.pw.bias"] = found.pop(f"{path}.bias")
        del found[name]
    return {name: value.contiguous() for name, value in found.items()}


def decouple(model: StreamFM, rank: int) -> StreamFM:
    """Return a model with convolutions of a rank, as near to a dense model as it can be.

    Parameters
    ----------
    model : StreamFM
        Dense; left as it is.
    rank : int
        1 to 9 depthwise kernels per input channel.

    Raises
    ------
    ArgumentError
        For a model that is decoupled already, or a rank out of range.
    """
    if model.config.decoupled_rank:
        raise ArgumentError(f"model: of rank {model.config.decoupled_rank}, expected a dense one")
    if not 1 <= rank <= _TAPS:
        raise ArgumentError(f"rank: {rank}, expected 1 to {_TAPS}")
    result = StreamFM(replace(model.config, decoupled_rank=rank), folded=model.folded)
    result.load_state_dict(decoupled_state(model.state_dict(), result.state_dict()))
    result.tableaus = dict(model.tableaus)
    return result.train(model.training)
