"""Whole recordings as files: `enhance_file`, in constant memory."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxhop._aligned import AlignedEnhancer
from voxhop._formats import ChannelRule
from voxhop._meter import Figures, Tally
from voxhop.errors import ArgumentError
from voxhop.io import AudioReader, AudioWriter, choose_encoding
from voxhop.offline import BLOCK_S, opened, session_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxhop._formats import Floats
    from voxhop.offline import ModelSource
    from voxhop.session_info import SessionOptions

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
    elapsed_s: float
    speed: float


def enhance_file(  # noqa: PLR0913 - keyword-only options
    mic: FilePath,
    out: FilePath,
    *,
    ref: FilePath | None = None,
    model: ModelSource = None,
    mic_channel: int | None = None,
    ref_channel: int | None = None,
    subtype: str | None = None,
    progress: Callable[[float, float], None] | None = None,
    options: SessionOptions | None = None,
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
    model, mic_channel, ref_channel, options
        As for `voxhop.enhance`; with `ref_channel` and no `ref`, that channel of `mic` is
        the reference.
    subtype
        Encoding in libsndfile's names; by default that of `mic` where it fits.
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
        For channels that do not exist, an unknown suffix, or an output that is an input.
    ModelFileError
        When the model cannot be loaded.
    """
    start = time.monotonic()
    rule = ChannelRule(mic_channel, ref_channel)
    tally = Tally()
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(mic))
        ref_reader = None if ref is None else stack.enter_context(AudioReader(ref))
        for source in (mic, ref):
            if source is not None and Path(out).exists() and Path(out).samefile(source):
                raise ArgumentError(f"{out}: an input too; expected another name")
        chosen = rule.mic_channels(reader.channels, has_ref=ref is not None)
        encoding = choose_encoding(out, reader, subtype)
        loaded = stack.enter_context(opened(model))
        recording = _Source(reader, ref_reader, rule)
        enhancers = [
            AlignedEnhancer(
                stack.enter_context(loaded.session(**session_arguments(options))),
                reader.rate,
                recording.ref_rate,
                tally,
            )
            for _ in chosen
        ]
        writer = stack.enter_context(
            AudioWriter(out, rate=reader.rate, channels=len(chosen), encoding=encoding)
        )
        _run(recording, chosen, enhancers, writer, progress or _silent)
        model_source, seconds = loaded.source, reader.seconds
        missing_s = 0.0 if ref_reader is None else max(0.0, seconds - ref_reader.seconds)
    elapsed = time.monotonic() - start
    return EnhanceReport(
        **asdict(tally.figures()),
        mic=os.fspath(mic),
        ref=None if ref is None else os.fspath(ref),
        out=os.fspath(out),
        model=model_source,
        sample_rate=reader.rate,
        channels=len(chosen),
        seconds=seconds,
        format=encoding[0],
        subtype=encoding[1],
        ref_missing_s=missing_s,
        clipped_samples=writer.clipped,
        elapsed_s=elapsed,
        speed=seconds / elapsed,
    )


class _Source:
    """Microphone and reference of one recording, read in blocks of the same stretch of time."""

    def __init__(self, mic: AudioReader, ref: AudioReader | None, rule: ChannelRule) -> None:
        self._mic, self._ref, self._rule = mic, ref, rule
        self.seconds = mic.seconds
        self.ref_rate = mic.rate if ref is None else ref.rate

    def read(self) -> tuple[Floats, Floats | None]:
        """Return the next block ``(n, channels)`` and its reference; n = 0 at the end."""
        mic = self._mic.read(round(BLOCK_S * self._mic.rate))
        if self._ref is None:
            return mic, self._rule.reference(mic, None)
        wanted = -(-len(mic) * self._ref.rate // self._mic.rate)  # cut where the microphone ends
        block = self._ref.read(wanted)
        # Beyond the end of a short reference there is silence.
        padded = np.pad(block, ((0, wanted - len(block)), (0, 0)))
        return mic, self._rule.reference(mic, padded)


def _run(
    source: _Source,
    channels: tuple[int, ...],
    enhancers: list[AlignedEnhancer],
    writer: AudioWriter,
    progress: Callable[[float, float], None],
) -> None:
    """Stream the recording through one enhancer per channel into `writer`."""
    done = 0.0
    while True:
        mic, ref = source.read()
        if not len(mic):
            break
        columns = [
            enhancer.process(np.ascontiguousarray(mic[:, channel]), ref)
            for channel, enhancer in zip(channels, enhancers, strict=True)
        ]
        writer.write(np.stack(columns, axis=1))
        done = min(source.seconds, done + BLOCK_S)
        progress(done, source.seconds)
    writer.write(np.stack([enhancer.finish() for enhancer in enhancers], axis=1))


def _silent(_done_s: float, _total_s: float) -> None:
    pass
