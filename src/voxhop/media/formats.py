"""Sample formats and channel rules of whole recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError, DtypeError, ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

MIN_RATE: Final = 1000
MAX_RATE: Final = 768_000
_FULL_SCALE: Final = {np.dtype(np.int16): 32768.0, np.dtype(np.int32): 2147483648.0}
_FLOATS: Final = (np.dtype(np.float32), np.dtype(np.float64))
_LOUDEST_FLOAT: Final = 256.0  # int16 samples in a float array reach this at -42 dBFS


@dataclass(frozen=True)
class ChannelRule:
    """Which channel is what.

    Every microphone channel is enhanced on its own with the same reference. Several
    reference channels are averaged to one, as a microphone hears them.

    Attributes
    ----------
    mic_channel
        Enhance this channel only.
    ref_channel
        Take this channel of the reference; without a reference, this channel of the
        microphone recording, which then is no microphone.
    """

    mic_channel: int | None = None
    ref_channel: int | None = None

    def mic_channels(self, mic_count: int, *, has_ref: bool) -> tuple[int, ...]:
        """Return the channels to enhance of a recording with `mic_count` channels.

        Raises
        ------
        ArgumentError
            When a channel does not exist, or none is left.
        """
        check_channel("mic_channel", self.mic_channel, mic_count)
        own_ref = None if has_ref else self.ref_channel
        check_channel("ref_channel", own_ref, mic_count)
        if self.mic_channel is not None:
            chosen: tuple[int, ...] = (self.mic_channel,)
        else:
            chosen = tuple(c for c in range(mic_count) if c != own_ref)
        if own_ref is not None and (not chosen or own_ref in chosen):
            raise ArgumentError(
                f"ref_channel {own_ref}: the microphone too, in a recording with "
                f"{mic_count} channel{'s' if mic_count > 1 else ''}; expected another channel"
            )
        return chosen

    def reference(self, mic: Floats, ref: Floats | None) -> Floats | None:
        """Return the reference ``(frames,)`` of two ``(frames, channels)`` blocks, or None."""
        source = mic if ref is None else ref
        if self.ref_channel is not None:
            check_channel("ref_channel", self.ref_channel, source.shape[1])
            return np.ascontiguousarray(source[:, self.ref_channel])
        return None if ref is None else ref.mean(axis=1, dtype=np.float32)


def check_rate(name: str, rate: float) -> int:
    """Return a sample rate in Hz as int.

    Raises
    ------
    ArgumentError
        When it is not a whole number from 1 kHz to 768 kHz.
    """
    if not isinstance(rate, (int, float, np.integer, np.floating)) or isinstance(rate, bool):
        raise DtypeError(f"{name}: {type(rate).__name__}, expected a number of Hz")
    if not MIN_RATE <= rate <= MAX_RATE or rate != int(rate):
        raise ArgumentError(f"{name}: {rate} Hz, expected {MIN_RATE} to {MAX_RATE}")
    return int(rate)


def to_float(name: str, array: Any) -> Floats:  # noqa: ANN401 - checked here
    """Return a recording as ``(frames, channels)`` float32 in about [-1, 1].

    Parameters
    ----------
    name
        What the caller calls it.
    array
        ``(frames,)`` or ``(frames, channels)``; float32, float64, int16 or int32.

    Raises
    ------
    DtypeError, ShapeError
        For another type or shape; a shape with more channels than frames is ambiguous.
    ArgumentError
        For samples that are not finite, or floats on an integer scale.
    """
    if not isinstance(array, np.ndarray):
        raise DtypeError(f"{name}: {type(array).__name__}, expected a numpy array")
    if array.dtype not in _FLOATS and array.dtype not in _FULL_SCALE:
        expected = "float32, float64, int16 or int32"
        raise DtypeError(f"{name}: dtype {array.dtype}, expected {expected}")
    if array.ndim not in {1, 2} or array.size == 0:
        raise ShapeError(
            f"{name}: shape {array.shape}, expected (frames,) or (frames, channels) with samples"
        )
    if array.ndim == 2 and array.shape[1] > array.shape[0]:  # noqa: PLR2004 - rank two
        raise ShapeError(
            f"{name}: shape {array.shape} has more channels than frames; expected "
            "(frames, channels), so (channels, frames) must be transposed"
        )
    frames = array[:, None] if array.ndim == 1 else array
    if array.dtype in _FULL_SCALE:
        return (frames / _FULL_SCALE[array.dtype]).astype(np.float32)
    finite = np.isfinite(frames).all(axis=1)
    if not finite.all():
        raise ArgumentError(f"{name}: sample {int(np.argmin(finite))} is not finite")
    peak = float(np.abs(frames).max())
    if peak > _LOUDEST_FLOAT:
        raise ArgumentError(
            f"{name}: {array.dtype} samples reach {peak:.6g}, expected about [-1, 1]; "
            "divide integer samples by their full scale"
        )
    return frames.astype(np.float32, copy=False)


def from_float(samples: Floats, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return float32 samples as `dtype`; integers are rounded and saturated."""
    scale = _FULL_SCALE.get(dtype)
    if scale is None:
        return samples.astype(dtype, copy=False)
    scaled = np.rint(samples.astype(np.float64) * scale)
    return np.clip(scaled, -scale, scale - 1.0).astype(dtype)


def check_channel(name: str, channel: int | None, count: int) -> None:
    """Raise unless `channel` is None or one of so many.

    Raises
    ------
    DtypeError, ArgumentError
        Naming what was found and what was expected.
    """
    if channel is None:
        return
    if isinstance(channel, bool) or not isinstance(channel, (int, np.integer)):
        raise DtypeError(f"{name}: {channel!r}, expected a channel number")
    if not 0 <= channel < count:
        raise ArgumentError(
            f"{name}: {channel}, expected 0 to {count - 1}, as there are {count} channels"
        )
