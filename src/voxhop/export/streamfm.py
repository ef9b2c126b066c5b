"""The GGUF contract of Stream.FM, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
from voxhop.reference.solvers import Tableau
from voxhop.reference.streamfm import StreamFM
from voxhop.reference.streamfm.config import (
    EMBED_SCALE,
    FREQ_GROUPS,
    MIN_FREQ_FOR_GROUPS,
    StreamFMConfig,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import gguf
    from numpy.typing import NDArray

ARCHITECTURE = "streamfm"
VERSION = 1
_FIR = [1.0, 3.0, 3.0, 1.0]
# Fields of the configuration that are metadata of the same name.
_PLAIN = (
    "task", "sample_rate", "n_fft", "window", "compress_exponent", "compress_scale", "nf",
    "num_res_blocks", "time_dilation", "sigma_x", "sigma_y", "decoupled_rank", "input_gain_db",
)  # fmt: skip
_SPREAD = ("spread_bands", "spread_frames", "spread_hidden")  # where the first is not 0


def streamfm_metadata(model: StreamFM) -> dict[str, Any]:
    """Return the ``streamfm.*`` metadata of a model, tableaus included."""
    c, solvers = model.config, model.solvers()
    values: dict[str, Any] = {name: getattr(c, name) for name in _PLAIN}
    values |= {
        "version": VERSION,
        "hop_length": c.hop_length,
        "n_freq_bins": c.bins,
        "stft_norm": "ortho",
        "ch_mult": list(c.ch_mult),
        "in_channels": c.in_channels,
        "freq_groups": FREQ_GROUPS,
        "min_freq_for_groups": MIN_FREQ_FOR_GROUPS,
        "fir_kernel": _FIR,
        "embed_scale": EMBED_SCALE,
        "has_predictor": c.predictor,
        "condition": "e_and_y" if c.predictor else "y",
        "solver.default": c.default_solver,
        "solver.names": list(solvers),
    }
    if c.spread_bands:
        values |= {name: getattr(c, name) for name in _SPREAD}
    for name, t in solvers.items():
        values[f"solver.{name}.a"] = [value for row in t.a for value in row]
        values[f"solver.{name}.b"], values[f"solver.{name}.c"] = list(t.b), list(t.c)
    return {f"{ARCHITECTURE}.{key}": value for key, value in values.items()}


def streamfm_tensors(
    model: StreamFM, *, dtype: DataType = "f32"
) -> dict[str, NDArray[np.float32 | np.float16]]:
    """Return the tensors of a file: norms folded, convolutions alone in f16 when asked.

    Raises
    ------
    ArgumentError
        For an unknown dtype or a value that it cannot hold.
    """
    check_dtype(dtype)
    state = {k: v.detach().cpu() for k, v in model.fold().state_dict().items()}
    if bool((state["sigma_y"] == state["sigma_y"][0]).all()):
        del state["sigma_y"]  # one number, which the metadata hold
    return {
        name: to_array(name, t, dtype if t.dim() == 4 else "f32")  # noqa: PLR2004
        for name, t in sorted(state.items())
    }


def write_streamfm(
    model: StreamFM,
    path: str | os.PathLike[str],
    *,
    dtype: DataType = "f32",
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a model file. The file appears complete or not at all.

    Parameters
    ----------
    model
        Left as it is; its norms are folded in the file.
    path
        Target; an existing file is replaced.
    dtype
        ``"f32"``, or ``"f16"`` for the convolutions.
    metadata
        More keys, none of the model's own.

    Raises
    ------
    ArgumentError
        For an unknown dtype, a reserved key or a value that cannot be stored.
    OSError
        When the file cannot be written.
    """
    tensors = streamfm_tensors(model, dtype=dtype)
    write_model_file(path, ARCHITECTURE, streamfm_metadata(model), tensors, metadata)


def read_streamfm(path: str | os.PathLike[str]) -> StreamFM:
    """Read a model file into a folded reference model in float32.

    Raises
    ------
    ModelFileError
        When the file is damaged, of another architecture or version, or a key or tensor is
        missing, unknown or misshapen.
    OSError
        When the file cannot be opened.
    """
    return read_model_file(path, _model)


def _model(reader: gguf.GGUFReader) -> StreamFM:
    metadata = Metadata(reader, ARCHITECTURE)
    own = metadata.own
    predictor = bool(own("has_predictor"))
    fixed = {
        "version": VERSION, "stft_norm": "ortho", "freq_groups": FREQ_GROUPS,
        "min_freq_for_groups": MIN_FREQ_FOR_GROUPS, "fir_kernel": _FIR,
        "in_channels": 6 if predictor else 4,
    }  # fmt: skip
    for key, expected in fixed.items():
        metadata.expect(key, expected)
    optional = {"input_gain_db"}
    names = (*_PLAIN, *_SPREAD) if "spread_bands" in metadata else _PLAIN
    fields = {name: own(name) for name in names if name in metadata or name not in optional}
    tensors = read_tensors(reader)
    if "mel.fb" in tensors:
        fields["n_mels"] = tensors["mel.fb"].shape[1]
    config = StreamFMConfig(
        **fields,
        ch_mult=tuple(own("ch_mult")),
        predictor=predictor,
        default_solver=own("solver.default"),
    )
    model = StreamFM(config, folded=True).eval()
    tensors.setdefault("sigma_y", model.sigma_y)
    model.load_state_dict(tensors)
    model.tableaus = {name: _tableau(own, name) for name in own("solver.names")}
    if config.default_solver not in model.tableaus:
        raise ModelFileError(f"solver.default: {config.default_solver!r} is not in solver.names")
    return model


def _tableau(own: Any, name: str) -> Tableau:  # noqa: ANN401
    b, c = own(f"solver.{name}.b"), own(f"solver.{name}.c")
    a = np.reshape(own(f"solver.{name}.a"), (len(b), len(b)))
    return Tableau(tuple(tuple(row) for row in a.tolist()), tuple(b), tuple(c))
