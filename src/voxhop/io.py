"""Read and write audio files; no processing.

``soundfile`` is imported where a file is opened, so that ``import voxhop`` stays light.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from voxhop.engine.closing import Closing
from voxhop.errors import ArgumentError, AudioFileError
from voxhop.media.partial import WholeFile, partial_beside
from voxhop.media.reader import MediaFile, looks_like_media
from voxhop.media.wav_header import Samples, WavHeader, read_wav_header

if TYPE_CHECKING:
    import numpy.typing as npt

_SUFFIXES: Final = {
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".au": "AU",
    ".caf": "CAF",
    ".flac": "FLAC",
    ".mp3": "MP3",
    ".oga": "OGG",
    ".ogg": "OGG",
    ".opus": "OGG",
    ".rf64": "RF64",
    ".w64": "W64",
    ".wav": "WAV",
}
AUDIO_SUFFIXES: Final = tuple(_SUFFIXES)
# Encodings that are worth keeping; 8-bit and telephone codecs would add noise of their own.
_KEPT: Final = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
_LOSSY: Final = ("VORBIS", "OPUS", "MPEG_LAYER_III")
_BYTES: Final = {"PCM_16": 2, "PCM_24": 3, "DOUBLE": 8}
_WAV_LIMIT: Final = 2**32 - 2**16  # bytes that a RIFF header can count, less the header


class AudioReader(Closing):
    """A file of audio, read in blocks from the start. A context manager.

    Parameters
    ----------
    path
        Any file that libsndfile reads: WAV, FLAC, Ogg, MP3, AIFF and others; with PyAV (the
        extra ``av``) also M4A, AAC, AMR, WMA and the sound of videos.

    Attributes
    ----------
    path, name
        The path, and what messages call it.
    rate, channels, frames
        Sample rate in Hz, channels, and samples per channel.
    format, subtype
        libsndfile's names, for example ``"WAV"`` and ``"PCM_24"``.
    has_video
        Whether the file holds moving pictures too.

    Raises
    ------
    AudioFileError
        When the file is missing, unreadable, no audio, or holds no samples.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import soundfile  # noqa: PLC0415 - not needed to import voxhop

        self.path = Path(path)
        self.name = str(path)
        self._position = 0
        self._error = soundfile.LibsndfileError
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "no such file"
            raise AudioFileError(f"{self.name}: {found}, expected an audio file")
        if self.path.stat().st_size == 0:
            raise AudioFileError(f"{self.name}: an empty file, expected audio")
        header = read_wav_header(self.path)
        self._file: Any = self._open(soundfile, header)
        self._note = None if header is None else header.note
        self.has_video = bool(getattr(self._file, "has_video", False))
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype
        if self.frames <= 0:
            self.close()
            raise AudioFileError(f"{self.name}: holds no samples")

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    @property
    def note(self) -> str | None:
        """What is wrong with the end of the file, in one line that names it, or None.

        Its header promises more than there is, or gives no length, or its last samples are
        damaged: what is there is read.
        """
        note = self._note or getattr(self._file, "note", None)
        return None if note is None else f"{self.name}: {note}"

    def _open(self, soundfile: Any, header: WavHeader | None) -> Any:  # noqa: ANN401 - one of two
        """Return what reads the file: libsndfile, or PyAV for what that does not know."""
        try:
            if header is not None and header.promised is None and header.subtype is not None:
                return soundfile.SoundFile(
                    Samples(self.path, header),
                    "r",
                    header.rate,
                    header.channels,
                    header.subtype,
                    "LITTLE",
                    "RAW",
                )
            return soundfile.SoundFile(self.path)
        except (soundfile.LibsndfileError, OSError) as error:
            if self.path.suffix.lower() not in _SUFFIXES or looks_like_media(self.path):
                return MediaFile(self.path, self.name)
            raise AudioFileError(f"{self.name}: cannot be read: {_reason(error)}") from error

    def read(self, frames: int) -> npt.NDArray[np.float32]:
        """Return the next block, ``(frames, channels)`` float32 in about [-1, 1].

        Shorter at the end of the file, and ``(0, channels)`` after it.

        Raises
        ------
        AudioFileError
            When the file is damaged, ends before its header says, or holds samples that
            are not finite.
        """
        expected = min(frames, self.frames - self._position)
        try:
            block = self._file.read(expected, dtype="float32", always_2d=True)
        except (self._error, OSError) as error:
            at = self._position / self.rate
            message = f"{self.name}: damaged after {at:.3f} s: {_reason(error)}"
            raise AudioFileError(message) from error
        if len(block) < expected:
            found = self._position + len(block)
            message = f"{self.name}: ends after {found} samples, expected {self.frames}"
            raise AudioFileError(message)
        if not np.isfinite(block).all():
            first = self._position + int(np.argmax(~np.isfinite(block).all(axis=1)))
            message = f"{self.name}: sample {first} is not finite ({first / self.rate:.3f} s)"
            raise AudioFileError(message)
        self._position += len(block)
        return np.asarray(block, np.float32)

    def close(self) -> None:
        """Close the file. May be repeated."""
        self._file.close()


class AudioWriter(WholeFile):
    """A file of audio that appears under its name only when it is complete.

    Until then it lies beside it, hidden, with a random name that ends in ``.part``; an error
    removes it, and ``kill -9`` leaves nothing that looks finished. A context manager:
    leaving it without an exception completes the file.

    Parameters
    ----------
    path
        The file to make; replaced if it exists.
    rate, channels
        Sample rate in Hz, and channels.
    encoding
        Format and subtype, from `choose_encoding`.

    Attributes
    ----------
    frames
        Samples per channel so far.
    clipped
        Samples so far that were outside [-1, 1] and were cut to it (integer encodings only).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: int,
        channels: int,
        encoding: tuple[str, str],
    ) -> None:
        import soundfile  # noqa: PLC0415 - not needed to import voxhop

        self._soundfile = soundfile
        self._name = str(path)
        self._target = target_of(path)
        self._encoding = encoding
        self.frames = 0
        self.clipped = 0
        self._partial = partial_beside(self._target)
        try:
            self._file = soundfile.SoundFile(
                self._partial, "w", rate, channels, encoding[1], format=encoding[0]
            )
        except (soundfile.LibsndfileError, OSError) as error:
            message = self._cannot(error)  # which may try to write once more
            self._remove_partial()
            raise AudioFileError(message) from error

    def write(self, block: npt.NDArray[np.float32]) -> None:
        """Append ``(frames, channels)`` float32 samples.

        Raises
        ------
        AudioFileError
            When the disk is full or the file cannot grow for another reason.
        """
        if self._encoding[1].startswith("PCM"):
            self.clipped += int(np.count_nonzero(np.abs(block) > 1.0))
            block = np.clip(block, -1.0, 1.0)
        try:
            self._file.write(block)
        except (self._soundfile.LibsndfileError, OSError) as error:
            raise AudioFileError(self._cannot(error)) from error
        self.frames += len(block)

    def commit(self) -> None:
        """Complete the file: check that all of it is on the disk, and give it its name."""
        try:
            self._file.close()
            self._check_complete()
            with self._partial.open("rb+") as file:
                os.fsync(file.fileno())
            self._partial.replace(self._target)
        except (self._soundfile.LibsndfileError, OSError) as error:
            raise AudioFileError(self._cannot(error)) from error

    def discard(self) -> None:
        """Remove what was written; nothing after `commit`."""
        with contextlib.suppress(self._soundfile.LibsndfileError):
            self._file.close()
        self._remove_partial()

    def _check_complete(self) -> None:
        """Read the last sample back: some encoders lose write errors while they close."""
        with self._soundfile.SoundFile(self._partial) as file:
            last = max(0, self.frames - 1)
            file.seek(last)
            if file.frames < self.frames or len(file.read(self.frames - last)) == 0 < last:
                raise OSError(f"{file.frames} of {self.frames} samples are in the file")

    def _remove_partial(self) -> None:
        self._partial.unlink(missing_ok=True)

    def _cannot(self, error: Exception) -> str:
        return f"{self._name}: cannot be written: {self._cause(error)}"

    def _cause(self, error: Exception) -> str:
        """Return why writing failed.

        libsndfile keeps errno to itself, and some encoders tell of a failed seek when the disk
        is full, so ask the system again.
        """
        if isinstance(error, self._soundfile.LibsndfileError):
            try:
                with self._partial.open("ab") as file:
                    file.write(b"\0" * 65536)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as again:
                return again.strerror or str(again)
        return _reason(error)


class Encoded(Protocol):
    """What decides the encoding of a file that is made from another; see `AudioReader`."""

    @property
    def frames(self) -> int:
        """Samples per channel."""

    @property
    def channels(self) -> int:
        """How many."""

    @property
    def format(self) -> str:
        """Libsndfile's name."""

    @property
    def subtype(self) -> str:
        """Libsndfile's name."""


def choose_encoding(
    out: str | os.PathLike[str],
    like: Encoded,
    subtype: str | None = None,
    *,
    also: tuple[str, ...] = (),
) -> tuple[str, str]:
    """Return libsndfile's format and subtype for an output file.

    The format follows the suffix of `out`; a WAV too long for its header becomes RF64.
    `also` are the suffixes that another writer takes, for the message.
    The subtype is `subtype`, or that of `like` where the format has it and it is 16 bits or
    better, or else the format's own default.

    Raises
    ------
    ArgumentError
        For a suffix that is not known, or a subtype that the format does not have.
    """
    import soundfile  # noqa: PLC0415 - not needed to import voxhop

    suffix = Path(out).suffix.lower()
    if suffix not in _SUFFIXES:
        known = " ".join((*_SUFFIXES, *also))
        raise ArgumentError(f"{out}: suffix {suffix or 'missing'}, expected one of {known}")
    form = _SUFFIXES[suffix]
    if subtype is not None:
        chosen = subtype.upper()
        if not soundfile.check_format(form, chosen):
            known = " ".join(soundfile.available_subtypes(form))
            raise ArgumentError(f"{out}: subtype {subtype}, expected one of {known}")
    elif suffix == ".opus":
        chosen = "OPUS"
    elif _keeps(form, like):
        chosen = like.subtype
    elif like.subtype in _KEPT[1:] and soundfile.check_format(form, "PCM_24"):
        chosen = "PCM_24"
    else:
        chosen = soundfile.default_subtype(form)
    size = like.frames * like.channels * _BYTES.get(chosen, 4)
    return ("RF64" if form == "WAV" and size > _WAV_LIMIT else form), chosen


def _keeps(form: str, like: Encoded) -> bool:
    """Return whether the encoding of `like` exists in the format and is worth keeping."""
    import soundfile  # noqa: PLC0415 - not needed to import voxhop

    if like.subtype in _LOSSY:
        return like.format == form
    return like.subtype in _KEPT and bool(soundfile.check_format(form, like.subtype))


def target_of(path: str | os.PathLike[str]) -> Path:
    """Return the file to replace, symbolic links followed.

    Raises
    ------
    AudioFileError
        When that is a folder or a device, or its folder does not exist.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise AudioFileError(f"{path}: a folder, expected a file name")
    if not target.parent.is_dir():
        raise AudioFileError(f"{path}: no folder {target.parent}")
    if target.exists() and not target.is_file():
        raise AudioFileError(f"{path}: not a regular file, cannot be replaced at once")
    return target


def _reason(error: Any) -> str:  # noqa: ANN401 - an exception of soundfile or the system
    """Return what went wrong, without the path that our own message names already."""
    return str(
        getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    ).rstrip(".")
