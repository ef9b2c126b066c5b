"""The speech codec: live, whole recordings, bits and files."""

from voxhop.codec.coder import CodecDecoder, CodecEncoder
from voxhop.codec.container import (
    SUFFIX,
    Container,
    ContainerWriter,
    is_coded,
    parse_container,
    reduce_container,
)
from voxhop.codec.live import CodecListener, CodecTalker, ListenerMetrics
from voxhop.codec.packing import pack_codes, packed_bytes, unpack_codes
from voxhop.codec.recordings import (
    DEFAULT_CODEC,
    CodecReport,
    decode,
    decode_file,
    encode,
    encode_file,
    read_container,
)

__all__ = [
    "DEFAULT_CODEC",
    "SUFFIX",
    "CodecDecoder",
    "CodecEncoder",
    "CodecListener",
    "CodecReport",
    "CodecTalker",
    "Container",
    "ContainerWriter",
    "ListenerMetrics",
    "decode",
    "decode_file",
    "encode",
    "encode_file",
    "is_coded",
    "pack_codes",
    "packed_bytes",
    "parse_container",
    "read_container",
    "reduce_container",
    "unpack_codes",
]
