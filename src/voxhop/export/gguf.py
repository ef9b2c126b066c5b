"""The GGUF contract of LocalVQE: what the reference model writes, the engine reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from voxhop.export.model_file import DataType, check_dtype, to_array, write_model_file
from voxhop.reference.localvqe.blocks import KERNEL_FREQ, KERNEL_TIME

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from voxhop.reference.localvqe import LocalVQE
    from voxhop.reference.localvqe.config import LocalVQEConfig

ARCHITECTURE = "localvqe"
FILTERBANKS = ("encoder.conv.weight", "decoder.linear.weight")

MetadataValue = str | bool | int | float

# In the state dict only: folded into other tensors, or constants of the formula.
_STATE_DICT_ONLY = (
    "align.temperature",
    "mask.v_real",
    "mask.v_imag",
    "bottleneck.A_log_rate",
    "bottleneck.A_theta",
)


def gguf_metadata(config: LocalVQEConfig) -> dict[str, MetadataValue]:
    """Return the ``localvqe.*`` metadata of a model of this shape.

    Parameters
    ----------
    config
        Shape and generation.

    Returns
    -------
    dict
        Values by full key. Integers are written as u32, floats as f32. Channel lists are
        a ``.count`` and one key per stage, which is what published readers understand.
    """
    values: dict[str, MetadataValue] = {
        "version": config.version,
        "n_fft": config.n_fft,
        "hop_length": config.hop_length,
        "n_freq_bins": config.n_freq_bins,
        "sample_rate": config.sample_rate,
        "dmax": config.d_max,
        "align_hidden": config.align_hidden,
        "power_law_c": config.power_law_c,
        "bn_folded": True,
        "kernel_size_h": KERNEL_TIME,
        "kernel_size_w": KERNEL_FREQ,
        "bottleneck_hidden": config.bottleneck_hidden,
    }
    for key, channels in (
        ("mic_channels", config.mic_channels),
        ("far_channels", config.far_channels),
    ):
        values[f"{key}.count"] = len(channels)
        values.update({f"{key}.{i}": width for i, width in enumerate(channels)})
    if config.shuffle != "halves":
        # Absent means the published layout, so that published engines read such files.
        values["shuffle"] = config.shuffle
    if config.comfort_noise_db is not None:
        values["comfort_noise_db"] = config.comfort_noise_db
    if config.echo_partitions:
        values["frontend.partitions"] = config.echo_partitions
    if config.echo_follower:
        values["frontend.follower"] = True
    if config.cancel_tones:
        values["frontend.tones"] = True
    return {f"{ARCHITECTURE}.{key}": value for key, value in values.items()}


def gguf_tensors(
    model: LocalVQE, *, dtype: DataType = "f32"
) -> dict[str, NDArray[np.float32 | np.float16]]:
    """Return the tensors of a model file, with everything folded that a file has folded.

    Parameters
    ----------
    model
        Left as it is.
    dtype
        ``"f16"`` stores weights of two or more dimensions in half precision; vectors and
        filterbanks stay f32.

    Returns
    -------
    dict
        C-contiguous arrays by name, in torch's order of dimensions.

    Raises
    ------
    ArgumentError
        For an unknown dtype, or a value that is not finite or does not fit f16.
    """
    check_dtype(dtype)
    state = {name: t.detach().cpu().double() for name, t in model.state_dict().items()}
    temperature = state["align.temperature"]
    for name in ("align.conv.1.weight", "align.conv.1.bias"):
        state[name] = state[name] / temperature
    pole = model.bottleneck.log_pole().detach().cpu().to(torch.complex128).exp()
    state["bottleneck.a_real"], state["bottleneck.a_imag"] = pole.real, pole.imag
    for name in _STATE_DICT_ONLY:
        del state[name]
    return {
        name: to_array(name, state[name], _stored(name, state, dtype)) for name in sorted(state)
    }


def _stored(name: str, state: Mapping[str, Tensor], dtype: DataType) -> DataType:
    """Vectors and filterbanks stay f32."""
    return "f32" if state[name].dim() < 2 or name in FILTERBANKS else dtype  # noqa: PLR2004


def write_gguf(
    model: LocalVQE,
    path: str | os.PathLike[str],
    *,
    dtype: DataType = "f32",
    metadata: Mapping[str, MetadataValue] | None = None,
) -> None:
    """Write a model file. The file appears complete or not at all.

    Parameters
    ----------
    model
        Left as it is; its temperature is folded in the file only.
    path
        Target; an existing file is replaced.
    dtype
        ``"f32"`` or ``"f16"``, see `gguf_tensors`.
    metadata
        More keys, such as ``general.name``, ``general.license`` or
        ``voxhop.model_card``. Keys of the model itself cannot be set.

    Raises
    ------
    ArgumentError
        For an unknown dtype, a value that cannot be stored, or a reserved key.
    OSError
        When the file cannot be written.
    """
    tensors = gguf_tensors(model, dtype=dtype)
    write_model_file(path, ARCHITECTURE, gguf_metadata(model.config), tensors, metadata)
