"""What the page embeds: spectrograms as PNG and sound as FLAC, both as data addresses."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_WINDOW: Final = 512
_HOP: Final = 128
_FLOOR_DB: Final = -90.0
_TOP_DB: Final = -10.0
_SIZE_INCHES: Final = (4.6, 1.6)
_DPI: Final = 130


def spectrogram_db(signal: Array) -> Array:
    """Return the power spectrogram in dB re full scale, (bins, frames), Hann window of 512."""
    padded = np.pad(np.asarray(signal, np.float64), (0, max(0, _WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    window = np.hanning(_WINDOW)
    spectrum = np.fft.rfft(frames * window, axis=1) * (2.0 / window.sum())
    decibels: Array = 20.0 * np.log10(np.maximum(np.abs(spectrum), 10.0 ** (_FLOOR_DB / 20.0))).T
    return decibels


def spectrogram_png(signal: Array, sample_rate: int) -> str:
    """Draw a spectrogram, -90 to -10 dB, and return it as a data address."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - extra

    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    seconds = len(signal) / sample_rate
    axes.imshow(
        spectrogram_db(signal),
        origin="lower",
        aspect="auto",
        extent=(0.0, seconds, 0.0, sample_rate / 2000.0),
        vmin=_FLOOR_DB,
        vmax=_TOP_DB,
        cmap="magma",
        interpolation="nearest",
    )
    axes.set_xlabel("s", fontsize=7, labelpad=0)
    axes.set_ylabel("kHz", fontsize=7)
    axes.tick_params(labelsize=7)
    stream = io.BytesIO()
    # No version or date inside: the same clips give the same page.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return _data("image/png", stream.getvalue())


def sound(signal: Array, sample_rate: int) -> str:
    """Encode a signal as 16-bit FLAC and return it as a data address."""
    import soundfile  # noqa: PLC0415 - import voxhop stays light

    stream = io.BytesIO()
    clipped = np.clip(signal, -1.0, 1.0 - 2.0**-15)
    soundfile.write(stream, clipped, sample_rate, format="FLAC", subtype="PCM_16")
    return _data("audio/flac", stream.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
