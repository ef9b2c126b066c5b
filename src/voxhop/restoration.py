"""Whole recordings through a generative model: `restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._formats import check_rate, from_float, to_float
from voxhop.errors import ArgumentError
from voxhop.offline import opened
from voxhop.session import Session

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    from voxhop.models import Model

    Floats = npt.NDArray[np.float32]

NOMINAL_PEAK: Final = 10 ** (-6 / 20)  # of the speech that these models are trained on


def restore(
    audio: npt.NDArray[Any],
    *,
    sample_rate: int,
    model: Model | str | os.PathLike[str] | bytes,
    out_sample_rate: int | None = None,
    level: bool = True,
) -> npt.NDArray[Any]:
    """Fill in what was lost from a whole recording: its upper band, its phase, its details.

    Parameters
    ----------
    audio
        ``(frames,)`` or ``(frames, channels)``; float32 or float64 in about [-1, 1], int16
        or int32. Each channel is restored on its own.
    sample_rate
        Rate of `audio` in Hz, any.
    model
        A restoring model (architecture ``streamfm``), loaded or what `voxhop.load` takes.
    out_sample_rate
        Rate of the result, `sample_rate` when None. A narrow recording whose upper band
        comes back needs the model's own.
    level
        Bring each channel's peak to -6 dBFS for the model, and back afterwards, so that
        quiet recordings are restored as well as loud ones. False leaves the level alone.

    Returns
    -------
    numpy.ndarray
        Sample-aligned with `audio` and of its dtype; at another rate as long in seconds.

    Raises
    ------
    DtypeError, ShapeError, ArgumentError
        For arrays, rates or a model that do not fit, and samples that are not finite.
    ModelFileError
        When the model cannot be loaded.

    Notes
    -----
    The same recording always gives the same result: the model's noise counts from the
    start of each channel.
    """
    import soxr  # noqa: PLC0415 - only where it is used

    rate = check_rate("sample_rate", sample_rate)
    wanted = rate if out_sample_rate is None else check_rate("out_sample_rate", out_sample_rate)
    samples = to_float("audio", audio)
    with opened(model) as loaded:
        info = loaded.info
        if info.input_count != 1:
            raise ArgumentError(
                f"model: {info.architecture} has {info.input_count} audio inputs, expected a "
                "restoring model with 1"
            )
        inner = (
            soxr.resample(samples, rate, info.sample_rate) if rate != info.sample_rate else samples
        )
        with Session(loaded) as session:
            channels = [_channel(session, inner[:, c], level=level) for c in range(inner.shape[1])]
    out = np.stack(channels, axis=1)
    if wanted != info.sample_rate:
        out = soxr.resample(out, info.sample_rate, wanted)
    frames = round(len(samples) * wanted / rate)
    out = np.pad(out[:frames], ((0, max(0, frames - len(out))), (0, 0)))
    result = from_float(np.ascontiguousarray(out), audio.dtype)
    return result[:, 0] if audio.ndim == 1 else result


def _channel(session: Session, samples: Floats, *, level: bool) -> Floats:
    """Return one channel, as long as `samples` and aligned with it."""
    session.reset()
    hop, late = session.hop_length, session.latency_samples
    peak = float(np.abs(samples).max())
    gain = NOMINAL_PEAK / peak if level and peak > 0 else 1.0
    hops = -(-(len(samples) + late) // hop)
    padded = np.zeros(hops * hop, np.float32)
    padded[: len(samples)] = samples * np.float32(gain)
    out = np.concatenate([session.process_hop(x) for x in padded.reshape(-1, hop)])
    aligned: Floats = (out[late : late + len(samples)] / np.float32(gain)).astype(np.float32)
    return aligned
