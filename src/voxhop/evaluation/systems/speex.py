"""Speex: the MDF echo canceller and its preprocessor (noise and residual echo).

Uses the shared library ``libspeexdsp``, found on this machine when the system is made
(Debian: ``apt install libspeexdsp1``, macOS: ``brew install speexdsp``).
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.evaluation.systems.outside import declare, find_library

if TYPE_CHECKING:
    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]

_FRAME: Final = 256
# Request codes of speex_echo.h and speex_preprocess.h.
_ECHO_SET_SAMPLING_RATE: Final = 24
_PREPROCESS_SET_DENOISE: Final = 0
_PREPROCESS_SET_ECHO_STATE: Final = 24


class SpeexSystem:
    """libspeexdsp: canceller, then preprocessor with residual-echo suppression.

    Parameters
    ----------
    taps
        Length of the canceller's filter in samples; 8192 reaches 512 ms at 16 kHz.
    ns
        Whether the preprocessor runs.
    """

    def __init__(self, *, taps: int = 8192, ns: bool = True) -> None:
        if taps < _FRAME:
            raise ArgumentError(f"taps {taps}, expected at least {_FRAME}")
        self._library = _library()
        self._taps, self._ns = taps, ns
        self.name = f"Speex {taps}" + ("" if ns else " without NS")
        self.delay_samples: int | None = None
        self.fingerprint = f"libspeexdsp taps {taps} ns {ns}"

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Process one clip in frames of 256 samples, the last one padded with zeros."""
        mic16 = _to_int16(mic)
        ref16 = np.zeros_like(mic16) if ref is None else _to_int16(ref)
        out16 = np.empty_like(mic16)
        lib = self._library
        echo = lib.speex_echo_state_init(_FRAME, self._taps)
        preprocess = lib.speex_preprocess_state_init(_FRAME, sample_rate)
        try:
            rate, on = ctypes.c_int32(sample_rate), ctypes.c_int32(1)
            lib.speex_echo_ctl(echo, _ECHO_SET_SAMPLING_RATE, ctypes.byref(rate))
            lib.speex_preprocess_ctl(preprocess, _PREPROCESS_SET_DENOISE, ctypes.byref(on))
            lib.speex_preprocess_ctl(preprocess, _PREPROCESS_SET_ECHO_STATE, echo)
            for start in range(0, len(mic16), _FRAME):
                near, far, out = (x[start:].ctypes.data for x in (mic16, ref16, out16))
                lib.speex_echo_cancellation(echo, near, far, out)
                if self._ns:
                    lib.speex_preprocess_run(preprocess, out)
        finally:
            lib.speex_preprocess_state_destroy(preprocess)
            lib.speex_echo_state_destroy(echo)
        return out16[: len(mic)].astype(np.float32) / np.float32(32768.0)


def _to_int16(signal: Signal) -> npt.NDArray[np.int16]:
    padded = np.pad(signal, (0, -len(signal) % _FRAME))
    samples: npt.NDArray[np.int16] = np.clip(np.rint(padded * 32768.0), -32768, 32767).astype(
        np.int16
    )
    return samples


def _library() -> ctypes.CDLL:
    library = find_library("speexdsp", system="speex", debian="libspeexdsp1")
    pointer, number = ctypes.c_void_p, ctypes.c_int
    prototypes = (
        ("speex_echo_state_init", pointer, [number, number]),
        ("speex_echo_state_destroy", None, [pointer]),
        ("speex_echo_ctl", number, [pointer, number, pointer]),
        ("speex_echo_cancellation", None, [pointer, pointer, pointer, pointer]),
        ("speex_preprocess_state_init", pointer, [number, number]),
        ("speex_preprocess_state_destroy", None, [pointer]),
        ("speex_preprocess_ctl", number, [pointer, number, pointer]),
        ("speex_preprocess_run", number, [pointer, pointer]),
    )
    return declare(library, prototypes)
