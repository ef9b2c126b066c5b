"""Writing and reading GGUF model files, whatever the architecture."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import gguf
import numpy as np
import torch

from voxhop.errors import ArgumentError, ModelFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

DataType = Literal["f32", "f16"]
_M = TypeVar("_M")


def to_array(name: str, tensor: Tensor, dtype: DataType) -> NDArray[np.float32 | np.float16]:
    """Convert one tensor to its stored type, refusing what that cannot hold."""
    with np.errstate(over="ignore"):
        array = tensor.numpy().astype(np.float16 if dtype == "f16" else np.float32)
    if not np.isfinite(array).all():
        found = float(tensor.abs().max())
        raise ArgumentError(f"{name}: magnitude {found}, expected finite {array.dtype} values")
    return np.ascontiguousarray(array)


def check_dtype(dtype: str) -> None:
    """Refuse a type that files cannot have."""
    if dtype not in ("f32", "f16"):
        raise ArgumentError(f"dtype: {dtype!r}, expected 'f32' or 'f16'")


def write_model_file(
    path: str | os.PathLike[str],
    architecture: str,
    values: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.float32 | np.float16]],
    extra: Mapping[str, Any] | None,
) -> None:
    """Write a model file. The file appears complete or not at all.

    Parameters
    ----------
    path
        Target; an existing file is replaced.
    architecture
        Name, and prefix of the model's own keys.
    values
        The model's own metadata by full key.
    tensors
        Arrays in torch's order of dimensions.
    extra
        More metadata, none of the model's own.

    Raises
    ------
    ArgumentError
        For a reserved key or a value that cannot be stored.
    OSError
        When the file cannot be written.
    """
    extra = dict(extra or {})
    for key, value in extra.items():
        if key == "general.architecture" or key.startswith(f"{architecture}."):
            raise ArgumentError(f"metadata key {key!r} is written by the model, expected another")
        if not isinstance(value, (str, bool, int, float)):
            found = type(value).__name__
            raise ArgumentError(f"metadata {key!r}: {found}, expected str, bool, int or float")
    with _replacing(Path(path)) as temporary:
        writer = gguf.GGUFWriter(temporary, architecture)
        try:
            for key, value in (extra | dict(values)).items():
                _add(writer, key, value)
            for name, array in tensors.items():
                writer.add_tensor(name, array)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    """Add one metadata value with the type that its Python type stands for."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, np.ndarray) and value.dtype == np.uint32:
        kind = gguf.GGUFValueType  # a list would become i32
        writer.add_key_value(key, value.tolist(), kind.ARRAY, sub_type=kind.UINT32)
    elif isinstance(value, list):
        writer.add_array(key, value)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary neighbour of ``path`` that takes its place on success."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; a model is as readable as any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def open_model_file(path: str | os.PathLike[str]) -> gguf.GGUFReader:
    """Open a file for reading.

    Raises
    ------
    ModelFileError
        When it is not a readable GGUF file.
    OSError
        When it cannot be opened.
    """
    try:
        return gguf.GGUFReader(path)
    except OSError:
        raise
    except Exception as error:
        # The reader indexes into the file without checks: damage shows as any error.
        raise ModelFileError(f"{path}: not a readable GGUF file ({error})") from error


def read_model_file(path: str | os.PathLike[str], build: Callable[[gguf.GGUFReader], _M]) -> _M:
    """Return what `build` makes of a file; what is wrong with it is told with the path.

    Raises
    ------
    ModelFileError
        When the file is not readable GGUF, or `build` does not understand it.
    OSError
        When it cannot be opened.
    """
    reader = open_model_file(path)
    try:
        return build(reader)
    except (ModelFileError, ValueError, TypeError, RuntimeError) as error:
        raise ModelFileError(f"{path}: {error}") from error


def read_tensors(reader: gguf.GGUFReader) -> dict[str, Tensor]:
    """Copy the tensors out of the mapped file as float32, in torch's order of dimensions.

    Raises
    ------
    ModelFileError
        For a tensor that is neither f32 nor f16.
    """
    tensors = {}
    for entry in reader.tensors:
        if entry.data.dtype not in (np.float32, np.float16):
            found = entry.tensor_type.name
            raise ModelFileError(f"{entry.name}: type {found}, expected F32 or F16")
        # A copy, because the mapping is read-only and goes away with the reader.
        tensors[entry.name] = torch.from_numpy(entry.data.astype(np.float32))
    return tensors


class Metadata:
    """The metadata of an open file, and which architecture's keys are its own.

    Parameters
    ----------
    reader
        The file.
    architecture
        What it must be of.

    Raises
    ------
    ModelFileError
        When it is of another.
    """

    def __init__(self, reader: gguf.GGUFReader, architecture: str) -> None:
        self._fields, self._prefix = reader.fields, architecture
        found = self.value("general.architecture")
        if found != architecture:
            raise ModelFileError(f"general.architecture: {found!r}, expected {architecture!r}")

    def value(self, key: str) -> Any:  # noqa: ANN401
        """Return a value by its full key."""
        field = self._fields.get(key)
        if field is None:
            raise ModelFileError(f"{key}: missing")
        return field.contents()

    def __contains__(self, key: str) -> bool:
        return f"{self._prefix}.{key}" in self._fields

    def own(self, key: str) -> Any:  # noqa: ANN401
        """Return one of the model's own; reals come through f32, so that 0.3 reads as 0.3."""
        found = self.value(f"{self._prefix}.{key}")
        return [_real(x) for x in found] if isinstance(found, list) else _real(found)

    def expect(self, key: str, expected: object) -> None:
        """Refuse a file whose own key has any other value."""
        if self.own(key) != expected:
            raise ModelFileError(f"{self._prefix}.{key}: {self.own(key)}, expected {expected}")


def _real(value: Any) -> Any:  # noqa: ANN401
    return float(str(np.float32(value))) if isinstance(value, float) else value
