"""Published and training state dicts to models."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voxhop.errors import ModelFileError
from voxhop.reference.localvqe import LocalVQE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from voxhop.reference.localvqe.config import LocalVQEConfig

BATCH_NORM_EPS = 1e-5

# Constants that a state dict may leave out: the model's own are right.
_CONSTANTS = ("encoder.conv.weight", "decoder.linear.weight", "mask.v_real", "mask.v_imag")
_WRAPPERS = ("model_state_dict", "model")


def load_checkpoint(path: str | Path, config: LocalVQEConfig) -> LocalVQE:
    """Load a checkpoint file: a state dict, alone or under ``model_state_dict`` or ``model``.

    Parameters
    ----------
    path
        File written by ``torch.save``. Only tensors and plain containers are unpickled.
    config
        Shape and generation; a state dict does not tell activations or delays.

    Returns
    -------
    LocalVQE

    Raises
    ------
    ModelFileError
        When the file cannot be read or its tensors do not fit ``config``.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ModelFileError(f"{path}: not a readable checkpoint ({error})") from error
    if not isinstance(content, dict):
        raise ModelFileError(f"{path}: {type(content).__name__}, expected a dictionary of tensors")
    for key in _WRAPPERS:
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    try:
        return model_from_state_dict(content, config)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error


def model_from_state_dict(state_dict: Mapping[str, Tensor], config: LocalVQEConfig) -> LocalVQE:
    """Make a model from tensors with published names.

    Parameters
    ----------
    state_dict
        Tensors by name. Filterbanks and mask constants may be absent; the batch norms of
        generation 1 may be folded already or not.
    config
        Shape and generation.

    Returns
    -------
    LocalVQE
        In float32.

    Raises
    ------
    ModelFileError
        For a missing, unknown or misshapen tensor, by name.
    """
    tensors = dict(state_dict)
    if config.version == 1:
        tensors = fold_batch_norms(tensors)
    # Shapes first, without memory: a damaged width must not be allocated.
    with torch.device("meta"):
        own = LocalVQE(config).state_dict()
    missing = sorted(own.keys() - tensors.keys() - set(_CONSTANTS))
    if missing:
        raise ModelFileError(f"{missing[0]}: missing ({len(missing)} tensors in all)")
    unknown = sorted(tensors.keys() - own.keys())
    if unknown:
        raise ModelFileError(
            f"{unknown[0]}: unknown to generation {config.version} ({len(unknown)} tensors in all)"
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise ModelFileError(
                f"{name}: shape {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            )
    model = LocalVQE(config)
    model.load_state_dict(model.state_dict() | tensors)
    return model


def fold_batch_norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold every ``<block>.bn`` with running statistics into what it follows.

    An encoder's or residual block's norm follows its convolution and disappears into the
    weight and bias. A decoder's follows the shuffle and becomes ``bn.scale``, ``bn.bias``.

    Parameters
    ----------
    tensors
        State dict; left as it is.

    Returns
    -------
    dict
        State dict without running statistics.
    """
    out = dict(tensors)
    for key in tensors:
        if not key.endswith(".bn.running_var"):
            continue
        bn = key.removesuffix(".running_var")
        out.pop(f"{bn}.num_batches_tracked", None)
        gain, shift, mean, variance = (
            out.pop(f"{bn}.{field}").double()
            for field in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / torch.sqrt(variance + BATCH_NORM_EPS)
        offset = shift - mean * scale
        conv = bn.removesuffix("bn") + "conv"
        if f"{conv}.weight" in out:
            weight, bias = out[f"{conv}.weight"], out[f"{conv}.bias"]
            folded = weight.double() * scale[:, None, None, None]
            out[f"{conv}.weight"] = folded.to(weight.dtype)
            out[f"{conv}.bias"] = (bias.double() * scale + offset).to(bias.dtype)
        else:
            out[f"{bn}.scale"], out[f"{bn}.bias"] = scale.float(), offset.float()
    return out
