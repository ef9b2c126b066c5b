"""One pass of a recording through a stream, with its figures over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ShapeError
from voxhop.models import load
from voxhop.stream.alignment import DelayEstimate, probe_delay
from voxhop.stream.losses import LossTrace, process_runs, received
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from voxhop.engine.session_info import SessionOptions
    from voxhop.models import Model
    from voxhop.stream.types import StreamMetrics

    Floats = npt.NDArray[np.float32]

STEP_S: Final = 0.25


@dataclass(frozen=True)
class Curves:
    """Figures over time; float64 arrays of one length, NaN where a figure is not known.

    Attributes
    ----------
    time_s
        Of the microphone.
    delay_ms, pre_delay_ms
        Of the echo behind the reference, and by which the reference was delayed.
    erle_db
        While the reference sounded.
    mic_dbfs, ref_dbfs, out_dbfs
        Levels.
    """

    time_s: npt.NDArray[np.float64]
    delay_ms: npt.NDArray[np.float64]
    pre_delay_ms: npt.NDArray[np.float64]
    erle_db: npt.NDArray[np.float64]
    mic_dbfs: npt.NDArray[np.float64]
    ref_dbfs: npt.NDArray[np.float64]
    out_dbfs: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Analysis:
    """A recording before and after, and what happened in between.

    Attributes
    ----------
    mic, ref, out
        ``(frames,)`` float32 at `sample_rate`, aligned; `ref` is None without one.
    curves
        Figures every quarter of a second.
    delay
        The probe's verdict over all of it; None without a reference.
    metrics
        The stream's figures at the end.
    window_ms
        Delays that the model finds by itself.
    lost
        Start and end in seconds of every burst of lost packets; `mic` is zero there.
    plcmos
        PLCMOS, 1 to 5, of `mic` and of `out`: how broken up they sound. None where it was not
        asked for.
    """

    sample_rate: int
    mic: Floats
    ref: Floats | None
    out: Floats
    curves: Curves
    delay: DelayEstimate | None
    metrics: StreamMetrics
    window_ms: float
    lost: tuple[tuple[float, float], ...] = ()
    plcmos: tuple[float, float] | None = None

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return len(self.mic) / self.sample_rate


def analyse(
    mic: Floats,
    ref: Floats | None,
    sample_rate: int,
    *,
    model: Model | None = None,
    options: SessionOptions | None = None,
    losses: LossTrace | None = None,
    start_s: float = 0.0,
    progress: Callable[[float, float], None] | None = None,
    **settings: Any,  # noqa: ANN401 - those of Stream
) -> Analysis:
    """Enhance a recording and take down its figures on the way.

    Parameters
    ----------
    mic, ref
        ``(frames,)`` float32 of equal length, at least a second; `ref` may be None.
    sample_rate
        Of both, in Hz.
    model
        A loaded model; the bundled default when None.
    losses, start_s
        Which packets of the microphone were lost, and where in their count `mic` begins.
    progress
        Called with seconds done and seconds in all, now and then.
    options, **settings
        As for `Stream`.

    Raises
    ------
    ShapeError
        For lengths that differ or less than a second.
    """
    if ref is not None and len(ref) != len(mic):
        raise ShapeError(f"ref: {len(ref)} frames, expected {len(mic)} like mic")
    loaded = load() if model is None else model
    trace = LossTrace(()) if losses is None else losses
    first = round(start_s * sample_rate)
    mic = received(mic, trace.runs(sample_rate, first, len(mic)))
    with Stream(loaded, options=options, sample_rate=sample_rate, **settings) as stream:
        out, curves = _run(stream, mic, ref, trace, first, progress)
        metrics = stream.metrics
        tail = stream.flush()
    window_ms = loaded.info.window_ms
    delay = None
    if ref is not None:
        delay = probe_delay(mic, ref, sample_rate, window_ms=window_ms)
    aligned = np.concatenate([out, tail])[len(tail) :]
    bursts, at = [], 0
    for frames, gone in trace.runs(sample_rate, first, len(mic)):
        if gone:
            bursts.append((at / sample_rate, (at + frames) / sample_rate))
        at += frames
    return Analysis(
        sample_rate, mic, ref, aligned, curves, delay, metrics, window_ms, tuple(bursts)
    )


def _run(
    stream: Stream,
    mic: Floats,
    ref: Floats | None,
    trace: LossTrace,
    first: int,
    progress: Callable[[float, float], None] | None,
) -> tuple[Floats, Curves]:
    step = round(STEP_S * stream.sample_rate)
    blocks, rows = [], []
    for at in range(0, len(mic), step):
        part = None if ref is None else ref[at : at + step]
        block = mic[at : at + step]
        runs = trace.runs(stream.sample_rate, first + at, len(block))
        blocks.append(process_runs(stream, block, part, runs))
        m = stream.metrics
        row = (
            min(at + step, len(mic)) / stream.sample_rate,
            _number(m.delay_ms),
            m.pre_delay_ms,
            _number(m.erle_db) if m.ref_active else math.nan,
            m.mic_dbfs,
            m.ref_dbfs,
            m.out_dbfs,
        )
        rows.append(row)
        if progress is not None:
            progress(row[0], len(mic) / stream.sample_rate)
    columns = np.array(rows, np.float64).T
    return np.concatenate(blocks), Curves(*columns)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
