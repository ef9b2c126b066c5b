"""Checks of arrays that C reads and writes in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._bindings import native
from voxhop.errors import DtypeError, ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

FLOAT32: Final = np.dtype(np.float32)
INT16: Final = np.dtype(np.int16)


def check_hop(
    name: str,
    array: object,
    shape: tuple[int, ...],
    dtype: np.dtype[Any] | None = None,
    like: str = " like mic",
) -> None:
    """Raise unless C can take `array` as it lies in memory.

    Parameters
    ----------
    name
        What the caller calls it, for the message.
    array
        Anything; must be a C-contiguous, aligned numpy array.
    shape
        Its exact shape.
    dtype
        Its exact dtype; float32 or int16 when None.

    like
        What the message says of a wrong dtype after the right one.

    Raises
    ------
    DtypeError, ShapeError
        Naming what was found and what was expected.
    """
    if not isinstance(array, np.ndarray):
        raise DtypeError(f"{name}: {type(array).__name__}, expected a numpy array")
    if dtype is None:
        if array.dtype not in (FLOAT32, INT16):
            raise DtypeError(f"{name}: dtype {array.dtype}, expected float32 or int16")
    elif array.dtype != dtype:
        raise DtypeError(f"{name}: dtype {array.dtype}, expected {dtype}{like}")
    if array.shape != shape:
        raise ShapeError(f"{name}: shape {array.shape}, expected {shape}, exactly one hop")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ShapeError(
            f"{name}: a strided or unaligned view, expected a C-contiguous array; "
            "numpy.ascontiguousarray makes one"
        )


def samples_pointer(array: npt.NDArray[Any] | None) -> Any:  # noqa: ANN401 - a C pointer
    """Return the samples of a C-contiguous array as C sees them; NULL for None or none."""
    n = native()
    if array is None:
        return n.ffi.NULL
    kind = "float[]" if array.dtype == FLOAT32 else "int16_t[]"
    if array.size == 0:
        return n.ffi.new(kind, 1)
    return n.ffi.from_buffer(kind, array)
