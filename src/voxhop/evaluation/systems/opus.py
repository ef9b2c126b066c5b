"""Opus: the codec, and its concealment of packets that did not arrive.

Uses the shared library ``libopus``, found on this machine when the system is made
(Debian: ``apt install libopus0``, macOS: ``brew install opus``).
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.evaluation.systems.outside import declare, find_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from voxhop.evaluation.systems.outside import Prototype

    Signal = npt.NDArray[np.float32]

_PACKET_MS: Final = (10.0, 20.0, 40.0, 60.0)
_RATES: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
_KBPS: Final = (6.0, 510.0)
_LONGEST_PACKET: Final = 4000  # bytes, as its documentation advises
# Numbers of opus_defines.h.
_APPLICATION_VOIP: Final = 2048
_SET_BITRATE: Final = 4002
_SET_COMPLEXITY: Final = 4010
_GET_LOOKAHEAD: Final = 4027


class OpusSystem:
    """libopus: every packet coded and decoded, the lost ones concealed by the decoder.

    Parameters
    ----------
    kbps
        Bit rate, 6 to 510.
    packet_ms
        10, 20, 40 or 60.
    complexity
        Of the encoder, 0 to 10.
    """

    def __init__(
        self, *, kbps: float = 32.0, packet_ms: float = 20.0, complexity: int = 10
    ) -> None:
        if not _KBPS[0] <= kbps <= _KBPS[1]:
            raise ArgumentError(f"kbps {kbps:g}, expected {_KBPS[0]:g} to {_KBPS[1]:g}")
        if packet_ms not in _PACKET_MS:
            raise ArgumentError(f"packet_ms {packet_ms:g}, expected one of 10, 20, 40, 60")
        if not 0 <= complexity <= 10:  # noqa: PLR2004 - as its documentation says
            raise ArgumentError(f"complexity {complexity}, expected 0 to 10")
        self._library = _library()
        self._kbps, self._packet_ms, self._complexity = kbps, packet_ms, complexity
        self.name = f"Opus {kbps:g} kbit/s"
        self.delay_samples: int | None = None
        version = self._library.opus_get_version_string().decode()
        self.fingerprint = f"{version} {kbps:g} kbit/s {packet_ms:g} ms complexity {complexity}"

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Code and decode one clip; a reference is not used."""
        return self.conceal(mic, ref, np.zeros(len(mic), np.bool_), sample_rate)

    def conceal(
        self, mic: Signal, ref: Signal | None, lost: npt.NDArray[np.bool_], sample_rate: int
    ) -> Signal:
        """Decode a clip of which the packets with a lost sample in them do not arrive."""
        del ref
        size = self._packet_samples(sample_rate)
        packets: list[bytes | None] = list(self.encode(mic, sample_rate))
        gone: npt.NDArray[np.bool_] = np.add.reduceat(lost, np.arange(0, len(lost), size)) > 0
        arrived = [None if missing else p for p, missing in zip(packets, gone, strict=True)]
        return self.decode(arrived, sample_rate)[: len(mic)]

    def encode(self, mic: Signal, sample_rate: int) -> list[bytes]:
        """Return the packets of a clip, the last one filled up with silence."""
        lib = self._library
        size = self._packet_samples(sample_rate)
        encoder = self._encoder(sample_rate)
        coded = ctypes.create_string_buffer(_LONGEST_PACKET)
        packets = []
        try:
            for i, block in enumerate(np.pad(mic, (0, -len(mic) % size)).reshape(-1, size)):
                length = lib.opus_encode_float(
                    encoder, block.ctypes.data, size, coded, _LONGEST_PACKET
                )
                if length < 0:
                    raise ArgumentError(f"system 'opus': packet {i}: error {length}")
                packets.append(coded.raw[:length])
        finally:
            lib.opus_encoder_destroy(encoder)
        return packets

    def decode(self, packets: Sequence[bytes | None], sample_rate: int) -> Signal:
        """Return the sound of packets, `lookahead` samples late; None is one that was lost."""
        lib, error = self._library, ctypes.c_int()
        size = self._packet_samples(sample_rate)
        out = np.empty((len(packets), size), np.float32)
        decoder = lib.opus_decoder_create(sample_rate, 1, ctypes.byref(error))
        try:
            for i, (packet, block) in enumerate(zip(packets, out, strict=True)):
                length = 0 if packet is None else len(packet)
                made = lib.opus_decode_float(decoder, packet, length, block.ctypes.data, size, 0)
                if made != size:
                    raise ArgumentError(f"system 'opus': packet {i}: error {made}")
        finally:
            lib.opus_decoder_destroy(decoder)
        return out.reshape(-1)

    def lookahead(self, sample_rate: int) -> int:
        """Return by how many samples sound comes later than its packet."""
        encoder = self._encoder(sample_rate)
        found = ctypes.c_int()
        try:
            self._library.opus_encoder_ctl(encoder, _GET_LOOKAHEAD, ctypes.byref(found))
        finally:
            self._library.opus_encoder_destroy(encoder)
        return found.value

    def _packet_samples(self, sample_rate: int) -> int:
        if sample_rate not in _RATES:
            rates = ", ".join(str(rate) for rate in _RATES)
            raise ArgumentError(f"system 'opus': {sample_rate} Hz, expected one of {rates}")
        return round(self._packet_ms * sample_rate / 1000.0)

    def _encoder(self, sample_rate: int) -> int:
        """Return a new encoder's address; destroy it."""
        lib, error = self._library, ctypes.c_int()
        encoder: int = lib.opus_encoder_create(
            sample_rate, 1, _APPLICATION_VOIP, ctypes.byref(error)
        )
        bits = ctypes.c_int(round(1000.0 * self._kbps))
        lib.opus_encoder_ctl(encoder, _SET_BITRATE, bits)
        lib.opus_encoder_ctl(encoder, _SET_COMPLEXITY, ctypes.c_int(self._complexity))
        return encoder


def _library() -> ctypes.CDLL:
    library = find_library("opus", system="opus", debian="libopus0")
    pointer, number = ctypes.c_void_p, ctypes.c_int
    text, out = ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)
    prototypes: list[Prototype] = [
        ("opus_get_version_string", text, []),
        ("opus_encoder_create", pointer, [ctypes.c_int32, number, number, out]),
        ("opus_decoder_create", pointer, [ctypes.c_int32, number, out]),
        ("opus_encode_float", ctypes.c_int32, [pointer, pointer, number, text, ctypes.c_int32]),
        ("opus_decode_float", number, [pointer, text, ctypes.c_int32, pointer, number, number]),
        ("opus_encoder_destroy", None, [pointer]),
        ("opus_decoder_destroy", None, [pointer]),
    ]
    # Variadic: only what comes after the request is checked, by its own type.
    library.opus_encoder_ctl.argtypes = [pointer, number]
    return declare(library, prototypes)
