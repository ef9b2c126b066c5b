"""The GGUF contract of SEFlow, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
from voxhop.reference.seflow import SEFlow, analysis_window
from voxhop.reference.seflow.bands import FEATURES
from voxhop.reference.seflow.config import SEFlowConfig, rate_hop

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    import gguf
    from numpy.typing import NDArray

ARCHITECTURE = "seflow"
VERSION = 1
# Fields of the configuration that are metadata of the same name.
_PLAIN = (
    "depth", "n_heads", "head_dim", "ffn_mult", "dec_mult", "time_window", "rope_base", "rms_eps",
    "log_eps", "vad",
)  # fmt: skip
_ENCODER_RMS_EPS = "encoder_rms_eps"  # only where it is not `rms_eps`
# What this implementation computes and a file may not differ in.
_FIXED: dict[str, Any] = {
    "version": VERSION,
    "rope_mode": "neox",
    "window": "sqrt_hann_periodic",
    "stft_norm": "ortho",
    "attn_gates": False,
}
_SUBNETS = f"{ARCHITECTURE}.subnets"  # the only list of texts
_WINDOW_TOLERANCE = 1e-6


def seflow_metadata(
    config: SEFlowConfig, *, subnets: tuple[tuple[int, int], ...] = ()
) -> dict[str, Any]:
    """Return the ``seflow.*`` metadata of a model.

    Parameters
    ----------
    config
        Sizes and signal parameters.
    subnets
        (depth, heads) of the networks that were measured; the full one when empty.
    """
    rates = config.sample_rates
    values: dict[str, Any] = {name: getattr(config, name) for name in _PLAIN}
    values |= _FIXED
    values |= {
        "sample_rates": list(rates),
        "n_fft": [2 * rate_hop(r) for r in rates],
        "hop_length": [rate_hop(r) for r in rates],
        "n_bands": config.n_bands,
        "bands_per_rate": [config.bands_at(r) for r in rates],
        "bins_per_rate": [rate_hop(r) + 1 for r in rates],
        "band_edges": list(config.band_edges),
        "subnets": [f"{b},{h}" for b, h in subnets or ((config.depth, config.n_heads),)],
        "task": "enhancement",
    }
    if config.encoder_rms_eps != config.rms_eps:
        values[_ENCODER_RMS_EPS] = config.encoder_rms_eps
    return {f"{ARCHITECTURE}.{key}": value for key, value in values.items()}


def seflow_tensors(
    model: SEFlow, *, dtype: DataType = "f32"
) -> dict[str, NDArray[np.float32 | np.float16]]:
    """Return the tensors of a file: bands apart, the decoder's scale folded in.

    Parameters
    ----------
    model
        Left as it is.
    dtype
        ``"f16"`` stores matrices in half precision; vectors stay f32.

    Raises
    ------
    ArgumentError
        For an unknown dtype, or a value that is not finite or does not fit f16.
    """
    check_dtype(dtype)
    state = {name: t.detach().cpu().double() for name, t in model.state_dict().items()}
    scale = state.pop("dec.scale")
    for name in ("dec.fc2_weight", "dec.fc2_bias"):
        # Values times the scale; gates as they are.
        state[name][:, :2] *= scale.view(-1, *[1] * (state[name].dim() - 1))
    tensors = {n: t for n, t in state.items() if not n.startswith(("enc.", "dec."))}
    for band in _bands(model.config):
        tensors[band.name] = state[band.packed][band.place].reshape(band.shape)
    return {
        name: to_array(name, t, dtype if t.dim() > 1 else "f32")
        for name, t in sorted(tensors.items())
    }


class _Band(NamedTuple):
    """A tensor of one band: its name and shape in files, and where it lies in the model."""

    name: str
    shape: tuple[int, ...]
    packed: str
    place: tuple[int | slice, ...]


def _bands(config: SEFlowConfig) -> Iterator[_Band]:
    D, hidden, every = config.width, config.dec_mult * config.width, slice(None)
    for k, w in enumerate(config.band_widths):
        used, features = slice(w), FEATURES * w
        yield _Band(f"enc.{k}.norm.weight", (features,), "enc.norm", (k, every, used))
        yield _Band(f"enc.{k}.proj.weight", (D, features), "enc.weight", (k, every, every, used))
        yield _Band(f"enc.{k}.proj.bias", (D,), "enc.bias", (k,))
        yield _Band(f"dec.{k}.norm.weight", (D,), "dec.norm", (k,))
        yield _Band(f"dec.{k}.fc1.weight", (hidden, D), "dec.fc1_weight", (k,))
        yield _Band(f"dec.{k}.fc1.bias", (hidden,), "dec.fc1_bias", (k,))
        yield _Band(f"dec.{k}.fc2.weight", (4 * w, hidden), "dec.fc2_weight", (k, every, used))
        yield _Band(f"dec.{k}.fc2.bias", (4 * w,), "dec.fc2_bias", (k, every, used))


def write_seflow(
    model: SEFlow,
    path: str | os.PathLike[str],
    *,
    dtype: DataType = "f32",
    metadata: Mapping[str, Any] | None = None,
    subnets: tuple[tuple[int, int], ...] = (),
) -> None:
    """Write a model file. The file appears complete or not at all.

    Parameters
    ----------
    model
        Left as it is.
    path
        Target; an existing file is replaced.
    dtype
        ``"f32"``, or ``"f16"`` for the matrices.
    metadata
        More keys, none of the model's own.
    subnets
        (depth, heads) of the networks that were measured.

    Raises
    ------
    ArgumentError
        For an unknown dtype, a reserved key or a value that cannot be stored.
    OSError
        When the file cannot be written.
    """
    values = {
        key: np.array(value, np.uint32) if isinstance(value, list) and key != _SUBNETS else value
        for key, value in seflow_metadata(model.config, subnets=subnets).items()
    }
    write_model_file(path, ARCHITECTURE, values, seflow_tensors(model, dtype=dtype), metadata)


def read_seflow(path: str | os.PathLike[str]) -> SEFlow:
    """Read a model file into a reference model in float32, its decoder's scale 1.

    Raises
    ------
    ModelFileError
        When the file is damaged, of another architecture or version, or a key or tensor is
        missing, unknown or misshapen.
    OSError
        When the file cannot be opened.
    """
    return read_model_file(path, _model)


def _config(reader: gguf.GGUFReader) -> SEFlowConfig:
    metadata = Metadata(reader, ARCHITECTURE)
    names = (*_PLAIN, _ENCODER_RMS_EPS) if _ENCODER_RMS_EPS in metadata else _PLAIN
    config = SEFlowConfig(
        **{name: metadata.own(name) for name in names},
        sample_rates=tuple(metadata.own("sample_rates")),
        band_edges=tuple(metadata.own("band_edges")),
    )
    expected = seflow_metadata(config)
    for name in (*_FIXED, "n_fft", "hop_length", "n_bands", "bands_per_rate", "bins_per_rate"):
        metadata.expect(name, expected[f"{ARCHITECTURE}.{name}"])
    return config


def _model(reader: gguf.GGUFReader) -> SEFlow:
    config = _config(reader)
    tensors = read_tensors(reader)
    for rate in config.sample_rates:
        stored = tensors.pop(f"stft.window.{rate}", None)
        named = analysis_window(rate, torch.empty(0))
        if stored is not None and not (
            stored.shape == named.shape and (stored - named).abs().max() <= _WINDOW_TOLERANCE
        ):
            raise ModelFileError(f"stft.window.{rate}: is not the window of its name")
    # Shapes first, without memory: a damaged width must not be allocated.
    with torch.device("meta"):
        own = SEFlow(config).state_dict()
    plain = {n: t for n, t in own.items() if not n.startswith(("enc.", "dec."))}
    bands = {band.name: band for band in _bands(config)}
    shapes = {n: tuple(t.shape) for n, t in plain.items()}
    shapes |= {name: band.shape for name, band in bands.items()}
    for name in sorted(shapes.keys() ^ tensors.keys()):
        raise ModelFileError(f"{name}: {'missing' if name in shapes else 'unknown'}")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ModelFileError(f"{name}: shape {tuple(tensors[name].shape)}, expected {shape}")
    packed = {n: tensors[n] if n in tensors else torch.zeros(t.shape) for n, t in own.items()}
    packed["dec.scale"].fill_(1.0)
    for name, band in bands.items():
        place = packed[band.packed][band.place]
        place.copy_(tensors[name].view(place.shape))
    model = SEFlow(config).eval()
    model.load_state_dict(packed)
    return model
