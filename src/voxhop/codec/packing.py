"""Codes as bits: 5 per code, frame after frame, the most significant bit first.

A frame of 6 kbit/s is 24 codes in 15 bytes. Its first 20 bits are the frame of 1 kbit/s, of
which two make 5 bytes; an odd last one is filled up with 4 zero bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError, DtypeError, ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

    Codes = npt.NDArray[np.uint8]

CODE_BITS: Final = 5
CODE_VALUES: Final = 1 << CODE_BITS
GROUPS: Final[dict[int, int]] = {1: 4, 6: 24}  # codes per frame by kbit/s
MOST_GROUPS: Final = GROUPS[6]
CODEC_RATE: Final = 24000
FRAME_SAMPLES: Final = 480


def groups_of(kbps: int) -> int:
    """Return how many codes a frame of so many kbit/s has."""
    if kbps not in GROUPS:
        raise ArgumentError(f"kbps: {kbps!r}, expected 1 or 6")
    return GROUPS[kbps]


def checked_codes(codes: npt.NDArray[Any]) -> Codes:
    """Return codes as ``uint8``.

    Parameters
    ----------
    codes
        Integers from 0 to 31, ``(n, 24)`` or ``(n, 4)``.

    Raises
    ------
    DtypeError, ShapeError, ArgumentError
        For what they are not.
    """
    array = np.asarray(codes)
    if array.dtype.kind not in "iu":
        raise DtypeError(f"codes: dtype {array.dtype}, expected uint8")
    if array.ndim != 2 or array.shape[1] not in GROUPS.values():  # noqa: PLR2004
        raise ShapeError(f"codes: shape {array.shape}, expected (n, 24) or (n, 4)")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < CODE_VALUES:
        raise ArgumentError(
            f"codes: values {array.min()} to {array.max()}, expected 0 to {CODE_VALUES - 1}"
        )
    return array.astype(np.uint8, copy=False)


def packed_bytes(frames: int, kbps: int = 6) -> int:
    """Return how many bytes so many frames take."""
    return (frames * groups_of(kbps) * CODE_BITS + 7) // 8


def pack_codes(codes: npt.NDArray[Any], kbps: int = 6) -> bytes:
    """Pack frames of codes.

    Parameters
    ----------
    codes
        ``(n, 24)``, or ``(n, 4)`` for 1 kbit/s; integers from 0 to 31.
    kbps
        6, or 1 to keep the first four codes of each frame only.

    Returns
    -------
    bytes
        `packed_bytes` of them.

    Raises
    ------
    DtypeError, ShapeError, ArgumentError
        For codes that are none, too few per frame, or another `kbps`.
    """
    groups, array = groups_of(kbps), checked_codes(codes)
    if array.shape[1] < groups:
        raise ShapeError(f"codes: shape {array.shape}, expected (n, {groups}) for {kbps} kbit/s")
    high_first = np.arange(CODE_BITS - 1, -1, -1, dtype=np.uint8)
    bits = (array[:, :groups, None] >> high_first) & 1
    return np.packbits(bits).tobytes()


def unpack_codes(
    data: bytes | memoryview, kbps: int = 6, *, frames: int | None = None, first: int = 0
) -> Codes:
    """Unpack frames of codes.

    Parameters
    ----------
    data
        What `pack_codes` gave for a whole number of frames.
    kbps
        1 or 6.
    frames
        How many; all from `first` when None.
    first
        The first one to unpack. Nothing before it is read.

    Returns
    -------
    numpy.ndarray
        ``(n, 24)`` or ``(n, 4)`` uint8.

    Raises
    ------
    ShapeError
        When there are not so many frames, or the bytes are no whole number of them.
    """
    per_frame = groups_of(kbps) * CODE_BITS
    held = len(data) * 8 // per_frame
    if len(data) != packed_bytes(held, kbps):
        raise ShapeError(
            f"data: {len(data)} bytes, expected {packed_bytes(held, kbps)} or "
            f"{packed_bytes(held + 1, kbps)} for whole frames of {kbps} kbit/s"
        )
    frames = held - first if frames is None else frames
    if first < 0 or frames < 0 or first + frames > held:
        raise ShapeError(f"frames {first} to {first + frames}, expected 0 to {held}")
    start, stop = first * per_frame, (first + frames) * per_frame
    octets = np.frombuffer(data, np.uint8)[start // 8 : (stop + 7) // 8]
    bits = np.unpackbits(octets)[start % 8 :][: stop - start]
    return codes_of_bits(bits.reshape(frames, per_frame))


def codes_of_bits(bits: Codes) -> Codes:
    """Return the codes of rows of bits, each a 0 or a 1: (n, 5 g) -> (n, g)."""
    rows = bits.reshape(len(bits), bits.shape[1] // CODE_BITS, CODE_BITS)
    return rows @ (1 << np.arange(CODE_BITS - 1, -1, -1)).astype(np.uint8)
