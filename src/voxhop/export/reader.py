"""GGUF model files back to reference models."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from voxhop.errors import ModelFileError
from voxhop.export.gguf import ARCHITECTURE
from voxhop.export.model_file import read_model_file, read_tensors
from voxhop.reference.localvqe.blocks import KERNEL_FREQ, KERNEL_TIME
from voxhop.reference.localvqe.checkpoint import model_from_state_dict
from voxhop.reference.localvqe.config import LocalVQEConfig
from voxhop.reference.localvqe.s4d import polar_from_pole

if TYPE_CHECKING:
    import os

    import gguf

    from voxhop.reference.localvqe import LocalVQE

_V = TypeVar("_V", int, float, str)
# Files of the first generation may lack the version, and any file the frequency width of
# the kernels or the layout of the shuffle: these are what absence means.
_DEFAULTS: dict[str, int | float | str] = {
    "version": 1,
    "kernel_size_w": 3,
    "shuffle": "halves",
    "frontend.partitions": 0,
}


def read_gguf(path: str | os.PathLike[str]) -> LocalVQE:
    """Read a model file into a reference model.

    The temperature stays folded (the buffer is 1) and the poles' polar parameters are
    recovered, so the model computes what the file says and can be trained further.

    Parameters
    ----------
    path
        File with tensors in f32 or f16.

    Returns
    -------
    LocalVQE
        In float32.

    Raises
    ------
    ModelFileError
        When the file is damaged, of another architecture or generation, or a tensor is
        missing, unknown or misshapen.
    OSError
        When the file cannot be opened.
    """
    return read_model_file(path, _model)


def _model(reader: gguf.GGUFReader) -> LocalVQE:
    """Undo what the file has folded where the state dict keeps it apart."""
    config, tensors = _config(reader), read_tensors(reader)
    poles = []
    for name in ("bottleneck.a_real", "bottleneck.a_imag"):
        pole, expected = tensors.pop(name, None), (config.bottleneck_hidden,)
        if pole is None:
            raise ModelFileError(f"{name}: missing")
        if pole.shape != expected:
            raise ModelFileError(f"{name}: shape {tuple(pole.shape)}, expected {expected}")
        poles.append(pole)
    log_rate, theta = polar_from_pole(*poles)
    tensors["bottleneck.A_log_rate"] = log_rate.float()
    tensors["bottleneck.A_theta"] = theta.float()
    tensors["align.temperature"] = torch.tensor(1.0)
    return model_from_state_dict(tensors, config)


def _config(reader: gguf.GGUFReader) -> LocalVQEConfig:
    """Read the model's shape from the metadata."""
    architecture = _value(reader, "general.architecture", str)
    if architecture != ARCHITECTURE:
        raise ModelFileError(f"general.architecture: {architecture!r}, expected {ARCHITECTURE!r}")
    for key, size in (("kernel_size_h", KERNEL_TIME), ("kernel_size_w", KERNEL_FREQ)):
        found = _own(reader, key, int)
        if found != size:
            raise ModelFileError(f"{ARCHITECTURE}.{key}: {found}, expected {size}")
    return LocalVQEConfig(
        version=_own(reader, "version", int),
        mic_channels=_channels(reader, "mic_channels"),
        far_channels=_channels(reader, "far_channels"),
        d_max=_own(reader, "dmax", int),
        align_hidden=_own(reader, "align_hidden", int),
        bottleneck_hidden=_own(reader, "bottleneck_hidden", int),
        # Through f32 and back: 0.3 reads as 0.3 and not as 0.30000001192.
        power_law_c=float(str(np.float32(_own(reader, "power_law_c", float)))),
        n_fft=_own(reader, "n_fft", int),
        hop_length=_own(reader, "hop_length", int),
        sample_rate=_own(reader, "sample_rate", int),
        shuffle=_own(reader, "shuffle", str),  # type: ignore[arg-type]  # checked by the config
        comfort_noise_db=_comfort_noise_db(reader),
        echo_partitions=_own(reader, "frontend.partitions", int),
        echo_follower=_flag(reader, "frontend.follower"),
        cancel_tones=_flag(reader, "frontend.tones"),
    )


def _comfort_noise_db(reader: gguf.GGUFReader) -> float | None:
    if f"{ARCHITECTURE}.comfort_noise_db" not in reader.fields:
        return None
    return _own(reader, "comfort_noise_db", float)


def _flag(reader: gguf.GGUFReader, key: str) -> bool:
    """Return a truth of the model, which absence denies."""
    field = reader.fields.get(f"{ARCHITECTURE}.{key}")
    found = False if field is None else field.contents()
    if not isinstance(found, bool):
        raise ModelFileError(f"{ARCHITECTURE}.{key}: {type(found).__name__}, expected bool")
    return found


def _channels(reader: gguf.GGUFReader, key: str) -> tuple[int, ...]:
    count = _own(reader, f"{key}.count", int)
    return tuple(_own(reader, f"{key}.{i}", int) for i in range(count))


def _own(reader: gguf.GGUFReader, key: str, kind: type[_V]) -> _V:
    return _value(reader, f"{ARCHITECTURE}.{key}", kind)


def _value(reader: gguf.GGUFReader, key: str, kind: type[_V]) -> _V:
    """Return one metadata value of the expected kind."""
    field = reader.fields.get(key)
    found = _DEFAULTS.get(key.partition(".")[2]) if field is None else field.contents()
    if found is None:
        raise ModelFileError(f"{key}: missing")
    if not isinstance(found, kind) or isinstance(found, bool):
        raise ModelFileError(f"{key}: {type(found).__name__}, expected {kind.__name__}")
    return found
