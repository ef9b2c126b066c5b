"""The speech codec's bits and files."""

from voxhop.codec.container import Container, ContainerWriter, parse_container, reduce_container
from voxhop.codec.packing import pack_codes, packed_bytes, unpack_codes

__all__ = [
    "Container",
    "ContainerWriter",
    "pack_codes",
    "packed_bytes",
    "parse_container",
    "reduce_container",
    "unpack_codes",
]
