"""Measures that are plain arithmetic: echo return loss enhancement and distortion ratios.

All take aligned float arrays ``(samples,)`` of equal length, and return decibels or None
where the measure has no meaning (no frame, no target).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

BLIND_FRAME: Final = 256
# Mean squares below -100 dBFS count as -100 dBFS: a muted output is no infinite success.
POWER_FLOOR: Final = 1e-10
SDR_TAPS: Final = 512
_ACTIVE_POWER: Final = 1e-6  # -60 dBFS


def is_active(signal: Array) -> bool:
    """Whether a signal is louder than -60 dBFS (mean square over the clip)."""
    return bool(np.mean(np.square(signal, dtype=np.float64)) > _ACTIVE_POWER)


def erle_db(mic: Array, out: Array) -> float:
    """Energy of the microphone over the energy of the output, whole clip, in dB."""
    return _power_ratio_db(_power(mic), _power(out))


def blind_erle_db(mic: Array, ref: Array, out: Array, *, frame: int = BLIND_FRAME) -> float | None:
    """Energy ratio over the frames where only the far end seems to talk (report, section 4).

    Frames do not overlap. A frame counts when the reference's RMS lies above its own 75th
    percentile over the clip and the microphone's RMS lies below twice the reference's; the
    energies of the counted frames are pooled before the ratio. None when no frame counts.
    """
    n_frames = len(mic) // frame
    if n_frames == 0:
        return None
    mic_power, ref_power, out_power = (
        np.mean(np.square(x[: n_frames * frame].reshape(n_frames, frame), dtype=np.float64), axis=1)
        for x in (mic, ref, out)
    )
    ref_rms, mic_rms = np.sqrt(ref_power), np.sqrt(mic_power)
    chosen = (ref_rms > np.percentile(ref_rms, 75)) & (mic_rms < 2.0 * ref_rms)
    if not chosen.any():
        return None
    return _power_ratio_db(float(mic_power[chosen].mean()), float(out_power[chosen].mean()))


def si_sdr_db(target: Array, out: Array) -> float:
    """Scale-invariant signal-to-distortion ratio in dB; means are removed first."""
    s = np.asarray(target, np.float64) - np.mean(target, dtype=np.float64)
    y = np.asarray(out, np.float64) - np.mean(out, dtype=np.float64)
    wanted = s * (np.dot(y, s) / max(np.dot(s, s), np.finfo(np.float64).tiny))
    return _ratio_db(wanted, y - wanted)


def sdr_db(target: Array, out: Array, *, taps: int = SDR_TAPS) -> float:
    """Signal-to-distortion ratio that forgives a filter of `taps` samples on the target.

    The output is projected on the target delayed by 0 to ``taps - 1`` samples: the normal
    equations are Toeplitz in the target's autocorrelation.
    """
    from scipy.linalg import solve_toeplitz  # noqa: PLC0415 - extra [eval]

    s = np.asarray(target, np.float64)
    y = np.concatenate([np.asarray(out, np.float64), np.zeros(taps - 1)])
    size = 1 << (len(y) + taps - 1).bit_length()
    spectrum = np.fft.rfft(s, size)
    auto = np.fft.irfft(np.abs(spectrum) ** 2, size)[:taps]
    cross = np.fft.irfft(np.conj(spectrum) * np.fft.rfft(y, size), size)[:taps]
    # Keeps a band-limited target solvable; 100 dB below the target's own energy.
    auto[0] *= 1.0 + 1e-10
    response = solve_toeplitz(auto, cross)
    wanted = np.fft.irfft(spectrum * np.fft.rfft(response, size), size)[: len(y)]
    return _ratio_db(wanted, y - wanted)


def _power(signal: Array) -> float:
    return float(np.mean(np.square(signal, dtype=np.float64)))


def _power_ratio_db(over: float, under: float) -> float:
    return float(10.0 * np.log10(max(over, POWER_FLOOR) / max(under, POWER_FLOOR)))


def _ratio_db(wanted: Array, rest: Array) -> float:
    tiny = np.finfo(np.float64).tiny
    over, under = (max(float(np.dot(x, x)), tiny) for x in (wanted, rest))
    return float(10.0 * (np.log10(over) - np.log10(under)))  # their ratio may overflow
