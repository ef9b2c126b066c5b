"""Whole recordings as files: `enhance_file`, in constant memory."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError
from voxhop.figures.meter import Figures
from voxhop.files.choice import best_model
from voxhop.files.enhancer import Enhancer, at_source_rate, stream_settings, stream_source
from voxhop.files.offline import opened
from voxhop.io import AudioReader
from voxhop.media.formats import ChannelRule
from voxhop.media.outputs import choose_output, open_output
from voxhop.media.sources import CrossTalk, SharedReference

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxhop.engine.session_info import SessionOptions
    from voxhop.files.offline import ModelSource
    from voxhop.media.sources import Recording
    from voxhop.stream.losses import LossTrace
    from voxhop.stream.types import StreamMetrics

    FilePath = str | os.PathLike[str]


@dataclass(frozen=True)
class EnhanceReport(Figures):
    """What `enhance_file` did; its figures, and these.

    Attributes
    ----------
    mic, ref, out
        The files; `ref` is None without one.
    model
        Where the model came from.
    sample_rate, channels, seconds
        Of the output, which are those of the microphone file.
    format, subtype
        Of the output, in libsndfile's names.
    ref_missing_s
        Seconds at the end for which the reference was too short, and silence was taken.
    clipped_samples
        Output samples beyond full scale that were cut to it.
    sides
        The figures of each stream at the end: one per output channel.
    notes
        One line for each recording that ends before its header says, or gives no length.
    elapsed_s, speed
        Wall time, and seconds of audio per second of it.
    """

    mic: str
    ref: str | None
    out: str
    model: str
    sample_rate: int
    channels: int
    seconds: float
    format: str
    subtype: str
    ref_missing_s: float
    clipped_samples: int
    sides: tuple[StreamMetrics, ...]
    notes: tuple[str, ...]
    elapsed_s: float
    speed: float


def enhance_file(  # noqa: PLR0913 - keyword-only options
    mic: FilePath,
    out: FilePath,
    *,
    ref: FilePath | None = None,
    cross: bool = False,
    model: ModelSource = None,
    mic_channel: int | None = None,
    ref_channel: int | None = None,
    subtype: str | None = None,
    losses: LossTrace | None = None,
    workers: int = 1,
    progress: Callable[[float, float], None] | None = None,
    options: SessionOptions | None = None,
    **settings: Any,  # noqa: ANN401 - those of Stream
) -> EnhanceReport:
    """Remove echo, noise and reverberation from a file, in constant memory.

    Parameters
    ----------
    mic
        The microphone recording, in any format, rate and number of channels.
    out
        The file to make, in the format of its suffix. It appears when it is complete and
        replaces what was there; on an error it does not appear at all.
    ref
        What the loudspeaker played, starting at the same moment; its rate may differ. A
        shorter one is followed by silence, a longer one is cut.
    cross
        The file is a call with one party per channel: each channel is cleaned of the echo of
        the other. Needs exactly two channels, and none of the other choices of a reference.
    model, mic_channel, ref_channel, workers, options, **settings
        As for `voxhop.enhance`, but that `cross` finds the delay unless ``delay_ms`` is given;
        with `ref_channel` and no `ref`, that channel of `mic` is
        the reference.
    subtype
        Encoding in libsndfile's names; by default that of `mic` where it fits.
    losses
        Which packets of the microphones were lost; see `voxhop.conceal_file`.
    progress
        Called with seconds done and seconds in all, now and then.

    Returns
    -------
    EnhanceReport
        What was done, with levels, delay and speed.

    Raises
    ------
    AudioFileError
        When a file cannot be read or written, names itself and the cause.
    ArgumentError
        For channels that do not exist or do not go together, settings out of range, an
        unknown suffix, or an output that is an input.
    ModelFileError
        When the model cannot be loaded.
    """
    start = time.monotonic()
    chosen = stream_settings(settings, delay_ms="auto" if cross else 0.0)
    rule = ChannelRule(mic_channel, ref_channel)
    if cross and (ref is not None or rule != ChannelRule()):
        raise ArgumentError("cross: the other channel is the reference; expected no other")
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(mic))
        ref_reader = None if ref is None else stack.enter_context(AudioReader(ref))
        for source in (mic, ref):
            if source is not None and Path(out).exists() and Path(out).samefile(source):
                raise ArgumentError(f"{out}: an input too; expected another name")
        recording: Recording
        if cross:
            recording = CrossTalk(stream_source(reader), reader.name)
        else:
            recording = SharedReference(stream_source(reader), ref_reader, rule)
        encoding = choose_output(out, reader, subtype)
        if model is None:
            heard = cross or ref is not None or ref_channel is not None
            model = best_model(reader.rate, has_ref=heard, settings=chosen)
        loaded = stack.enter_context(opened(model))
        enhancer = stack.enter_context(
            Enhancer(recording, loaded, options, chosen, losses, workers)
        )
        writer = stack.enter_context(
            open_output(out, channels=recording.sides, like=reader, encoding=encoding)
        )
        for block in at_source_rate(enhancer.blocks(), recording.rate, reader):
            writer.write(block)
            if progress is not None:
                progress(writer.frames / reader.rate, reader.seconds)
        readers = (reader,) if ref_reader is None else (reader, ref_reader)
        notes = tuple(each.note for each in readers if each.note is not None)
        model_source, seconds = loaded.source, reader.seconds
        missing_s = 0.0 if ref_reader is None else max(0.0, seconds - ref_reader.seconds)
    elapsed = time.monotonic() - start
    return EnhanceReport(
        **asdict(enhancer.figures()),
        mic=os.fspath(mic),
        ref=None if ref is None else os.fspath(ref),
        out=os.fspath(out),
        model=model_source,
        sample_rate=reader.rate,
        channels=recording.sides,
        seconds=seconds,
        format=encoding[0],
        subtype=encoding[1],
        ref_missing_s=missing_s,
        clipped_samples=writer.clipped,
        sides=enhancer.sides,
        notes=notes,
        elapsed_s=elapsed,
        speed=seconds / elapsed,
    )
