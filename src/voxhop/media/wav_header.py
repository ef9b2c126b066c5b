"""WAV files whose header promises more than there is, or nothing: recorders that died."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_UNKNOWN: Final = (0, 0xFFFFFFFF)  # lengths that a recorder writes before it knows
_EXTENSIBLE: Final = 0xFFFE
# (format tag, bits per sample) -> libsndfile's name
_SUBTYPES: Final = {
    (1, 8): "PCM_U8",
    (1, 16): "PCM_16",
    (1, 24): "PCM_24",
    (1, 32): "PCM_32",
    (3, 32): "FLOAT",
    (3, 64): "DOUBLE",
    (6, 8): "ALAW",
    (7, 8): "ULAW",
}


@dataclass(frozen=True)
class WavHeader:
    """What the header of a WAV file says, and what the file holds.

    Attributes
    ----------
    rate, channels, frame_bytes
        From its format chunk.
    subtype
        libsndfile's name of the encoding; None for one that is not plain samples.
    offset
        Where the samples begin, in bytes.
    promised, found
        Frames by the header and in the file; `promised` is None where the header does not
        know.
    """

    rate: int
    channels: int
    frame_bytes: int
    subtype: str | None
    offset: int
    promised: int | None
    found: int

    @property
    def note(self) -> str | None:
        """What is wrong with it in one line, or None."""
        there = f"{self.found / self.rate:.3f} s are there"
        if self.promised is None:
            return f"the header gives no length, {there}: taken as far as it goes"
        if self.promised > self.found:
            told = f"the header promises {self.promised / self.rate:.3f} s"
            return f"{told}, {there}: taken as far as it goes"
        return None


def read_wav_header(path: Path) -> WavHeader | None:
    """Return what a RIFF WAV file says of itself, or None for any other file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return None
        format_chunk = b""
        while len(chunk := file.read(8)) == 8:  # noqa: PLR2004 - name and length
            name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
            if name == b"data":
                return _judge(format_chunk, length, file.tell(), size)
            if name == b"fmt ":
                format_chunk = file.read(min(length, 64))
                file.seek(length - len(format_chunk) + length % 2, os.SEEK_CUR)
            else:
                file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _judge(format_chunk: bytes, length: int, offset: int, size: int) -> WavHeader | None:
    if len(format_chunk) < 16:  # noqa: PLR2004 - the fixed part of it
        return None
    tag, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", format_chunk[:16])
    if tag == _EXTENSIBLE and len(format_chunk) >= 26:  # noqa: PLR2004 - up to the tag in its GUID
        tag = struct.unpack("<H", format_chunk[24:26])[0]
    if not (rate and channels and frame_bytes):
        return None
    found = (size - offset) // frame_bytes
    # An empty recording is no recorder that died.
    unknown = length in _UNKNOWN and found > 0
    return WavHeader(
        rate,
        channels,
        frame_bytes,
        _SUBTYPES.get((tag, bits)),
        offset,
        None if unknown else length // frame_bytes,
        found,
    )


class Samples(io.RawIOBase):
    """The samples of a WAV file as a file of their own.

    Parameters
    ----------
    path, header
        The file, and what `read_wav_header` found.
    """

    def __init__(self, path: Path, header: WavHeader) -> None:
        self._file = path.open("rb")
        self._start, self._size = header.offset, header.found * header.frame_bytes
        self._at = 0

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, counted from the first sample."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, counted from the first sample."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """Fill `buffer` as far as there are samples; return how many bytes that were."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._start + self._at)
        count = self._file.readinto(view[: max(0, min(len(view), self._size - self._at))])
        self._at += count
        return count

    def close(self) -> None:
        """Close the file. May be repeated."""
        self._file.close()
        super().close()
