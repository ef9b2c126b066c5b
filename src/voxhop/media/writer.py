"""Sound into containers that libsndfile does not write, beside the untouched picture."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError, AudioFileError
from voxhop.io import target_of
from voxhop.media.partial import WholeFile, partial_beside
from voxhop.media.reader import cause, import_av, moves, open_container

if TYPE_CHECKING:
    from voxhop.io import AudioReader
    from voxhop.media.formats import Floats

# suffix -> container, encoder
MEDIA_SUFFIXES: Final = {
    ".aac": ("adts", "aac"),
    ".m4a": ("ipod", "aac"),
    ".m4v": ("mp4", "aac"),
    ".mka": ("matroska", "flac"),
    ".mkv": ("matroska", "flac"),
    ".mov": ("mov", "aac"),
    ".mp4": ("mp4", "aac"),
    ".webm": ("webm", "libopus"),
    ".wma": ("asf", "wmav2"),
}
_WITH_PICTURE: Final = (".m4v", ".mkv", ".mov", ".mp4", ".webm")
_LAYOUTS: Final = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_BITS_PER_CHANNEL: Final = 96_000
_OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)
_WMA_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES: Final = (*_WMA_RATES, 64000, 88200, 96000)


def media_encoding(out: str | os.PathLike[str], subtype: str | None) -> tuple[str, str]:
    """Return container and codec of an output file, as libsndfile's names would be.

    Raises
    ------
    ArgumentError
        For a subtype: these files have one encoding each.
    """
    container, codec = MEDIA_SUFFIXES[Path(out).suffix.lower()]
    if subtype is not None:
        raise ArgumentError(f"{out}: subtype {subtype}, expected none with this kind of file")
    return container.upper(), codec.removeprefix("lib").upper()


class MediaWriter(WholeFile):
    """A sound track that appears under its name when it is complete; a context manager.

    The pictures, titles and chapters of `like` are copied as they are where the new file can
    hold them, and the sound keeps its place beside them.

    Parameters
    ----------
    path
        The file to make; replaced if it exists.
    rate, channels
        Of the samples that `write` gets. A codec without that rate gets the next one above.
    like
        The recording that the sound comes from.

    Attributes
    ----------
    frames, clipped
        Samples per channel so far; samples beyond full scale that were cut to it.

    Raises
    ------
    AudioFileError
        When the file cannot be made, or cannot hold these pictures or channels.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, rate: int, channels: int, like: AudioReader
    ) -> None:
        from fractions import Fraction  # noqa: PLC0415 - media alone need it

        self._name, self._rate = str(path), rate
        self._av = import_av(self._name, "write")
        self._tick = Fraction(1, rate)
        self._target = target_of(path)
        self._partial = partial_beside(self._target)
        self.frames = self.clipped = 0
        self._layout = _LAYOUTS.get(channels)
        if self._layout is None:
            raise AudioFileError(f"{path}: {channels} channels, expected 1, 2, 6 or 8")
        self._start_s = 0.0
        self._source: Any = None
        self._packets: Any = iter(())
        self._next: Any = None
        self._undated: list[Any] = []
        suffix = Path(path).suffix.lower()
        container, codec = MEDIA_SUFFIXES[suffix]
        self._out: Any = None
        try:
            self._out = open_container(self._av, self._partial, "w", container)
            self._copied = self._copy(like) if suffix in _WITH_PICTURE else {}
            self._sound = self._out.add_stream(codec, rate=_fitting(codec, rate))
            self._sound.codec_context.layout = self._layout
            if codec != "flac":
                self._sound.codec_context.bit_rate = _BITS_PER_CHANNEL * channels
            self._out.start_encoding()
        except (self._av.FFmpegError, ValueError, OSError) as error:
            self.discard()
            raise self._cannot(error) from error

    def write(self, block: Floats) -> None:
        """Append ``(frames, channels)`` float32 samples, and the pictures up to there."""
        if not len(block):
            return
        self.clipped += int(np.count_nonzero(np.abs(block) > 1.0))
        packed = np.ascontiguousarray(np.clip(block, -1.0, 1.0)).reshape(1, -1)
        frame = self._av.AudioFrame.from_ndarray(packed, format="flt", layout=self._layout)
        frame.sample_rate = self._rate
        frame.time_base = self._tick
        frame.pts = self.frames + round(self._start_s * self._rate)
        try:
            self._out.mux(self._sound.encode(frame))
            self.frames += len(block)
            self._mux_pictures(self._start_s + self.frames / self._rate)
        except (self._av.FFmpegError, ValueError, OSError) as error:
            raise self._cannot(error) from error

    def commit(self) -> None:
        """Complete the file and give it its name."""
        try:
            self._out.mux(self._sound.encode(None))
            self._mux_pictures(None)
            self._out.close()
            with self._partial.open("rb+") as file:
                os.fsync(file.fileno())
            self._partial.replace(self._target)
        except (self._av.FFmpegError, ValueError, OSError) as error:
            raise self._cannot(error) from error

    def discard(self) -> None:
        """Remove what was written; nothing after `commit`."""
        for container in (self._source, self._out):
            if container is not None:
                with contextlib.suppress(self._av.FFmpegError, OSError):
                    container.close()
        self._partial.unlink(missing_ok=True)

    def _copy(self, like: AudioReader) -> dict[int, Any]:
        """Take over what is not sound; return the new streams by the index of the old."""
        if not like.has_video:
            return {}
        self._source = open_container(self._av, like.path)
        self._start_s = (self._source.start_time or 0) / self._av.time_base
        self._out.metadata.update(self._source.metadata)
        copied = {}
        for stream in self._source.streams.video:
            if moves(stream):
                new = self._out.add_stream_from_template(stream)
                new.metadata.update(stream.metadata)
                copied[stream.index] = new
        self._packets = self._source.demux(*(self._source.streams[i] for i in copied))
        return copied

    def _mux_pictures(self, until_s: float | None) -> None:
        """Copy packets that belong before `until_s`; None: all that are left."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            packet = self._next
            if packet is None:
                return
            if packet.dts is None:
                # Matroska gives only the time to show; the first pictures in an order of their
                # own get their time from the next. The empty packet is the end of a stream.
                self._next = None
                if packet.size:
                    self._undated.append(packet)
                continue
            if until_s is not None and packet.dts * packet.time_base > until_s:
                return
            for i, earlier in enumerate(reversed(self._undated), 1):
                earlier.dts = packet.dts - i * (packet.duration or 1)
            for dated in (*self._undated, packet):
                dated.stream = self._copied[dated.stream_index]
                self._out.mux(dated)
            self._undated.clear()
            self._next = None

    def _cannot(self, error: BaseException) -> AudioFileError:
        return AudioFileError(f"{self._name}: cannot be written: {cause(error)}")


def _fitting(codec: str, rate: int) -> int:
    """Return the rate that a codec has for sound of this one: it, the next above, or its top."""
    rates = {"libopus": _OPUS_RATES, "aac": _AAC_RATES, "wmav2": _WMA_RATES}.get(codec)
    if rates is None:
        return rate
    return next((offered for offered in rates if offered >= rate), rates[-1])
