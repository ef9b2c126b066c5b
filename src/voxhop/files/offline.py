"""Whole recordings as arrays: `enhance`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from voxhop.files.choice import best_model
from voxhop.files.enhancer import Enhancer, at_source_rate, stream_settings, stream_source
from voxhop.media.formats import ChannelRule, check_rate, from_float, to_float
from voxhop.media.sources import ArraySource, SharedReference
from voxhop.models import DEFAULT_MODEL, Model, load

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy.typing as npt

    from voxhop.engine.session_info import SessionOptions
    from voxhop.stream.losses import LossTrace

    ModelSource = Model | str | os.PathLike[str] | bytes | None


def enhance(  # noqa: PLR0913 - keyword-only options
    mic: npt.NDArray[Any],
    ref: npt.NDArray[Any] | None = None,
    *,
    sample_rate: int,
    ref_sample_rate: int | None = None,
    model: ModelSource = None,
    mic_channel: int | None = None,
    ref_channel: int | None = None,
    losses: LossTrace | None = None,
    workers: int = 1,
    options: SessionOptions | None = None,
    **settings: Any,  # noqa: ANN401 - those of Stream
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
        What `voxhop.load` takes, or a loaded model. None: the one inside the package that
        serves such a recording best by measurement; with a reference the default.
    mic_channel
        Enhance this channel only; the result then is ``(frames,)``.
    ref_channel
        Take this channel of `ref`. Without `ref`: this channel of `mic` is the reference,
        and the others are microphones.
    losses
        Which packets of the microphone were lost; see `voxhop.conceal`.
    workers
        Threads that may work on stretches of a long recording at the same time. Each hears all of
        it up to its last stretch, and works so much before each (29 s with the default) that the
        result is that of one thread but for rounding; comfort noise is another draw. One thread
        does it all with ``auto_bypass`` (which goes with a delay to be found), with losses, with
        a model of which `ModelInfo.warm_up_samples` is 0, and where a recording is too short.
    options
        How the session computes, for example ``SessionOptions(precision="int8")``.
    **settings
        Fields of `StreamOptions`, such as ``delay_ms="auto"``, ``strength=0.8`` or
        ``high_band="drop"``, but for the rate and the channels. Where none says otherwise
        the reference is not delayed, and nothing is bypassed.

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
    Each channel goes through a `Stream`. At rates above the model's 16 kHz the band above
    8 kHz follows the gain of the band below.
    """
    rate = check_rate("sample_rate", sample_rate)
    ref_rate = rate if ref_sample_rate is None else check_rate("ref_sample_rate", ref_sample_rate)
    rule = ChannelRule(mic_channel, ref_channel)
    chosen = stream_settings(settings)
    mics = ArraySource(to_float("mic", mic), rate)
    refs = None if ref is None else ArraySource(to_float("ref", ref), ref_rate)
    recording = SharedReference(stream_source(mics), refs, rule)
    if model is None:
        has_ref = ref is not None or ref_channel is not None
        model = best_model(rate, has_ref=has_ref, settings=chosen)
    with (
        opened(model) as loaded,
        Enhancer(recording, loaded, options, chosen, losses, workers) as enhancer,
    ):
        blocks = at_source_rate(enhancer.blocks(), recording.rate, mics)
        out = from_float(np.concatenate(list(blocks)), mic.dtype)
    return out[:, 0] if mic.ndim == 1 or mic_channel is not None else out


@contextlib.contextmanager
def opened(model: ModelSource) -> Iterator[Model]:
    """Yield a loaded model; one that was loaded here is closed again."""
    if isinstance(model, Model):
        yield model
    else:
        with load(DEFAULT_MODEL if model is None else model) as loaded:
            yield loaded
