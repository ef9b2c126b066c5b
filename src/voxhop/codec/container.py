"""Files of coded speech: a header, then the frames.

Little-endian. The header is 33 bytes: magic, u16 version, u16 flags, u32 sample rate and u64
samples of the original, u32 frames, u8 kbit/s, u32 CRC-32 of the payload, u32 CRC-32 of the
header before it. At 1 or 6 kbit/s the payload is the packed frames; at 0 each frame is a byte
that says its kbit/s, and that frame packed alone.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import numpy as np

from voxhop.codec.packing import (
    CODE_BITS,
    CODEC_RATE,
    FRAME_SAMPLES,
    GROUPS,
    checked_codes,
    codes_of_bits,
    groups_of,
    pack_codes,
    packed_bytes,
    unpack_codes,
)
from voxhop.errors import ArgumentError, CodecFileError, StateError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy.typing as npt

    from voxhop.codec.packing import Codes

SUFFIX: Final = ".vxc"
MAGIC: Final = b"VXC\x1a"
VERSION: Final = 1
MIXED: Final = 0  # the kbit/s of a file in which each frame says its own
_ENHANCED: Final = 1  # flag: the codes are those of the front-end for noisy speech
_FIELDS: Final = struct.Struct("<4sHHIQIB")
_CRCS: Final = struct.Struct("<II")
HEADER_BYTES: Final = _FIELDS.size + _CRCS.size
_HIGHEST_RATE: Final = 1_000_000
_BAD_HEADER: Final = "its header is damaged"
# What a header says while its file is being written: a recording that was cut off is read as
# far as it goes.
_UNKNOWN_SAMPLES: Final = (1 << 64) - 1
_UNKNOWN_FRAMES: Final = (1 << 32) - 1


def is_coded(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as coded speech does; False where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def frames_for(samples: int, sample_rate: int = CODEC_RATE) -> int:
    """Return how many frames a recording takes; the last one completes its last samples."""
    at_codec_rate = -(-samples * CODEC_RATE // sample_rate)
    return -(-at_codec_rate // FRAME_SAMPLES) + 1


@dataclass(frozen=True)
class Container:
    """A coded file that was read.

    Attributes
    ----------
    version
        Of the format.
    sample_rate, samples
        Of the original: what decoding gives back. In a damaged file, as far as it is whole.
    frames
        Code frames, 50 per second and one more.
    kbps
        1, 6, or 0 when it changes within the file.
    enhanced
        Whether noise and reverberation were removed by the encoder.
    problem
        What is wrong with the file, None when it is whole.
    """

    version: int
    sample_rate: int
    samples: int
    frames: int
    kbps: int
    enhanced: bool
    problem: str | None
    _payload: memoryview = field(repr=False)
    _starts: npt.NDArray[np.int64] | None = field(repr=False)  # of frames in a mixed payload

    @property
    def seconds(self) -> float:
        """Length of the original."""
        return self.samples / self.sample_rate

    @property
    def payload_bytes(self) -> int:
        """Bytes of the frames."""
        return len(self._payload)

    def modes(self) -> npt.NDArray[np.uint8]:
        """Return the kbit/s of each frame, ``(frames,)``."""
        if self._starts is None:
            return np.full(self.frames, self.kbps, np.uint8)
        return np.frombuffer(self._payload, np.uint8)[self._starts]

    def runs(self, first: int = 0, frames: int | None = None) -> Iterator[tuple[int, Codes]]:
        """Yield stretches of frames of one bit rate, from any frame on.

        Parameters
        ----------
        first
            Frame to begin with. Those before it are not read, unless frames differ in size.
        frames
            How many; all when None.

        Yields
        ------
        kbps : int
        codes : numpy.ndarray
            ``(n, 24)`` or ``(n, 4)`` uint8.

        Raises
        ------
        ArgumentError
            When the file has no such frames.
        """
        frames = self.frames - first if frames is None else frames
        if first < 0 or frames < 0 or first + frames > self.frames:
            raise ArgumentError(f"frames {first} to {first + frames}, expected 0 to {self.frames}")
        if not frames:
            return
        if self._starts is None:
            yield self.kbps, unpack_codes(self._payload, self.kbps, first=first, frames=frames)
            return
        modes = self.modes()[first : first + frames]
        borders = [0, *(np.flatnonzero(np.diff(modes)) + 1).tolist(), frames]
        octets = np.frombuffer(self._payload, np.uint8)
        for start, stop in itertools.pairwise(borders):
            kbps, size = int(modes[start]), packed_bytes(1, int(modes[start]))
            at = self._starts[first + start : first + stop, None] + 1 + np.arange(size)
            bits = np.unpackbits(octets[at], axis=1)
            yield kbps, codes_of_bits(bits[:, : groups_of(kbps) * CODE_BITS])


def parse_container(
    data: bytes | bytearray | memoryview, *, damaged: bool = False, name: str = "data"
) -> Container:
    """Read a coded file.

    Parameters
    ----------
    data
        The whole file. It must stay as it is while the result is in use.
    damaged
        True reads what is cut short or damaged as far as it is whole, and says in `problem`
        what is wrong.
    name
        What messages call the file.

    Raises
    ------
    CodecFileError
        When it is no such file, of a later version, or (unless `damaged`) cut short or damaged.
    """
    view = memoryview(data).cast("B")
    header = _read_header(view, name)
    kbps, rate = header.kbps, header.sample_rate
    payload = view[HEADER_BYTES:]
    starts, whole, used = _layout(payload, kbps, header.frames)
    problem = _problem(header, payload, whole, used)
    if problem and not damaged:
        raise CodecFileError(f"{name}: {problem}")
    available = max(whole - 1, 0) * FRAME_SAMPLES * rate // CODEC_RATE
    return Container(
        version=VERSION,
        sample_rate=rate,
        samples=min(header.samples, available),
        frames=whole,
        kbps=kbps,
        enhanced=bool(header.flags & _ENHANCED),
        problem=problem,
        _payload=payload[:used],
        _starts=starts,
    )


class _Header(NamedTuple):
    """Fields of a header that make sense."""

    flags: int
    sample_rate: int
    samples: int
    frames: int
    kbps: int
    payload_crc: int
    whole: bool  # as its own CRC says


def _read_header(view: memoryview, name: str) -> _Header:
    """Read the header of a file that is one of ours and of this version, whole or not."""
    if bytes(view[:4]) != MAGIC:
        raise CodecFileError(f"{name}: no coded speech: starts with {bytes(view[:4])!r}")
    if len(view) < HEADER_BYTES:
        raise CodecFileError(f"{name}: {len(view)} bytes, expected a header of {HEADER_BYTES}")
    _, version, flags, rate, samples, frames, kbps = _FIELDS.unpack_from(view)
    payload_crc, header_crc = _CRCS.unpack_from(view, _FIELDS.size)
    whole = zlib.crc32(view[: HEADER_BYTES - 4]) == header_crc
    if version != VERSION or flags & ~_ENHANCED:
        raise CodecFileError(
            f"{name}: version {version} with flags {flags}, expected version {VERSION}"
            + ("" if whole else f"; {_BAD_HEADER}")
        )
    if (kbps != MIXED and kbps not in GROUPS) or not 0 < rate <= _HIGHEST_RATE:
        raise CodecFileError(f"{name}: {kbps} kbit/s of sound at {rate} Hz; {_BAD_HEADER}")
    return _Header(flags, rate, samples, frames, kbps, payload_crc, whole)


def _problem(header: _Header, payload: memoryview, whole: int, used: int) -> str | None:
    """Say what is wrong with a file of which so many frames and bytes are whole."""
    problems = [] if header.whole else [_BAD_HEADER]
    needed = frames_for(header.samples, header.sample_rate)
    if whole < header.frames:
        problems.append(f"{whole} of its {header.frames} frames are there")
    elif used < len(payload):
        problems.append(f"{len(payload) - used} bytes follow its last frame")
    if not problems and zlib.crc32(payload) != header.payload_crc:
        problems.append("its frames are damaged")
    if not problems and header.frames < needed:
        problems.append(f"{header.frames} frames, expected {needed} for its samples")
    return "; ".join(problems) or None


def _layout(
    payload: memoryview, kbps: int, frames: int
) -> tuple[npt.NDArray[np.int64] | None, int, int]:
    """Return the start of each frame of a mixed payload, how many are whole, and their bytes."""
    if kbps != MIXED:
        whole = min(frames, len(payload) * 8 // (groups_of(kbps) * CODE_BITS))
        return None, whole, packed_bytes(whole, kbps)
    starts: list[int] = []
    at = 0
    sizes = {mode: 1 + packed_bytes(1, mode) for mode in GROUPS}
    while len(starts) < frames and at < len(payload):
        size = sizes.get(payload[at])
        if size is None or at + size > len(payload):
            break
        starts.append(at)
        at += size
    return np.array(starts, np.int64), len(starts), at


class ContainerWriter:
    """Writes a coded file frame by frame.

    Parameters
    ----------
    file
        Binary, seekable, at its beginning.
    sample_rate
        Of the original, Hz.
    kbps
        1 or 6; 0 lets every `write` choose.
    enhanced
        Whether the codes are those of the front-end for noisy speech.

    Notes
    -----
    Until `finish` the header says that the length is unknown.
    """

    def __init__(
        self, file: BinaryIO, *, sample_rate: int, kbps: int = 6, enhanced: bool = False
    ) -> None:
        if kbps != MIXED:
            groups_of(kbps)
        if not 0 < sample_rate <= _HIGHEST_RATE:
            raise ArgumentError(f"sample_rate: {sample_rate}, expected 1 to {_HIGHEST_RATE}")
        self._file, self._rate, self._kbps = file, sample_rate, kbps
        self._flags = _ENHANCED if enhanced else 0
        self._crc, self.frames = 0, 0
        self._odd: Codes | None = None  # a frame of 1 kbit/s that ends within a byte
        self._finished = False
        file.write(self._header(_UNKNOWN_SAMPLES, _UNKNOWN_FRAMES))

    def write(self, codes: npt.NDArray[Any], kbps: int | None = None) -> None:
        """Append frames.

        Parameters
        ----------
        codes
            ``(n, 24)``, or ``(n, 4)`` at 1 kbit/s.
        kbps
            1 or 6 in a file in which it changes, otherwise the file's own or None.

        Raises
        ------
        ArgumentError, DtypeError, ShapeError
            For codes that do not fit, or another bit rate than the file's.
        StateError
            After `finish`.
        """
        if self._finished:
            raise StateError("container: written to after finish")
        chosen = self._kbps if kbps is None else kbps
        groups_of(chosen)
        if self._kbps not in (MIXED, chosen):
            raise ArgumentError(f"kbps: {chosen}, expected {self._kbps} as the file has")
        array = checked_codes(codes)
        if self._kbps == MIXED:
            mode = bytes([chosen])
            packed = b"".join(mode + pack_codes(row[None], chosen) for row in array)
        else:
            packed = self._joined(array, chosen)
        self.frames += len(array)
        self._append(packed)

    def finish(self, samples: int) -> None:
        """Write what is left and the header; `samples` is the length of the original."""
        if self._finished:
            raise StateError("container: finished twice")
        if self.frames < frames_for(samples, self._rate):
            raise ArgumentError(
                f"samples: {samples} at {self._rate} Hz need {frames_for(samples, self._rate)} "
                f"frames, {self.frames} were written"
            )
        if self._odd is not None:
            self._append(pack_codes(self._odd, 1))
        self._finished = True
        self._file.seek(0)
        self._file.write(self._header(samples, self.frames))

    def _joined(self, codes: Codes, kbps: int) -> bytes:
        """Pack whole bytes; what begins a byte and does not end it waits."""
        codes = codes[:, : groups_of(kbps)]
        if self._odd is not None:
            codes = np.concatenate((self._odd, codes))
        odd = len(codes) % 2 if kbps == 1 else 0
        self._odd = codes[len(codes) - 1 :].copy() if odd else None
        return pack_codes(codes[: len(codes) - odd], kbps)

    def _append(self, packed: bytes) -> None:
        self._crc = zlib.crc32(packed, self._crc)
        self._file.write(packed)

    def _header(self, samples: int, frames: int) -> bytes:
        fields = _FIELDS.pack(
            MAGIC, VERSION, self._flags, self._rate, samples, frames, self._kbps
        ) + struct.pack("<I", self._crc)
        return fields + struct.pack("<I", zlib.crc32(fields))


def reduce_container(container: Container, file: BinaryIO) -> None:
    """Write a file again with 1 kbit/s: of each frame its first 20 bits.

    Parameters
    ----------
    container
        What was read, of any bit rate.
    file
        Binary, seekable, at its beginning.
    """
    rate, enhanced = container.sample_rate, container.enhanced
    writer = ContainerWriter(file, sample_rate=rate, kbps=1, enhanced=enhanced)
    for _, codes in container.runs():
        writer.write(codes)
    writer.finish(container.samples)
