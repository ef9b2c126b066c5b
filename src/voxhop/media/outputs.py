"""Which writer makes an output file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from voxhop.io import AudioWriter, choose_encoding
from voxhop.media.writer import MEDIA_SUFFIXES, MediaWriter, media_encoding

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from voxhop.io import AudioReader
    from voxhop.media.formats import Floats


class Output(Protocol):
    """A file that appears when it is complete, as `AudioWriter` makes one."""

    frames: int
    clipped: int

    def write(self, block: Floats) -> None:
        """Append ``(frames, channels)`` float32 samples."""

    def __enter__(self) -> Output: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def choose_output(
    out: str | os.PathLike[str], like: AudioReader, subtype: str | None
) -> tuple[str, str]:
    """Return format and subtype of an output file, by its suffix and the recording.

    Raises
    ------
    ArgumentError
        For a suffix or a subtype that cannot be written.
    """
    if _by_pyav(out):
        return media_encoding(out, subtype)
    return choose_encoding(out, like, subtype, also=tuple(MEDIA_SUFFIXES))


def open_output(
    out: str | os.PathLike[str],
    *,
    channels: int,
    like: AudioReader,
    encoding: tuple[str, str],
    rate: int | None = None,
) -> Output:
    """Return the writer of an output file with the pictures of `like`, and its rate or another.

    Raises
    ------
    AudioFileError
        When the file cannot be made.
    """
    if _by_pyav(out):
        return MediaWriter(out, rate=rate or like.rate, channels=channels, like=like)
    return AudioWriter(out, rate=rate or like.rate, channels=channels, encoding=encoding)


def _by_pyav(out: str | os.PathLike[str]) -> bool:
    return Path(out).suffix.lower() in MEDIA_SUFFIXES
