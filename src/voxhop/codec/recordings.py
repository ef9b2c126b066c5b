"""Whole recordings coded and decoded: arrays and files."""

from __future__ import annotations

import contextlib
import io
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from voxhop.codec.coder import FRONT_END, CodecDecoder, CodecEncoder, enhancer_before
from voxhop.codec.container import ContainerWriter, frames_for, parse_container
from voxhop.codec.packing import CODEC_RATE, FRAME_SAMPLES
from voxhop.errors import ArgumentError, AudioFileError, CodecFileError
from voxhop.files.enhancer import Enhancer, stream_settings
from voxhop.files.offline import opened
from voxhop.io import AudioReader, AudioWriter, choose_encoding, target_of
from voxhop.media.formats import ChannelRule, check_channel, check_rate, from_float, to_float
from voxhop.media.partial import partial_beside
from voxhop.media.sources import ArraySource, Converter, OneChannel, SharedReference, at_rate
from voxhop.models import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from voxhop.codec.coder import ModelSource
    from voxhop.codec.container import Container
    from voxhop.media.formats import Floats
    from voxhop.media.sources import Source
    from voxhop.models import Model

    FilePath = str | os.PathLike[str]
    Progress = Callable[[float, float], None]

DEFAULT_CODEC: Final = "voxhop-sublime"
_BLOCK_FRAMES: Final = 50
_AHEAD_FRAMES: Final = 10  # more than a conversion of rates looks ahead


@dataclass(frozen=True)
class CodecReport:
    """What `encode_file` or `decode_file` did.

    Attributes
    ----------
    source, out
        The files.
    sample_rate, seconds
        Of the recording.
    kbps, enhanced, frames
        Of the coded file; 0 kbit/s when they change within it.
    enhanced_by
        What took noise and reverberation away: ``"front-end"``, the name of a model that stood
        before the encoder, or empty where nothing did or it is not known.
    coded_bytes
        Its size, header included.
    precision
        That it was computed in, ``"f32"`` and so on.
    notes
        What was found wrong with the source, in one line each.
    elapsed_s, speed
        Wall time, and seconds of audio per second of it.
    """

    source: str
    out: str
    sample_rate: int
    seconds: float
    kbps: int
    enhanced: bool
    enhanced_by: str
    frames: int
    coded_bytes: int
    precision: str
    notes: tuple[str, ...]
    elapsed_s: float
    speed: float


def encode(
    pcm: npt.NDArray[Any],
    *,
    sample_rate: int,
    model: ModelSource = DEFAULT_CODEC,
    kbps: int = 6,
    enhance: bool = False,
    channel: int | None = None,
) -> bytes:
    """Code a recording.

    Parameters
    ----------
    pcm
        ``(n,)`` or ``(n, channels)``; float32 or float64 in about [-1, 1], int16 or int32.
    sample_rate
        In Hz, any: the recording is converted to the codec's 24 kHz.
    model
        A codec's model with an encoder, loaded or what `voxhop.load` takes.
    kbps
        6 or 1.
    enhance
        Take away noise and reverberation: by the model's front-end, or, where it has none, by the
        enhancer inside the package that serves 24 kHz best.
    channel
        Code this channel only. The mean of all channels when None.

    Returns
    -------
    bytes
        A coded file; see ``docs/sublime.md``.

    Raises
    ------
    DtypeError, ShapeError, ArgumentError
        For arrays or options that do not fit, and samples that are not finite.
    ModelFileError
        When the model cannot be loaded.
    """
    source = ArraySource(to_float("pcm", pcm), check_rate("sample_rate", sample_rate))
    file = io.BytesIO()
    with contextlib.ExitStack() as stack:
        encoder, enhancer = _encoding(stack, model, enhance=enhance)
        _encode(source, file, encoder, enhancer, kbps=kbps, enhanced=enhance, channel=channel)
    return file.getvalue()


def decode(
    data: bytes,
    *,
    model: ModelSource = DEFAULT_CODEC,
    kbps: int | None = None,
    start_s: float = 0.0,
    seconds: float | None = None,
    damaged: bool = False,
    dtype: npt.DTypeLike = np.float32,
) -> tuple[npt.NDArray[Any], int]:
    """Decode a coded file.

    Parameters
    ----------
    data
        The whole file.
    model
        The model that it was coded with, or its decoder.
    kbps
        1 decodes the frames' first bits only, as if the file had 1 kbit/s.
    start_s, seconds
        A part of the recording, the same to the bit as that part of the whole. At the codec's
        own rate only what it needs is decoded; at others, all before it too.
    damaged
        True decodes what is cut short or damaged as far as it is whole.
    dtype
        float32, float64, int16 or int32.

    Returns
    -------
    pcm : numpy.ndarray
        ``(n,)``: as many samples as were coded, aligned with them.
    sample_rate : int
        That of the original.

    Raises
    ------
    CodecFileError
        When it is no coded file, or damaged.
    ArgumentError
        For options that do not fit, or a part that the recording does not have.
    ModelFileError
        When the model cannot be loaded.
    """
    container = parse_container(data, damaged=damaged)
    with CodecDecoder(model) as decoder:
        part = _part(container, start_s, seconds)
        blocks = list(_decode(container, decoder, kbps, part))
    samples = np.concatenate([np.zeros(0, np.float32), *blocks])
    return from_float(samples, np.dtype(dtype)), container.sample_rate


def encode_file(
    source: FilePath,
    out: FilePath,
    *,
    model: ModelSource = DEFAULT_CODEC,
    kbps: int = 6,
    enhance: bool = False,
    channel: int | None = None,
    progress: Progress | None = None,
) -> CodecReport:
    """Code a file, in constant memory.

    Parameters
    ----------
    source
        A recording in any format and rate.
    out
        The coded file to make. It appears when it is complete and replaces what was there.
    model, kbps, enhance, channel
        As for `encode`.
    progress
        Called with seconds done and seconds in all, now and then.

    Raises
    ------
    AudioFileError
        When a file cannot be read or written.
    ArgumentError, ModelFileError
        As for `encode`.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(source))
        _refuse_same(source, out)
        encoder, enhancer = _encoding(stack, model, enhance=enhance)
        with _written(out) as file:
            frames = _encode(
                reader,
                file,
                encoder,
                enhancer,
                kbps=kbps,
                enhanced=enhance,
                channel=channel,
                progress=progress,
            )
        notes = () if reader.note is None else (reader.note,)
        elapsed = time.monotonic() - start
        return CodecReport(
            source=str(source),
            out=str(out),
            sample_rate=reader.rate,
            seconds=reader.seconds,
            kbps=kbps,
            enhanced=enhance,
            enhanced_by=_by(enhancer) if enhance else "",
            frames=frames,
            coded_bytes=Path(out).stat().st_size,
            precision=encoder.session.info.precision,
            notes=notes,
            elapsed_s=elapsed,
            speed=reader.seconds / elapsed,
        )


def decode_file(
    source: FilePath,
    out: FilePath,
    *,
    model: ModelSource = DEFAULT_CODEC,
    kbps: int | None = None,
    damaged: bool = False,
    subtype: str | None = None,
    progress: Progress | None = None,
) -> CodecReport:
    """Decode a coded file to a file of sound.

    Parameters
    ----------
    source
        The coded file.
    out
        The file to make, in the format of its suffix, at the rate of the original. It appears
        when it is complete and replaces what was there.
    model, kbps, damaged
        As for `decode`.
    subtype
        Encoding in libsndfile's names; 16 bits where the format has them.
    progress
        Called with seconds done and seconds in all, now and then.

    Raises
    ------
    CodecFileError, AudioFileError
        When a file cannot be read or written, or is damaged.
    ArgumentError, ModelFileError
        As for `decode`.
    """
    start = time.monotonic()
    container = read_container(source, damaged=damaged)
    _refuse_same(source, out)
    if not container.samples:
        raise CodecFileError(f"{source}: holds no samples")
    like = _Decoded(container.samples)
    encoding = choose_encoding(out, like, subtype)
    rate = container.sample_rate
    with (
        CodecDecoder(model) as decoder,
        AudioWriter(out, rate=rate, channels=1, encoding=encoding) as writer,
    ):
        precision = decoder.session.info.precision
        for block in _decode(container, decoder, kbps, (0, container.samples)):
            writer.write(block[:, None])
            if progress is not None:
                progress(writer.frames / rate, container.seconds)
    elapsed = time.monotonic() - start
    return CodecReport(
        source=str(source),
        out=str(out),
        sample_rate=rate,
        seconds=container.seconds,
        kbps=container.kbps if kbps is None else kbps,
        enhanced=container.enhanced,
        enhanced_by="",
        frames=container.frames,
        coded_bytes=Path(source).stat().st_size,
        precision=precision,
        notes=() if container.problem is None else (f"{source}: {container.problem}",),
        elapsed_s=elapsed,
        speed=container.seconds / elapsed,
    )


def read_container(path: FilePath, *, damaged: bool = False) -> Container:
    """Read a coded file; see `parse_container`.

    Raises
    ------
    CodecFileError
        When it cannot be read, is no coded file, or is damaged.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CodecFileError(f"{path}: {error.strerror}, expected a coded file") from error
    return parse_container(data, damaged=damaged, name=str(path))


@dataclass(frozen=True)
class _Decoded:
    """What decides the encoding of a decoded file: 16 bits, where the format has them."""

    frames: int
    channels: int = 1
    format: str = ""
    subtype: str = "PCM_16"


def _encoding(
    stack: contextlib.ExitStack, model: ModelSource, *, enhance: bool
) -> tuple[CodecEncoder, Model | None]:
    """Open an encoder and, where it is to be told clean speech, what stands before it."""
    loaded = stack.enter_context(opened(model))
    before = enhancer_before(loaded) if enhance else None
    encoder = stack.enter_context(CodecEncoder(loaded, enhance=enhance and before is None))
    return encoder, None if before is None else stack.enter_context(load(before))


def _by(enhancer: Model | None) -> str:
    return FRONT_END if enhancer is None else enhancer.info.name


def _encode(
    source: Source,
    file: BinaryIO,
    encoder: CodecEncoder,
    enhancer: Model | None,
    *,
    kbps: int,
    enhanced: bool,
    channel: int | None,
    progress: Progress | None = None,
) -> int:
    """Code a source from its start; return how many frames it took."""
    check_channel("channel", channel, source.channels)
    samples, rate = source.frames, source.rate
    spoken = OneChannel(at_rate(source, encoder.sample_rate), channel)
    # The converter may round the length otherwise.
    left = expected = -(-samples * CODEC_RATE // rate)
    writer = ContainerWriter(file, sample_rate=rate, kbps=kbps, enhanced=enhanced)
    for read in _blocks(spoken, enhancer):
        block = read[:left, 0]
        writer.write(encoder.push(block))
        left -= len(block)
        if progress is not None:
            progress((expected - left) / CODEC_RATE, expected / CODEC_RATE)
    writer.write(encoder.push(np.zeros(left, np.float32)))
    writer.write(encoder.flush())
    writer.finish(samples)
    return writer.frames


def _blocks(spoken: Source, enhancer: Model | None) -> Iterator[Floats]:
    """Yield all of a source, (n, 1), as it is or enhanced."""
    if enhancer is not None:
        heard = SharedReference(spoken, None, ChannelRule())
        with Enhancer(heard, enhancer, None, stream_settings({})) as clean:
            yield from clean.blocks()
        return
    while len(block := spoken.read(_BLOCK_FRAMES * FRAME_SAMPLES)):
        yield block


def _part(container: Container, start_s: float, seconds: float | None) -> tuple[int, int]:
    """Return the first sample of a part at the rate of the original, and the one after it."""
    rate, samples = container.sample_rate, container.samples
    first = round(start_s * rate)
    stop = samples if seconds is None else first + round(seconds * rate)
    if not 0 <= first <= stop <= samples:
        raise ArgumentError(
            f"start_s {start_s}, seconds {seconds}: expected a part of {container.seconds:.3f} s"
        )
    return first, stop


def _decode(
    container: Container, decoder: CodecDecoder, kbps: int | None, part: tuple[int, int]
) -> Iterator[Floats]:
    """Yield the samples of a part in blocks, at the rate of the original."""
    first, stop = part
    rate = container.sample_rate
    converter = None if rate == CODEC_RATE else Converter(CODEC_RATE, rate, 1)
    # A conversion starts with the recording: a part of it is cut from its result.
    begin = 0 if converter is not None else first // FRAME_SAMPLES
    skip = first - (0 if converter is not None else begin * FRAME_SAMPLES)
    left = stop - first
    needed = frames_for(stop, rate) + (0 if converter is None else _AHEAD_FRAMES)
    last = min(container.frames, needed)
    for block in _frames_of_sound(container, decoder, kbps, (begin, last)):
        ready = block if converter is None else converter.convert(block[:, None])[:, 0]
        dropped = min(skip, len(ready))
        skip -= dropped
        ready = ready[dropped:][:left]
        left -= len(ready)
        if len(ready):
            yield ready
    if converter is not None and left:
        ready = converter.convert(np.zeros((0, 1), np.float32), last=True)[skip:, 0][:left]
        yield np.pad(ready, (0, left - len(ready)))


def _frames_of_sound(
    container: Container, decoder: CodecDecoder, kbps: int | None, frames: tuple[int, int]
) -> Iterator[Floats]:
    """Yield the sound of frame times from the first on: times 480 f to 480 (f + 1), and so on.

    The codes that complete frame time f are those of frame f + 1, and the decoder remembers so
    many frames before it.
    """
    first, last = frames
    begin = max(0, first + 1 - decoder.memory_frames)
    unheard = (first + 1 - begin) * FRAME_SAMPLES
    for mode, codes in container.runs(begin, max(0, last - begin)):
        for at in range(0, len(codes), _BLOCK_FRAMES):
            rows = codes[at : at + _BLOCK_FRAMES]
            sound = decoder.push(rows, mode if kbps is None else min(kbps, mode))
            dropped = min(unheard, len(sound))
            unheard -= dropped
            if dropped < len(sound):
                yield sound[dropped:]


def _refuse_same(source: FilePath, out: FilePath) -> None:
    if Path(out).exists() and Path(out).samefile(source):
        raise ArgumentError(f"{out}: an input too; expected another name")


@contextlib.contextmanager
def _written(out: FilePath) -> Iterator[BinaryIO]:
    """Enter with a file that takes the name of `out` when all went well."""
    target = target_of(out)
    partial = partial_beside(target)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise AudioFileError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
