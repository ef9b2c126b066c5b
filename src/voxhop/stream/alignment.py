"""Where the echo is: delay, drift and confidence of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._bindings import native
from voxhop.errors import ArgumentError
from voxhop.media.formats import check_rate, to_float

if TYPE_CHECKING:
    import numpy.typing as npt

DEFAULT_WINDOW_MS: Final = 512.0


@dataclass(frozen=True)
class DelayTrack:
    """The delay over time, four looks a second; float64 arrays of one length.

    Attributes
    ----------
    time_s
        Of the microphone.
    delay_ms
        NaN while no echo has been found.
    confidence
        0 to 1.
    """

    time_s: npt.NDArray[np.float64]
    delay_ms: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]


@dataclass(frozen=True)
class DelayEstimate:
    """Where the echo of the reference is in the microphone.

    Attributes
    ----------
    found
        Whether there is one.
    delay_ms
        Of the echo behind the reference at the end of the recording; negative when the
        reference comes too late. None unless found.
    start_delay_ms
        The same at the start, by the drift; a jump on the way is not undone.
    confidence
        0 (nothing) to 1 (a peak far above everything else).
    drift_ppm
        How much slower than the microphone's the clock of the reference runs: the delay grows by
        so many microseconds a second. None when the recording is too short to tell (8 s).
    in_window
        Whether the model finds the delay by itself, from start to end.
    jumps
        How often the delay changed at once.
    track
        All of it over time.
    """

    found: bool
    delay_ms: float | None
    start_delay_ms: float | None
    confidence: float
    drift_ppm: float | None
    in_window: bool
    jumps: int
    track: DelayTrack


def probe_delay(
    mic: npt.NDArray[Any],
    ref: npt.NDArray[Any],
    sample_rate: int,
    *,
    range_ms: float = 2000.0,
    advance_ms: float = 500.0,
    window_ms: float = DEFAULT_WINDOW_MS,
) -> DelayEstimate:
    """Find the delay of the echo of `ref` in `mic`.

    Parameters
    ----------
    mic, ref
        ``(frames,)`` or ``(frames, channels)``, which are averaged; float32, float64, int16 or
        int32. The longer one is cut. At least a second.
    sample_rate
        Of both in Hz, 8000 to 192000.
    range_ms
        Longest delay looked for, 100 to 5000.
    advance_ms
        How far the echo may come before the reference, 0 to 5000: two recordings need not
        start at the same moment.
    window_ms
        Delays that the model finds by itself (`ModelInfo.window_ms`).

    Raises
    ------
    ArgumentError, ShapeError, DtypeError
        For what does not fit.
    """
    rate = check_rate("sample_rate", sample_rate)
    sides = [to_float(name, array).mean(axis=1) for name, array in (("mic", mic), ("ref", ref))]
    n = min(side.size for side in sides)
    numbers = {"range_ms": range_ms, "advance_ms": advance_ms, "window_ms": window_ms}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ArgumentError(f"{name}: {value!r}, expected a number")
    if not window_ms > 0:
        raise ArgumentError(f"window_ms: {window_ms:g}, expected more than 0")
    ffi, lib, call = native().ffi, native().lib, native().call
    options = ffi.new("vh_delay_options *")
    lib.vh_delay_options_init(options)
    options.range_ms, options.advance_ms, options.window_ms = range_ms, advance_ms, window_ms
    estimate, count = ffi.new("vh_delay_estimate *"), ffi.new("int64_t *")
    capacity = 5 * (n // rate + 10)
    points = np.zeros((capacity, 3), np.float64)
    call(
        lib.vh_probe_delay,
        *(ffi.from_buffer("float[]", np.ascontiguousarray(side)) for side in sides),
        n,
        rate,
        options,
        estimate,
        ffi.cast("vh_delay_point *", ffi.from_buffer(points)),
        capacity,
        count,
    )
    kept = points[: count[0]]
    return DelayEstimate(
        found=bool(estimate.found),
        delay_ms=_known(estimate.delay_ms),
        start_delay_ms=_known(estimate.start_delay_ms),
        confidence=estimate.confidence,
        drift_ppm=_known(estimate.drift_ppm),
        in_window=bool(estimate.in_window),
        jumps=estimate.jumps,
        track=DelayTrack(*(np.ascontiguousarray(kept[:, i]) for i in range(3))),
    )


def _known(value: float) -> float | None:
    return None if value != value else float(value)  # noqa: PLR0124 - NaN differs from itself
