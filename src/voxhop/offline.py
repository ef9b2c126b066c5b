"""Whole recordings as arrays: `enhance`."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._aligned import AlignedEnhancer
from voxhop._formats import ChannelRule, check_rate, from_float, to_float
from voxhop._meter import Tally
from voxhop.models import DEFAULT_MODEL, Model, load
from voxhop.session_info import SessionOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy.typing as npt

    from voxhop._formats import Floats

    ModelSource = Model | str | os.PathLike[str] | bytes | None

BLOCK_S: Final = 1.0  # bounds the memory of a pass; the result does not depend on it


def enhance(
    mic: npt.NDArray[Any],
    ref: npt.NDArray[Any] | None = None,
    *,
    sample_rate: int,
    ref_sample_rate: int | None = None,
    model: ModelSource = None,
    mic_channel: int | None = None,
    ref_channel: int | None = None,
    options: SessionOptions | None = None,
) -> npt.NDArray[Any]:
    """Remove echo, noise and reverberation from a whole recording.

    Parameters
    ----------
    mic
        Microphone, ``(frames,)`` or ``(frames, channels)``; float32 or float64 in about
        [-1, 1], int16 or int32.
    ref
        What the loudspeaker played, of any of these types, starting at the same moment;
        padded with silence or cut to the length of `mic`. None means silence: noise and
        reverberation only.
    sample_rate
        Rate of `mic` in Hz, any.
    ref_sample_rate
        Rate of `ref` in Hz, `sample_rate` when None.
    model
        What `voxhop.load` takes, or a loaded model; the bundled default when None.
    mic_channel
        Enhance this channel only; the result then is ``(frames,)``.
    ref_channel
        Take this channel of `ref`. Without `ref`: this channel of `mic` is the reference,
        and the others are microphones.
    options
        How the session computes, for example ``SessionOptions(threads=2)``.

    Returns
    -------
    numpy.ndarray
        As long as `mic`, of its dtype, sample-aligned with it. Each microphone channel is
        enhanced on its own; several reference channels are averaged to one.

    Raises
    ------
    DtypeError, ShapeError, ArgumentError
        For arrays or options that do not fit, and samples that are not finite.
    ModelFileError
        When the model cannot be loaded.

    Notes
    -----
    Rates other than the model's (16 kHz) are converted there and back, so the result has
    no content above 8 kHz.
    """
    rate = check_rate("sample_rate", sample_rate)
    ref_rate = rate if ref_sample_rate is None else check_rate("ref_sample_rate", ref_sample_rate)
    rule = ChannelRule(mic_channel, ref_channel)
    mics = to_float("mic", mic)
    refs = None if ref is None else to_float("ref", ref)
    chosen = rule.mic_channels(mics.shape[1], has_ref=refs is not None)
    reference = rule.reference(mics, refs)
    if reference is not None:
        ref_rate = rate if refs is None else ref_rate
        reference = _fit(reference, -(-len(mics) * ref_rate // rate))
    columns = []
    with opened(model) as loaded:
        for channel in chosen:
            with loaded.session(**session_arguments(options)) as session:
                enhancer = AlignedEnhancer(session, rate, ref_rate, Tally())
                signal = np.ascontiguousarray(mics[:, channel])
                columns.append(_whole(enhancer, signal, reference, (rate, ref_rate)))
    out = from_float(np.stack(columns, axis=1), mic.dtype)
    return out[:, 0] if mic.ndim == 1 or mic_channel is not None else out


@contextlib.contextmanager
def opened(model: ModelSource) -> Iterator[Model]:
    """Yield a loaded model; one that was loaded here is closed again."""
    if isinstance(model, Model):
        yield model
    else:
        with load(DEFAULT_MODEL if model is None else model) as loaded:
            yield loaded


def session_arguments(options: SessionOptions | None) -> dict[str, Any]:
    """Return the keyword arguments of `voxhop.Session` for `options`."""
    return asdict(options or SessionOptions())


def _whole(
    enhancer: AlignedEnhancer, mic: Floats, ref: Floats | None, rates: tuple[int, int]
) -> Floats:
    """Run a whole channel through `enhancer` in blocks of the same stretches of time."""
    blocks = []
    rate, ref_rate = rates
    step, ref_step = round(BLOCK_S * rate), round(BLOCK_S * ref_rate)
    for i in range(-(-len(mic) // step)):
        part = None if ref is None else ref[i * ref_step : (i + 1) * ref_step]
        blocks.append(enhancer.process(mic[i * step : (i + 1) * step], part))
    blocks.append(enhancer.finish())
    return np.concatenate(blocks)


def _fit(signal: Floats, length: int) -> Floats:
    """Return `signal` cut or zero-padded at its end to `length`."""
    return np.pad(signal[:length], (0, max(0, length - len(signal))))
