"""The GGUF contract of Sublime, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voxhop.errors import ModelFileError
from voxhop.export.model_file import (
    DataType,
    Metadata,
    check_dtype,
    read_model_file,
    read_tensors,
    to_array,
    write_model_file,
)
from voxhop.reference.sublime import Sublime
from voxhop.reference.sublime.config import PARTS, BandShape, BlockShape, SublimeConfig

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    import gguf
    from numpy.typing import NDArray
    from torch import Tensor

ARCHITECTURE = "sublime"
_ROUNDED = 1e-7  # what is left of a unit length after rounding to f32
VERSION = 1
# What the formulas are, and no file may say otherwise.
_FIXED: dict[str, Any] = {
    "version": VERSION,
    "mel.scale": "slaney",
    "mel.norm": "slaney",
    "istft.window": "sqrt_hann_periodic",
    "stft_norm": "ortho",
}
# Fields of the configuration by their keys.
_PLAIN = {
    "sample_rate": "sample_rate",
    "hop_length": "hop_length",
    "mel_hop": "mel_hop",
    "mel.log_floor": "log_floor",
    "n_groups_a": "n_groups_a",
    "n_groups_b": "n_groups_b",
    "codebook_size": "codebook_size",
    "query_dim": "query_dim",
    "width": "width",
    "voc.features": "features",
    "voc.expansion": "expansion",
    "logmag_max": "logmag_max",
    "rms_eps": "rms_eps",
}
# Which tensors each part needs.
_PREFIXES = {
    "encoder": ("mel.", "enc.", "vq.key"),
    "frontend": ("mel.", "fe."),
    "decoder": ("vq.value", "voc."),
}
_BLOCKS = {"encoder": "enc", "frontend": "fe", "decoder": "voc"}


def sublime_metadata(config: SublimeConfig) -> dict[str, Any]:
    """Return the ``sublime.*`` metadata of a model of this shape."""
    c = config
    values: dict[str, Any] = dict(_FIXED) | {
        key: getattr(c, field) for key, field in _PLAIN.items()
    }
    front = "frontend" in c.parts
    values |= {
        "track": 2 if front else 1,
        "mel.n_fft": np.array(c.mel_n_fft, np.uint32),
        "mel.n_mels": np.array(c.n_mels, np.uint32),
        "istft.n_fft": 2 * c.hop_length,
        "lookahead_frames": c.lookahead_frames if front else 0,
        "parts": ",".join(c.parts),
    }
    if front:
        values["fe.stack_after"] = c.fe_stack_after
    for part in c.parts:
        name = _BLOCKS[part]
        blocks: tuple[BlockShape, ...] = getattr(c, name)
        values[f"{name}.blocks.count"] = len(blocks)
        for i, block in enumerate(blocks):
            for leaf, size in zip(("in", "hidden", "ff", "out"), block, strict=True):
                values[f"{name}.blocks.{i}.{leaf}"] = size
    if "decoder" in c.parts:
        if c.phase_offsets:
            values["voc.phase_offsets"] = c.phase_offsets
        if any(c.sharpness):
            values["voc.sharpness"] = list(c.sharpness)
            values["voc.sharpness_bins"] = c.sharpness_bins
        values["voc.bands.count"] = len(c.bands)
        for i, band in enumerate(c.bands):
            for leaf, size in band._asdict().items():
                sizes = np.array(size, np.uint32) if leaf == "upsample" else size
                values[f"voc.bands.{i}.{leaf}"] = sizes
    return {f"{ARCHITECTURE}.{key}": value for key, value in values.items()}


def sublime_tensors(
    model: Sublime, *, parts: Iterable[str] | None = None, dtype: DataType = "f32"
) -> dict[str, NDArray[np.float32 | np.float16]]:
    """Return the tensors of a file.

    Parameters
    ----------
    model
        Left as it is.
    parts
        Which parts; all that the model has when None.
    dtype
        ``"f16"`` stores linear layers, 1-D convolutions and values in half precision. Keys
        stay f32 and normalised, so that codes do not depend on who computes them, and so do
        filters and the maps of the sub-bands, which are small.

    Raises
    ------
    ArgumentError
        For an unknown part or dtype, or a value that the type cannot hold.
    """
    check_dtype(dtype)
    wanted = model.config.only(*parts).parts if parts is not None else model.config.parts
    prefixes = tuple(prefix for part in wanted for prefix in _PREFIXES[part])
    state = {k: v.detach().cpu() for k, v in model.state_dict().items() if k.startswith(prefixes)}
    if "vq.key" in state:
        state["vq.key"] = _unit(state["vq.key"].double())
    return {name: to_array(name, t, _stored(name, t.dim(), dtype)) for name, t in state.items()}


def _unit(keys: Tensor) -> Tensor:
    """Normalise rows; those of a file, which are so up to rounding, stay as they are."""
    norms = keys.norm(dim=1, keepdim=True)
    return torch.where((norms - 1).abs() < _ROUNDED, keys, keys / norms)


def _stored(name: str, dimensions: int, dtype: DataType) -> DataType:
    halved = dimensions in (2, 3) and not name.startswith(("vq.key", "mel.", "voc.phase_offsets"))
    return dtype if halved else "f32"


def write_sublime(
    model: Sublime,
    path: str | os.PathLike[str],
    *,
    parts: Iterable[str] | None = None,
    dtype: DataType = "f32",
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a model file. The file appears complete or not at all.

    Parameters
    ----------
    model
        Left as it is; its keys are normalised in the file.
    path
        Target; an existing file is replaced.
    parts
        Some of ``encoder``, ``frontend`` and ``decoder``; all that the model has when None.
    dtype
        ``"f32"`` or ``"f16"``, see `sublime_tensors`.
    metadata
        More keys, none of the model's own.

    Raises
    ------
    ArgumentError
        For an unknown part or dtype, a reserved key or a value that cannot be stored.
    OSError
        When the file cannot be written.
    """
    parts = model.config.parts if parts is None else tuple(parts)
    tensors = sublime_tensors(model, parts=parts, dtype=dtype)
    values = sublime_metadata(model.config.only(*parts))
    write_model_file(path, ARCHITECTURE, values, tensors, metadata)


def read_sublime(path: str | os.PathLike[str]) -> Sublime:
    """Read a model file, whole or a part, into a reference model in float32.

    Raises
    ------
    ModelFileError
        When the file is damaged, of another architecture or version, or a key or tensor is
        missing, unknown or misshapen.
    OSError
        When the file cannot be opened.
    """
    return read_model_file(path, _model)


def _model(reader: gguf.GGUFReader) -> Sublime:
    metadata = Metadata(reader, ARCHITECTURE)
    own = metadata.own
    for key, expected in _FIXED.items():
        metadata.expect(key, expected)
    parts = own("parts").split(",")
    for part in parts:
        if part not in PARTS:
            raise ModelFileError(f"sublime.parts: {part!r}, expected some of {', '.join(PARTS)}")
    fields: dict[str, Any] = {field: own(key) for key, field in _PLAIN.items() if key in metadata}
    if "frontend" in parts:
        fields["fe_stack_after"] = own("fe.stack_after")
        fields["lookahead_frames"] = own("lookahead_frames")
    if "decoder" in parts:
        metadata.expect("istft.n_fft", 2 * own("hop_length"))
        if "voc.phase_offsets" in metadata:
            fields["phase_offsets"] = own("voc.phase_offsets")
        if "voc.sharpness" in metadata:
            fields["sharpness"] = tuple(own("voc.sharpness"))
            fields["sharpness_bins"] = own("voc.sharpness_bins")
        bands = range(own("voc.bands.count"))
        fields["bands"] = tuple(_band(metadata, f"voc.bands.{i}") for i in bands)
    for part, name in _BLOCKS.items():
        count = own(f"{name}.blocks.count") if part in parts else 0
        fields[name] = tuple(_block(metadata, f"{name}.blocks.{i}") for i in range(count))
    for field in ("n_fft", "n_mels"):
        first, second = own(f"mel.{field}")
        fields["mel_n_fft" if field == "n_fft" else field] = (int(first), int(second))
    model = Sublime(SublimeConfig(**fields)).eval()
    tensors = read_tensors(reader)
    model.load_state_dict(tensors)
    return model


def _block(metadata: Metadata, key: str) -> BlockShape:
    return BlockShape(*(metadata.own(f"{key}.{leaf}") for leaf in ("in", "hidden", "ff", "out")))


def _band(metadata: Metadata, key: str) -> BandShape:
    sizes = {leaf: metadata.own(f"{key}.{leaf}") for leaf in BandShape._fields}
    return BandShape(**(sizes | {"upsample": tuple(int(r) for r in sizes["upsample"])}))
