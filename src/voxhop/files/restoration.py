"""Whole recordings through restoring models: `restore` and `restore_file`."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxhop.engine.session_info import SessionOptions
from voxhop.errors import ArgumentError
from voxhop.files.enhancer import converted
from voxhop.files.offline import opened
from voxhop.files.restorer import LevelRule, RestoringPass, level_rule, peaks_of
from voxhop.files.restorers import calls, find_restorer, find_task, solver_of, task_of
from voxhop.io import AudioReader
from voxhop.media.formats import check_rate, from_float, to_float
from voxhop.media.outputs import choose_output, open_output
from voxhop.media.sources import ArraySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from voxhop.files.offline import ModelSource
    from voxhop.media.sources import Source
    from voxhop.models import Model

    FilePath = str | os.PathLike[str]

_WIDENING = "bwe"  # the task whose result has more band than the recording


@dataclass(frozen=True)
class RestoreReport:
    """What `restore_file` did.

    Attributes
    ----------
    source, out
        The files.
    model, task, solver, steps, seed
        Where the model came from, what it restores, its solver, that solver's calls of the
        network per hop, and the seed of the noise.
    level
        ``"peak"``, ``"follow"`` or ``"off"``.
    source_rate, sample_rate, channels, seconds
        Rate of the recording; rate, channels and length of the output.
    format, subtype
        Of the output, in libsndfile's names.
    precision
        That the network was computed in, ``"f32"`` and so on.
    level_in_dbfs, level_out_dbfs
        Mean powers at the model's rate; -inf for digital silence.
    clipped_samples
        Output samples beyond full scale that were cut to it.
    notes
        One line for what is worth knowing: a recording that ends before its header says, a
        band that the model does not carry.
    elapsed_s, speed
        Wall time, and seconds of audio per second of it.
    """

    source: str
    out: str
    model: str
    task: str
    solver: str
    steps: int
    seed: int
    level: str
    source_rate: int
    sample_rate: int
    channels: int
    seconds: float
    format: str
    subtype: str
    precision: str
    level_in_dbfs: float
    level_out_dbfs: float
    clipped_samples: int
    notes: tuple[str, ...]
    elapsed_s: float
    speed: float


def restore(  # noqa: PLR0913 - keyword-only options
    audio: npt.NDArray[Any],
    *,
    sample_rate: int,
    model: ModelSource = None,
    task: str | None = None,
    out_sample_rate: int | None = None,
    level: LevelRule = True,
    solver: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    options: SessionOptions | None = None,
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
        A restoring model (architecture ``streamfm``), loaded or what `voxhop.load` takes;
        None: the installed one for `task`.
    task
        ``"bwe"``, ``"derev"``, ``"codec"``, ``"enhance"``, ``"phase"`` or ``"mel"``; needed
        without a model, and must be the task of the model that is given.
    out_sample_rate
        Rate of the result. None: `sample_rate`, but for bandwidth extension the model's where
        that is higher.
    level
        How the model gets speech with a peak near -6 dBFS; the result has the level of
        `audio`. ``"peak"`` (or True): one gain per channel, from its own peak. ``"follow"``:
        by a `voxhop.LevelFollower`, as a stream has it. ``"off"`` (or False): not at all.
    solver, steps
        A solver of the model by its name, or by how often it calls the network per hop; its
        default when both are None.
    seed
        Of the noise that the model starts from, 0 to 2^63 - 1.
    options
        How the sessions compute.

    Returns
    -------
    numpy.ndarray
        Sample-aligned with `audio` and of its dtype; at another rate as long in seconds.

    Raises
    ------
    DtypeError, ShapeError, ArgumentError
        For arrays, rates or a model that do not fit, and samples that are not finite.
    ModelFileError
        When the model cannot be loaded, or none is installed for the task.

    Notes
    -----
    The same recording and seed always give the same result: the model's noise counts from
    the start of each channel.
    """
    rate = check_rate("sample_rate", sample_rate)
    samples = to_float("audio", audio)
    rule = level_rule(level)
    with _restorer(model, task) as loaded:
        wanted = _output_rate(rate, out_sample_rate, loaded)
        source = ArraySource(samples, rate)
        peaks = _peaks(rule, lambda: ArraySource(samples, rate))
        chosen = _session_options(loaded, solver, steps, seed, options)
        with RestoringPass(source, loaded, peaks, chosen) as done:
            frames = round(len(samples) * wanted / rate)
            blocks = list(_output(done, loaded, wanted, frames))
    result = from_float(np.ascontiguousarray(np.concatenate(blocks)), audio.dtype)
    return result[:, 0] if audio.ndim == 1 else result


def restore_file(  # noqa: PLR0913 - keyword-only options
    source: FilePath,
    out: FilePath,
    *,
    model: ModelSource = None,
    task: str | None = None,
    out_sample_rate: int | None = None,
    level: LevelRule = True,
    solver: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    subtype: str | None = None,
    progress: Callable[[float, float], None] | None = None,
    options: SessionOptions | None = None,
) -> RestoreReport:
    """Restore a file, in constant memory.

    Parameters
    ----------
    source
        The recording, in any format, rate and number of channels.
    out
        The file to make, in the format of its suffix. It appears when it is complete and
        replaces what was there; on an error it does not appear at all.
    model, task, out_sample_rate, level, solver, steps, seed, options
        As for `restore`, whose samples these are. A level by the peak reads the file twice.
    subtype
        Encoding in libsndfile's names; by default that of `source` where it fits.
    progress
        Called with seconds done and seconds in all, now and then.

    Raises
    ------
    AudioFileError
        When a file cannot be read or written, names itself and the cause.
    ArgumentError
        For settings that do not exist or do not fit, an unknown suffix, or an output that is
        the input.
    ModelFileError
        When the model cannot be loaded, or none is installed for the task.
    """
    start = time.monotonic()
    rule = level_rule(level)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(source))
        if Path(out).exists() and Path(out).samefile(source):
            raise ArgumentError(f"{out}: the input too; expected another name")
        encoding = choose_output(out, reader, subtype)
        loaded = stack.enter_context(_restorer(model, task))
        chosen = _session_options(loaded, solver, steps, seed, options)
        wanted = _output_rate(reader.rate, out_sample_rate, loaded)
        peaks = _peaks(rule, lambda: stack.enter_context(AudioReader(source)))
        done = stack.enter_context(RestoringPass(reader, loaded, peaks, chosen))
        writer = stack.enter_context(
            open_output(out, channels=reader.channels, like=reader, encoding=encoding, rate=wanted)
        )
        frames = round(reader.frames * wanted / reader.rate)
        for block in _output(done, loaded, wanted, frames):
            writer.write(block)
            if progress is not None:
                progress(writer.frames / wanted, reader.seconds)
        figures = done.figures()
        notes = tuple(filter(None, (reader.note, _lost_band(reader, loaded, wanted))))
        name = chosen["solver"]
        report = {
            "model": loaded.source,
            "task": task_of(loaded).name,
            "solver": name,
            "steps": calls(loaded)[str(name)],
            "precision": done.precision,
            "source_rate": reader.rate,
            "channels": reader.channels,
            "seconds": reader.seconds,
        }
    elapsed = time.monotonic() - start
    return RestoreReport(
        **report,
        source=os.fspath(source),
        out=os.fspath(out),
        seed=seed,
        level=rule,
        sample_rate=wanted,
        format=encoding[0],
        subtype=encoding[1],
        level_in_dbfs=figures.level_in_dbfs,
        level_out_dbfs=figures.level_out_dbfs,
        clipped_samples=writer.clipped,
        notes=notes,
        elapsed_s=elapsed,
        speed=reader.seconds / elapsed,
    )


@contextlib.contextmanager
def _restorer(model: ModelSource, task: str | None) -> Iterator[Model]:
    """Yield the loaded restoring model that a caller means."""
    wanted = None if task is None else find_task(task)
    if model is None:
        if wanted is None:
            raise ArgumentError("restore: neither a model nor a task, expected one of the two")
        model = find_restorer(wanted.name)
    with opened(model) as loaded:
        found = task_of(loaded)
        if wanted not in (None, found):
            raise ArgumentError(f"model {loaded.source}: its task is {found.name}, expected {task}")
        yield loaded


def _output_rate(rate: int, wanted: int | None, model: Model) -> int:
    if wanted is not None:
        return check_rate("out_sample_rate", wanted)
    return max(rate, model.sample_rate) if task_of(model).name == _WIDENING else rate


def _peaks(rule: str, again: Callable[[], Source]) -> list[float] | None:
    """Return the peaks of the channels by which the level is set; `again` reads from the start."""
    if rule == "follow":
        return None
    return peaks_of(again()) if rule == "peak" else []


def _session_options(
    model: Model, solver: str | None, steps: int | None, seed: int, options: SessionOptions | None
) -> dict[str, Any]:
    """Return what the sessions are opened with."""
    given = asdict(options or SessionOptions())
    return given | {"solver": solver_of(model, solver, steps), "seed": seed}


def _output(
    done: RestoringPass, model: Model, rate: int, frames: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the result at its own rate, in all `frames`."""
    return converted(done.blocks(), model.sample_rate, rate, frames)


def _lost_band(reader: AudioReader, model: Model, rate: int) -> str | None:
    """Return a note when the output has room for a band that the model does not carry."""
    if min(reader.rate, rate) <= model.sample_rate:
        return None
    top = model.sample_rate / 2000
    return f"{reader.name}: {reader.rate} Hz; above {top:g} kHz, the model's band, is silence"
