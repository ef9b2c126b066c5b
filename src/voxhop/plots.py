"""Pictures of recordings. Needs the extra ``[plot]``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.media.partial import partial_beside

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

_WINDOW_S: Final = 0.032
_RANGE_DB: Final = 75.0
_GREY: Final = "#808080"
_LOST: Final = "#35c7f0"
_LOST_HEIGHT: Final = (0.955, 1.0)  # of an axis
_SUFFIXES: Final = (".png", ".svg", ".pdf")


def check_picture(path: str | os.PathLike[str]) -> Path:
    """Return the path of a picture that can be made, before the work for it begins.

    Raises
    ------
    ArgumentError
        For a suffix of no picture.
    ImportError
        When matplotlib is not installed; the message says how to.
    """
    out = Path(path)
    if out.suffix.lower() not in _SUFFIXES:
        raise ArgumentError(f"{out}: suffix {out.suffix!r}, expected {', '.join(_SUFFIXES)}")
    _figure_class()
    return out


def before_after(
    path: str | os.PathLike[str],
    tracks: Mapping[str, Samples],
    *,
    sample_rate: int,
    segments: Mapping[str, tuple[float, float]] | None = None,
    lost: Sequence[tuple[float, float]] = (),
    title: str = "",
) -> None:
    """Draw spectrograms above each other, on one scale of time and one of colour.

    Parameters
    ----------
    path
        File to make; PNG, SVG or PDF by its suffix. It appears when it is complete.
    tracks
        Title to signal, ``(frames,)`` float32, from top to bottom.
    sample_rate
        Of all signals, in Hz.
    segments
        Name to start and end in seconds of stretches to mark.
    lost
        Start and end in seconds of what was lost: marked along the upper edge of every picture.
    title
        Above everything.

    Raises
    ------
    ImportError
        When matplotlib is not installed; the message says how to.
    """
    figure_class = _figure_class()
    figure = figure_class(figsize=(11.0, 1.0 + 2.3 * len(tracks)), layout="constrained")
    axes = figure.subplots(len(tracks), 1, sharex=True, squeeze=False)[:, 0]
    levels = {name: spectrogram_db(signal, sample_rate) for name, signal in tracks.items()}
    top = max(float(level.max()) for level in levels.values())
    image = None
    for axis, (name, level) in zip(axes, levels.items(), strict=True):
        seconds = len(tracks[name]) / sample_rate
        image = _draw_spectrogram(axis, level, (seconds, sample_rate), top)
        axis.set_title(name, loc="left", fontsize=11)
        axis.set_ylabel("kHz")
        _mark(axis, segments or {}, labels=axis is axes[0])
        _mark_lost(axis, lost, seconds)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=list(axes), label="dB", shrink=0.6)
    if title:
        figure.suptitle(title)
    _save(figure, Path(path))


def overview(
    path: str | os.PathLike[str],
    tracks: Mapping[str, Samples],
    curves: Mapping[str, tuple[npt.NDArray[np.float64], Mapping[str, npt.NDArray[np.float64]]]],
    *,
    sample_rate: int,
    title: str = "",
) -> None:
    """Draw spectrograms, and curves over the same time below them.

    Parameters
    ----------
    path, tracks, sample_rate, title
        As for `before_after`.
    curves
        Label of the axis to times in seconds and named series of as many values.

    Raises
    ------
    ImportError
        When matplotlib is not installed; the message says how to.
    """
    rows = len(tracks) + len(curves)
    figure = _figure_class()(figsize=(11.0, 1.0 + 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    levels = {name: spectrogram_db(signal, sample_rate) for name, signal in tracks.items()}
    top = max(float(level.max()) for level in levels.values())
    for axis, (name, level) in zip(axes, levels.items(), strict=False):
        seconds = len(tracks[name]) / sample_rate
        _draw_spectrogram(axis, level, (seconds, sample_rate), top)
        axis.set_title(name, loc="left", fontsize=11)
        axis.set_ylabel("kHz")
    for axis, (label, (time_s, series)) in zip(axes[len(tracks) :], curves.items(), strict=True):
        for name, values in series.items():
            axis.plot(time_s, values, label=name, linewidth=1.5)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        axis.margins(y=0.1)
        if len(series) > 1:  # above the axis, where no line runs
            place = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.97)}
            axis.legend(fontsize=9, frameon=False, ncols=len(series), **place)
    axes[-1].set_xlabel("seconds")
    if title:
        figure.suptitle(title)
    _save(figure, Path(path))


def spectrogram_png(
    signal: Samples,
    sample_rate: int,
    *,
    top_db: float,
    lost: Sequence[tuple[float, float]] = (),
) -> bytes:
    """Return a spectrogram with axes as the bytes of a PNG; `top_db` is the brightest level.

    The ground is transparent and the writing grey, for pages light and dark. `lost` is marked
    along the upper edge, as in `before_after`.
    """
    figure = _figure_class()(figsize=(9.6, 2.1), layout="constrained")
    axis = figure.subplots()
    extent = (len(signal) / sample_rate, sample_rate)
    _draw_spectrogram(axis, spectrogram_db(signal, sample_rate), extent, top_db)
    _mark_lost(axis, lost, extent[0])
    axis.set_xlabel("seconds")
    axis.set_ylabel("kHz")
    axis.tick_params(colors=_GREY)
    for part in (axis.xaxis.label, axis.yaxis.label, *axis.spines.values()):
        part.set_color(_GREY)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, transparent=True)
    return buffer.getvalue()


def _draw_spectrogram(
    axis: Any,  # noqa: ANN401 - matplotlib has no types here
    level: npt.NDArray[np.float32],
    extent: tuple[float, int],
    top_db: float,
) -> Any:  # noqa: ANN401 - an image
    """Draw `level` over seconds and kHz; `extent` is length in seconds and sample rate."""
    return axis.imshow(
        level,
        origin="lower",
        aspect="auto",
        extent=(0.0, extent[0], 0.0, extent[1] / 2000.0),
        vmin=top_db - _RANGE_DB,
        vmax=top_db,
        cmap="magma",
        interpolation="nearest",
    )


def spectrogram_db(signal: Samples, sample_rate: int) -> npt.NDArray[np.float32]:
    """Return the power spectrogram in dB, ``(bins, windows)``, Hann windows of 32 ms."""
    size = 2 * round(_WINDOW_S * sample_rate / 2)
    padded = np.pad(signal, (size // 2, size))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    windows = windows[: -(-len(signal) * 4 // size)] * np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2 / size
    return (10.0 * np.log10(power.T + 1e-12)).astype(np.float32)


def _mark(axis: Any, segments: Mapping[str, tuple[float, float]], *, labels: bool) -> None:  # noqa: ANN401 - matplotlib has no types here
    for name, (start, end) in segments.items():
        if start > 0:
            axis.axvline(start, color="white", linewidth=1.0, linestyle=":")
        if labels:
            low, high = axis.get_ylim()
            y = low + 0.93 * (high - low)
            axis.text((start + end) / 2, y, name, color="white", ha="center", va="top", fontsize=9)


def _mark_lost(axis: Any, lost: Sequence[tuple[float, float]], seconds: float) -> None:  # noqa: ANN401 - matplotlib has no types here
    for start, end in lost:
        axis.axvspan(start, min(end, seconds), *_LOST_HEIGHT, color=_LOST, linewidth=0)


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401 - matplotlib has no types here
    """Write beside the target and rename, so that no half picture is left."""
    form = path.suffix.lstrip(".").lower() or "png"
    partial = partial_beside(path)
    try:
        figure.savefig(partial, format=form, dpi=110)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _figure_class() -> Any:  # noqa: ANN401 - matplotlib has no types here
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = 'pictures need matplotlib: pip install "voxhop[plot]"'
        raise ImportError(message) from error
    return Figure
