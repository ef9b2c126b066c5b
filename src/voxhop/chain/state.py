"""A chain's state as one blob: a header that names the chain, and parts of any length."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Final

from voxhop.errors import DtypeError, StateError

_MAGIC: Final = b"VXCHAIN1"
_DIGEST: Final = 16
_HEAD: Final = struct.Struct(f"<8s{_DIGEST}sI")
_COUNT: Final = struct.Struct("<I")
_SIZE: Final = struct.Struct("<Q")


def pack_state(identity: str, groups: list[list[bytes]]) -> bytes:
    """Return groups of parts as one blob.

    Parameters
    ----------
    identity
        What makes states of this chain different from those of others.
    groups
        The chain's own parts, then those of each link.
    """
    body = bytearray()
    for parts in groups:
        body += _COUNT.pack(len(parts))
        for part in parts:
            body += _SIZE.pack(len(part)) + part
    return _HEAD.pack(_MAGIC, _digest(identity), zlib.crc32(body)) + bytes(body)


def unpack_state(
    identity: str, blob: bytes | bytearray | memoryview, count: int
) -> list[list[bytes]]:
    """Return the groups of `pack_state`.

    Raises
    ------
    DtypeError
        For what is no bytes.
    StateError
        For a blob that is damaged or of another chain.
    """
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise DtypeError(f"state: {type(blob).__name__}, expected bytes")
    data = bytes(blob)
    if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
        raise StateError(f"state: {len(data)} bytes that are no chain's state")
    _, digest, crc = _HEAD.unpack_from(data)
    if digest != _digest(identity):
        raise StateError("state: of a chain with other links or rates")
    if zlib.crc32(data[_HEAD.size :]) != crc:
        raise StateError("state: damaged")
    groups, at = [], _HEAD.size
    for _ in range(count):
        (parts,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        group = []
        for _ in range(parts):
            (size,) = _SIZE.unpack_from(data, at)
            at += _SIZE.size
            group.append(data[at : at + size])
            at += size
        groups.append(group)
    return groups


def _digest(identity: str) -> bytes:
    return hashlib.blake2b(identity.encode(), digest_size=_DIGEST).digest()
