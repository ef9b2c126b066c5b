"""A talker and a listener: packets of coded speech, any rate and block on both ends.

A packet is 4 bytes and its frames: u16 number of the first frame (it wraps), u8 kbit/s, u8 how
many frames, little-endian; then the frames, packed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.codec.coder import CodecDecoder, CodecEncoder, enhancer_before, sound_dtype
from voxhop.codec.packing import GROUPS, groups_of, pack_codes, packed_bytes, unpack_codes
from voxhop.engine.closing import Closing
from voxhop.errors import ArgumentError, CodecFileError
from voxhop.files.offline import opened
from voxhop.media.formats import check_rate, from_float, to_float
from voxhop.media.sources import Converter
from voxhop.models import load
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.codec.coder import ModelSource
    from voxhop.codec.packing import Codes

_HEADER: Final = struct.Struct("<HBB")
_WRAP: Final = 1 << 16
_MOST_FRAMES: Final = 255


class CodecTalker(Closing):
    """Sound in, packets out. A context manager; belongs to one thread at a time.

    Parameters
    ----------
    model
        A codec's model with an encoder: loaded, or what `voxhop.load` takes.
    sample_rate
        Of what is pushed, Hz, any.
    kbps
        6 or 1; `CodecTalker.kbps` may change at any time and holds from the next packet on.
    frames
        Frames of 20 ms per packet, 1 to 255.
    enhance
        Take away noise and reverberation: by the model's front-end, or, where it has none, by the
        enhancer inside the package that serves 24 kHz best, whose latency comes on top.
    **options
        As for `CodecEncoder`.

    Attributes
    ----------
    kbps
        Of the next packet.
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        sample_rate: int = 24000,
        kbps: int = 6,
        frames: int = 1,
        enhance: bool = False,
        **options: Any,  # noqa: ANN401 - Session's
    ) -> None:
        if not 1 <= frames <= _MOST_FRAMES:
            raise ArgumentError(f"frames: {frames}, expected 1 to {_MOST_FRAMES}")
        groups_of(kbps)
        rate = check_rate("sample_rate", sample_rate)
        self.kbps, self._frames = kbps, frames
        with opened(model) as loaded:
            before = enhancer_before(loaded) if enhance else None
            self._encoder = CodecEncoder(loaded, enhance=enhance and before is None, **options)
        self._enhancer = None if before is None else _enhancer(before, self._encoder.sample_rate)
        self._converter = _converter(rate, self._encoder.sample_rate)
        self._waiting: Codes = np.zeros((0, self._encoder.groups), np.uint8)
        self._number = 0

    def push(self, pcm: npt.NDArray[Any]) -> list[bytes]:
        """Take samples and return the packets that they complete, often none.

        Parameters
        ----------
        pcm
            ``(n,)`` or ``(n, channels)``, which are averaged; float32, float64, int16 or int32.
        """
        if isinstance(pcm, np.ndarray) and pcm.size == 0:
            return []
        mono = to_float("pcm", pcm).mean(axis=1, dtype=np.float32)
        return self._packets(self._codes(_converted(self._converter, mono)))

    def flush(self) -> list[bytes]:
        """Return the packets that complete the last samples, the last of them perhaps short."""
        rest = _converted(self._converter, np.zeros(0, np.float32), last=True)
        parts = [self._codes(rest)]
        if self._enhancer is not None:
            parts.append(self._encoder.push(self._enhancer.flush()))
        codes = np.concatenate((*parts, self._encoder.flush()))
        packets = self._packets(codes)
        if len(self._waiting):
            packets.append(self._packet(len(self._waiting)))
        return packets

    def close(self) -> None:
        """Give the native memory back. May be repeated."""
        self._encoder.close()
        if self._enhancer is not None:
            self._enhancer.close()

    def _codes(self, spoken: npt.NDArray[np.float32]) -> Codes:
        if self._enhancer is not None:
            spoken = self._enhancer.process(spoken)
        return self._encoder.push(spoken)

    def _packets(self, codes: Codes) -> list[bytes]:
        self._waiting = np.concatenate((self._waiting, codes))
        return [self._packet(self._frames) for _ in range(len(self._waiting) // self._frames)]

    def _packet(self, frames: int) -> bytes:
        header = _HEADER.pack(self._number % _WRAP, self.kbps, frames)
        packed = pack_codes(self._waiting[:frames], self.kbps)
        self._waiting = self._waiting[frames:]
        self._number += frames
        return header + packed


@dataclass(frozen=True)
class ListenerMetrics:
    """What a `CodecListener` met so far, in frames.

    Attributes
    ----------
    heard, concealed
        That were decoded, and in whose place sound was made up.
    late, doubled, dropped
        That came too late, twice, or when more waited than may.
    waiting
        That wait now.
    """

    heard: int
    concealed: int
    late: int
    doubled: int
    dropped: int
    waiting: int


class CodecListener(Closing):
    """Packets in, in any order, sound out. A context manager; belongs to one thread at a time.

    Parameters
    ----------
    model
        A codec's model with a decoder: loaded, or what `voxhop.load` takes.
    sample_rate
        Of what is pulled, Hz, any.
    wait_frames
        Frames that have to wait before the first is heard: what packets may come late by.
    most_frames
        Frames that may wait; beyond it the oldest are dropped, so that delay does not grow. A
        packet that is further than this from what is expected begins a new stream.
    **options
        As for `CodecEncoder`.
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        sample_rate: int = 24000,
        wait_frames: int = 3,
        most_frames: int = 50,
        **options: Any,  # noqa: ANN401 - Session's
    ) -> None:
        if not 1 <= wait_frames <= most_frames < _WRAP // 2:
            raise ArgumentError(
                f"wait_frames {wait_frames}, most_frames {most_frames}: expected 1 or more, and "
                f"no fewer in all, below {_WRAP // 2}"
            )
        rate = check_rate("sample_rate", sample_rate)
        self._decoder = CodecDecoder(model, **options)
        self._converter = _converter(self._decoder.sample_rate, rate)
        self._wait, self._most = wait_frames, most_frames
        self._frames: dict[int, tuple[int, Codes]] = {}  # by number, unwrapped
        self._next: int | None = None  # the number that is heard next
        self._playing = False
        self._ready = np.zeros(0, np.float32)
        self._heard = self._concealed = self._late = self._doubled = self._dropped = 0

    def push(self, packet: bytes | bytearray | memoryview) -> None:
        """Take a packet, early, late or doubled.

        Raises
        ------
        CodecFileError
            When it is no packet; nothing is taken.
        """
        first, kbps, codes = _parse(bytes(packet))
        if self._next is None:
            self._next = first
        # The number that is nearest to what is expected.
        ahead = (first - self._next + _WRAP // 2) % _WRAP - _WRAP // 2
        if abs(ahead) > self._most:  # the talker started again, or was away for long
            self._frames.clear()
            self._next, self._playing, ahead = first, False, 0
        if not self._playing and ahead < 0:  # a packet overtook the first one
            self._next += ahead
            ahead = 0
        for i, row in enumerate(codes):
            self._take(self._next + ahead + i, kbps, row[None])

    def pull(self, samples: int, *, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        """Return the next samples, silence before the first packets.

        Parameters
        ----------
        samples
            How many, at the listener's rate.
        dtype
            float32 or int16.
        """
        if samples < 0:
            raise ArgumentError(f"samples: {samples}, expected 0 or more")
        wanted = sound_dtype(dtype)
        while len(self._ready) < samples:
            more = _converted(self._converter, self._frame())
            self._ready = np.concatenate((self._ready, more))
        out, self._ready = self._ready[:samples], self._ready[samples:]
        return from_float(out, wanted)

    @property
    def metrics(self) -> ListenerMetrics:
        """What was met so far."""
        return ListenerMetrics(
            heard=self._heard,
            concealed=self._concealed,
            late=self._late,
            doubled=self._doubled,
            dropped=self._dropped,
            waiting=len(self._frames),
        )

    def close(self) -> None:
        """Give the native memory back. May be repeated."""
        self._decoder.close()

    def _take(self, number: int, kbps: int, row: Codes) -> None:
        assert self._next is not None  # noqa: S101 - set by the first packet
        if number < self._next:
            self._late += 1
        elif number in self._frames:
            self._doubled += 1
        else:
            self._frames[number] = (kbps, row)
        while len(self._frames) > self._most:
            oldest = min(self._frames)
            del self._frames[oldest]
            self._next = oldest + 1
            self._dropped += 1

    def _frame(self) -> npt.NDArray[np.float32]:
        """Return the sound of the next 20 ms."""
        silence = np.zeros(self._decoder.frame_length, np.float32)
        if not self._playing:
            if len(self._frames) < self._wait:
                return silence
            self._playing = True
        assert self._next is not None  # noqa: S101 - there are frames
        found = self._frames.pop(self._next, None)
        if found is not None:
            self._heard += 1
            self._next += 1
            return self._decoder.push(found[1], found[0])
        self._concealed += 1
        if self._frames:  # later ones are there: this one will not come in time
            self._next += 1
        return self._decoder.conceal()


def _parse(packet: bytes) -> tuple[int, int, Codes]:
    if len(packet) < _HEADER.size:
        raise CodecFileError(f"packet: {len(packet)} bytes, expected a header of {_HEADER.size}")
    first, kbps, frames = _HEADER.unpack_from(packet)
    if kbps not in GROUPS or frames == 0:
        raise CodecFileError(f"packet: {frames} frames of {kbps} kbit/s, expected 1 or 6 kbit/s")
    size = _HEADER.size + packed_bytes(frames, kbps)
    if len(packet) != size:
        raise CodecFileError(f"packet: {len(packet)} bytes, expected {size}")
    return first, kbps, unpack_codes(packet[_HEADER.size :], kbps, frames=frames)


def _enhancer(name: str, rate: int) -> Stream:
    with load(name) as model:
        return Stream(model, sample_rate=rate, delay_ms=0.0)


def _converter(rate: int, to_rate: int) -> Converter | None:
    return None if rate == to_rate else Converter(rate, to_rate, 1)


def _converted(
    converter: Converter | None, mono: npt.NDArray[np.float32], *, last: bool = False
) -> npt.NDArray[np.float32]:
    return mono if converter is None else converter.convert(mono[:, None], last=last)[:, 0]
