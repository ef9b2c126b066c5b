"""The public LocalVQE engine of the package ``pylocalvqe``, as a session that can be timed.

Its library has a flat C interface, so that Python of any version can load it:

    pip download --no-deps --python-version 3.12 --only-binary :all: pylocalvqe==0.4.1
    unzip pylocalvqe-*.whl pylocalvqe/lib/libpylocalvqe.so.1

It needs the CUDA libraries that its wheel depends on even where it computes on the CPU.
"""

from __future__ import annotations

import ctypes
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import voxhop

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

HOP = 256
RATE = 16000


class _Config(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("model_path", ctypes.c_char_p),
        ("variant", ctypes.c_char_p),
        ("device", ctypes.c_char_p),
        ("threads", ctypes.c_int32),
    )


class PublicEngine:
    """One stream; only what `voxhop.figures.hop_timing.time_all` asks of a session.

    Parameters
    ----------
    library
        ``libpylocalvqe.so.1``.
    model
        A GGUF file of any version that it computes as one graph; released or not.
    threads
        Of one hop.

    Raises
    ------
    OSError
        When the library cannot be loaded or refuses the file; it says why on standard error.
    """

    def __init__(self, library: Path, model: Path, threads: int = 1) -> None:
        os.environ["LOCALVQE_ALLOW_UNHASHED"] = "1"
        self._library = ctypes.CDLL(os.fspath(library))
        self._library.pylocalvqe_version.restype = ctypes.c_char_p
        self.version = self._library.pylocalvqe_version().decode()
        config = _Config(ctypes.sizeof(_Config), 0, os.fsencode(model), b"v1.3", b"cpu", threads)
        self._engine = ctypes.c_void_p()
        code = self._library.pylocalvqe_engine_create(
            ctypes.byref(config), ctypes.byref(self._engine), None
        )
        if code:
            raise OSError(f"{library}: code {code} for {model}")
        self.hop_length = HOP
        self.sample_rate = RATE
        self.inputs = self.outputs = (SimpleNamespace(type="audio", count=HOP),)
        self.model = SimpleNamespace(info=SimpleNamespace(input_count=2))
        self.options = voxhop.SessionOptions(threads=threads)

    def prepare(self) -> None:
        """Do nothing: it computes nothing ahead."""

    def process_hop_into(
        self,
        mic: npt.NDArray[np.float32],
        ref: npt.NDArray[np.float32] | None,
        out: npt.NDArray[np.float32],
    ) -> None:
        """Compute one hop of 256 samples each, contiguous."""
        size = ctypes.c_size_t(HOP)
        silence = mic if ref is None else ref
        arguments: list[Any] = []
        for samples in (mic, silence, out):
            arguments += [ctypes.c_void_p(samples.ctypes.data), size]
        if self._library.pylocalvqe_engine_process(self._engine, *arguments, None):
            raise OSError("pylocalvqe: a hop failed")

    def close(self) -> None:
        """Give its memory back."""
        self._library.pylocalvqe_engine_destroy(self._engine)
        self._engine = ctypes.c_void_p()
