"""Sound that libsndfile does not read, through PyAV: M4A, AAC, AMR, WMA, and videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import AudioFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voxhop.media.formats import Floats

_GAP_S: Final = 0.02  # shorter ones are the rounding of time stamps
_LONGEST_GAP_S: Final = 24 * 3600.0
_HEAD: Final = 16


def looks_like_media(path: Path) -> bool:
    """Return whether the first bytes are those of a container or codec that PyAV is for."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return (
        head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
        or head.startswith((b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"#!AMR", b"ADIF"))
        or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0)  # noqa: PLR2004 - ADTS
    )


def import_av(name: str, verb: str = "read") -> Any:  # noqa: ANN401 - the module
    """Return the module ``av``, which says nothing on the terminal.

    Raises
    ------
    AudioFileError
        When PyAV is not installed; says how to get it and how to do without.
    """
    try:
        import av  # noqa: PLC0415 - an extra
        import av.logging  # noqa: PLC0415 - an extra
    except ImportError as error:
        way = f'ffmpeg -i "{name}" -vn sound.wav' if verb == "read" else "ffmpeg from a WAV file"
        raise AudioFileError(
            f"{name}: cannot be {'read' if verb == 'read' else 'written'} without PyAV: "
            f'pip install "voxhop[av]", or convert it: {way}'
        ) from error
    av.logging.set_level(None)
    return av


def open_container(av: Any, path: Path, mode: str = "r", form: str | None = None) -> Any:  # noqa: ANN401 - the module, a container
    """Open a file whose titles and comments keep their bytes, which need not be UTF-8.

    PyAV has them as surrogates, from version 19 on without being asked.
    """
    keeps = int(av.__version__.partition(".")[0]) >= 19  # noqa: PLR2004
    how = {} if keeps else {"metadata_errors": "surrogateescape"}
    return av.open(str(path), mode, format=form, **how)


class MediaFile:
    """The first sound track of a file, with the attributes that `soundfile.SoundFile` has.

    The file is decoded twice: once to know how long it is and whether it is whole, and once
    for the samples, so memory does not grow with it.

    Parameters
    ----------
    path, name
        The file, and what messages call it.

    Attributes
    ----------
    samplerate, channels, frames, format, subtype
        As libsndfile has them; format and subtype are the names of container and codec.
    has_video
        Whether there are moving pictures too: time 0 is then the beginning of the file, not
        that of the sound.
    note
        What is wrong with the end of it in one line, or None.

    Raises
    ------
    AudioFileError
        When it cannot be read, has no sound, or is damaged before its end.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._av, self._path, self._name = import_av(name), path, name
        self.note: str | None = None
        self._container: Any = None
        self._pieces: Iterator[Floats] = iter(())
        self._rest: Floats = np.zeros((0, 1), np.float32)
        try:
            with self._opened() as container:
                track = self._track(container)
                self.samplerate = int(track.codec_context.sample_rate)
                self.channels = int(track.codec_context.channels)
                self.layout = str(track.codec_context.layout.name)
                self.bit_rate = int(track.codec_context.bit_rate or 0)
                self.format = str(container.format.name).split(",")[0].upper()
                self.subtype = str(track.codec_context.name).upper()
                self.has_video = any(moves(stream) for stream in container.streams.video)
                self.frames = sum(len(piece) for piece in self._decode(container, track))
        except (self._av.FFmpegError, ValueError, OSError) as error:
            raise AudioFileError(f"{name}: cannot be read: {cause(error)}") from error

    def read(self, frames: int, dtype: str = "float32", *, always_2d: bool = True) -> Floats:
        """Return the next ``(frames, channels)`` float32, fewer at the end."""
        if dtype != "float32" or not always_2d:
            raise NotImplementedError(dtype)
        if self._container is None:
            self._container = self._opened()
            self._rest = np.zeros((0, self.channels), np.float32)
            self._pieces = self._decode(self._container, self._track(self._container))
        parts, have = [self._rest], len(self._rest)
        while have < frames and (piece := next(self._pieces, None)) is not None:
            parts.append(piece)
            have += len(piece)
        joined = np.concatenate(parts)
        self._rest = joined[frames:]
        return joined[:frames]

    def close(self) -> None:
        """Close the file. May be repeated."""
        if self._container is not None:
            self._container.close()

    def _opened(self) -> Any:  # noqa: ANN401 - a container
        return open_container(self._av, self._path)

    def _track(self, container: Any) -> Any:  # noqa: ANN401 - of PyAV
        if not container.streams.audio:
            raise AudioFileError(f"{self._name}: has no sound track")
        return container.streams.best("audio") or container.streams.audio[0]

    def _decode(self, container: Any, track: Any) -> Iterator[Floats]:  # noqa: ANN401 - of PyAV
        """Yield float32 pieces, placed by their time stamps: gaps are filled with silence."""
        even = self._av.AudioResampler("flt", self.layout, self.samplerate)
        done, origin, broken = 0, None, None
        if self.has_video:
            origin = (container.start_time or 0) / self._av.time_base
        for frame in self._frames(container, track):
            if isinstance(frame, Exception):
                broken = broken or frame
                continue
            if broken is not None:
                at = done / self.samplerate
                message = f"{self._name}: damaged after {at:.3f} s: {cause(broken)}"
                raise AudioFileError(message) from broken
            at_s = None if frame.time is None else float(frame.time)
            origin = at_s if origin is None else origin
            gap_s = 0.0 if at_s is None else at_s - (origin or 0.0) - done / self.samplerate
            if _GAP_S < gap_s < _LONGEST_GAP_S:
                silence = round(gap_s * self.samplerate)
                done += silence
                yield from self._silence(silence)
            for part in even.resample(frame):
                samples = part.to_ndarray().reshape(-1, self.channels)
                if gap_s < -_GAP_S and not done:
                    samples = samples[round(-gap_s * self.samplerate) :]
                done += len(samples)
                yield samples
        for part in even.resample(None):
            samples = part.to_ndarray().reshape(-1, self.channels)
            done += len(samples)
            yield samples
        if broken is not None:
            self.note = f"damaged after {done / self.samplerate:.3f} s: taken as far as it goes"

    def _frames(self, container: Any, track: Any) -> Iterator[Any]:  # noqa: ANN401 - of PyAV
        """Yield frames, and in place of a packet that cannot be decoded its error."""
        packets = container.demux(track)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
            except self._av.FFmpegError as error:
                yield error
                return
            try:
                yield from packet.decode()
            except self._av.EOFError:
                return
            except self._av.FFmpegError as error:
                yield error

    def _silence(self, frames: int) -> Iterator[Floats]:
        while frames > 0:
            piece = min(frames, self.samplerate)
            frames -= piece
            yield np.zeros((piece, self.channels), np.float32)


def moves(stream: Any) -> bool:  # noqa: ANN401 - of PyAV
    """Return whether a video stream is one, and not the picture on a cover."""
    return "attached_pic" not in str(stream.disposition).lower()


def cause(error: BaseException) -> str:
    """Return why FFmpeg failed, in its own words."""
    return str(getattr(error, "strerror", None) or error).rstrip(".").lower()
