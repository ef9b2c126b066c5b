"""Recordings with lost packets: `conceal` and `conceal_file`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError, ModelFileError
from voxhop.files.enhance import EnhanceReport, enhance_file
from voxhop.files.offline import enhance, opened
from voxhop.models import Model, bundled_models, load

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    from voxhop.files.offline import ModelSource
    from voxhop.stream.losses import LossTrace


def conceal(
    audio: npt.NDArray[Any],
    *,
    sample_rate: int,
    losses: LossTrace,
    model: ModelSource = None,
    **settings: Any,  # noqa: ANN401 - those of enhance
) -> npt.NDArray[Any]:
    """Fill the packets that a recording lost.

    Parameters
    ----------
    audio
        ``(frames,)`` or ``(frames, channels)``; float32 or float64 in about [-1, 1], int16 or
        int32. What it holds where packets were lost is not listened to.
    sample_rate
        In Hz, any.
    losses
        Which packets were lost, of all channels alike.
    model
        What `voxhop.load` takes, or a loaded model: one that takes a microphone alone and was
        trained on losses (SEFlow). None: the first such model inside the package.
    **settings
        As for `voxhop.enhance`, for example ``depth=6`` or ``strength=0.8``.

    Returns
    -------
    numpy.ndarray
        As long as `audio`, of its dtype, sample-aligned with it. Noise and reverberation are
        removed on the way, as the model does. A burst of more than 0.8 s fades to silence.

    Raises
    ------
    DtypeError, ShapeError, ArgumentError
        For arrays, settings or a model that do not fit.
    ModelFileError
        When the model cannot be loaded, or none is inside the package.
    """
    with opened(_named(model)) as loaded:
        _check_alone(loaded)
        return enhance(audio, sample_rate=sample_rate, model=loaded, losses=losses, **settings)


def conceal_file(
    audio: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    losses: LossTrace,
    model: ModelSource = None,
    **settings: Any,  # noqa: ANN401 - those of enhance_file
) -> EnhanceReport:
    """Fill the packets that a recording in a file lost, in constant memory.

    Parameters
    ----------
    audio, out
        The recording and the file to make, as for `voxhop.enhance_file`.
    losses, model
        As for `conceal`.
    **settings
        As for `voxhop.enhance_file`.

    Returns
    -------
    EnhanceReport
        What was done; `sides` counts what was lost.

    Raises
    ------
    AudioFileError, ArgumentError, ModelFileError
        As for `voxhop.enhance_file` and `conceal`.
    """
    with opened(_named(model)) as loaded:
        _check_alone(loaded)
        return enhance_file(audio, out, model=loaded, losses=losses, **settings)


def _named(model: ModelSource) -> ModelSource:
    """Return the model, or the name of the first inside the package that can do it."""
    if model is not None:
        return model
    for name in bundled_models():
        with load(name) as candidate:
            if candidate.info.purpose == "enhancer" and candidate.info.input_count == 1:
                return name
    raise ModelFileError(
        "model: none inside the package fills lost packets; expected the file of one that takes a "
        "microphone alone, such as SEFlow"
    )


def _check_alone(model: Model) -> None:
    if model.info.input_count != 1:
        raise ArgumentError(
            f"model: {model.info.architecture} takes a reference, expected one that takes a "
            "microphone alone, such as SEFlow"
        )
