"""Speech codecs that a comparison runs: libopus, Codec2, Lyra, and the package's own.

A codec takes a clip at 24 kHz and gives as many samples, aligned with it. Opus and Codec2 are
Debian's `libopus0` and `libcodec2-1.0`; Lyra's weights lie in `lyra/model_coeffs` of the public
repository google/lyra and run with `ai-edge-litert`. Nothing of them is part of this project.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import soxr

import voxhop
from voxhop import CodecDecoder, CodecEncoder, Stream
from voxhop.codec.coder import enhancer_before
from voxhop.evaluation.systems.opus import OpusSystem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from voxhop import Model

    Sound = NDArray[np.float32]

RATE = 24000
FRAME = 480  # 20 ms, and a packet where packets are lost

_LYRA_RATE = 16000
_LYRA_FRAME = 320
_LYRA_BITS = 4  # of a quantiser
_LYRA_MOST = 46  # quantisers
_CODEC2_RATE = 8000
_CODEC2_MODES = {3200: 0, 1300: 4}


class Coded(NamedTuple):
    """A clip that went through a codec.

    Attributes
    ----------
    sound
        As many samples as the clip has.
    encode_s, decode_s
        CPU time of this thread.
    bits
        That were sent.
    """

    sound: Sound
    encode_s: float
    decode_s: float
    bits: int


class Codec(Protocol):
    """What a comparison needs of a codec."""

    name: str
    delay_ms: float  # from a sample to the sound that it may still change, frames filled
    conceals: bool

    def run(self, clip: Sound, lost: Sequence[bool] = ()) -> Coded:
        """Code and decode a clip; `lost` says which of its 20 ms packets did not arrive."""
        ...


class Opus:
    """libopus at 24 kHz, 20 ms per packet, variable rate as by default.

    Parameters
    ----------
    bits_per_second
        Wanted on average.
    """

    conceals = True

    def __init__(self, bits_per_second: int) -> None:
        self._system = OpusSystem(kbps=bits_per_second / 1000)
        self._ahead = self._system.lookahead(RATE)
        self.name = self._system.name
        self.delay_ms = 1000.0 * (FRAME + self._ahead) / RATE

    def run(self, clip: Sound, lost: Sequence[bool] = ()) -> Coded:
        """See `Codec.run`."""
        start = time.thread_time()
        packets = self._system.encode(np.pad(clip, (0, self._ahead)), RATE)
        middle = time.thread_time()
        arrived = [
            None if i < len(lost) and lost[i] else packet for i, packet in enumerate(packets)
        ]
        heard = self._system.decode(arrived, RATE)
        end = time.thread_time()
        sound = heard[self._ahead : self._ahead + len(clip)]
        return Coded(sound, middle - start, end - middle, 8 * sum(map(len, packets)))


class Codec2:
    """Codec2 at 8 kHz, the clip resampled on both sides.

    Parameters
    ----------
    bits_per_second
        3200 or 1300.
    library
        Path of the shared library; found by its name when None.
    """

    conceals = False
    # Samples at 8 kHz by which speech comes out later than it went in, beyond its frame: where
    # ESTOI of 16 clips is highest, in steps of 1 ms.
    _LAG = 152

    def __init__(self, bits_per_second: int, library: str | None = None) -> None:
        path = library or ctypes.util.find_library("codec2")
        if path is None:
            raise OSError("libcodec2: not installed (Debian: libcodec2-1.0)")
        self._codec2 = ctypes.CDLL(path)
        self._codec2.codec2_create.restype = ctypes.c_void_p
        self._mode = bits_per_second
        self.name = f"Codec2 {bits_per_second}"
        state = self._create()
        self._samples = self._codec2.codec2_samples_per_frame(state)
        self._bits = self._codec2.codec2_bits_per_frame(state)
        self._codec2.codec2_destroy(state)
        self.delay_ms = 1000.0 * (self._samples + self._LAG) / _CODEC2_RATE

    def run(self, clip: Sound, lost: Sequence[bool] = ()) -> Coded:
        """See `Codec.run`; there is no concealment."""
        if any(lost):
            raise ValueError(f"{self.name}: conceals nothing")
        narrow = soxr.resample(clip, RATE, _CODEC2_RATE, "VHQ")
        lag = self._LAG
        pcm = np.rint(np.clip(np.pad(narrow, (0, lag)), -1, 1) * 32767).astype(np.int16)
        state = self._create()
        start = time.thread_time()
        packets = []
        for frame in _frames(pcm, self._samples):
            packet = ctypes.create_string_buffer((self._bits + 7) // 8)
            self._codec2.codec2_encode(state, packet, frame.ctypes.data_as(ctypes.c_void_p))
            packets.append(packet)
        middle = time.thread_time()
        out = np.empty((len(packets), self._samples), np.int16)
        for row, packet in zip(out, packets, strict=True):
            self._codec2.codec2_decode(state, row.ctypes.data_as(ctypes.c_void_p), packet)
        end = time.thread_time()
        self._codec2.codec2_destroy(state)
        heard = out.reshape(-1)[lag : lag + len(narrow)].astype(np.float32) / 32768
        sound = _widened(heard, _CODEC2_RATE, len(clip))
        return Coded(sound, middle - start, end - middle, self._bits * len(packets))

    def _create(self) -> ctypes.c_void_p:
        state = self._codec2.codec2_create(_CODEC2_MODES[self._mode])
        if not state:
            raise OSError(f"codec2_create: no mode of {self._mode} bit/s")
        return ctypes.c_void_p(state)


class Lyra:
    """Lyra 2 at 16 kHz, 20 ms per packet: a neural codec whose weights lie in the open.

    Parameters
    ----------
    bits_per_second
        3200, 6000 or 9200.
    folder
        With `soundstream_encoder.tflite`, `quantizer.tflite` and `lyragan.tflite`.
    """

    conceals = False
    # Samples at 16 kHz by which speech comes out later than it went in: where ESTOI of 6 clips is
    # highest.
    _LAG = 10

    def __init__(self, bits_per_second: int, folder: str) -> None:
        self._interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter
        self._folder = Path(folder)
        self._quantizers = bits_per_second // 50 // _LYRA_BITS
        self.name = f"Lyra 2 {bits_per_second}"
        self.delay_ms = 1000.0 * (_LYRA_FRAME + self._LAG) / _LYRA_RATE
        self._load("quantizer")  # says so where it is missing

    def run(self, clip: Sound, lost: Sequence[bool] = ()) -> Coded:
        """See `Codec.run`; what conceals is not in its networks."""
        if any(lost):
            raise ValueError(f"{self.name}: conceals nothing")
        narrow = soxr.resample(clip, RATE, _LYRA_RATE, "VHQ")
        listen, speak = (
            self._load(name).get_signature_runner() for name in ("soundstream_encoder", "lyragan")
        )
        quantizer = self._load("quantizer")
        encode, decode = (quantizer.get_signature_runner(name) for name in ("encode", "decode"))
        count = np.array(self._quantizers, np.int32)
        start = time.thread_time()
        packets = []
        for frame in _frames(np.pad(narrow, (0, self._LAG)), _LYRA_FRAME):
            heard = listen(input_audio=frame[None].astype(np.float32))["output_0"]
            chosen = encode(input_frames=heard, num_quantizers=count)["output_0"]
            packets.append(chosen[: self._quantizers])
        middle = time.thread_time()
        out = []
        for packet in packets:
            indices = np.full((_LYRA_MOST, 1, 1), -1, np.int32)  # -1: not sent
            indices[: self._quantizers] = packet.reshape(-1, 1, 1)
            told = decode(encoding_indices=indices)["output_0"]
            out.append(speak(input_audio=told)["output_0"][0])
        end = time.thread_time()
        spoken = np.concatenate(out)[self._LAG : self._LAG + len(narrow)]
        sound = _widened(spoken.astype(np.float32), _LYRA_RATE, len(clip))
        bits = _LYRA_BITS * self._quantizers * len(packets)
        return Coded(sound, middle - start, end - middle, bits)

    def _load(self, name: str) -> Any:  # noqa: ANN401 - no types
        path = self._folder / f"{name}.tflite"
        if not path.is_file():
            raise OSError(f"Lyra: {path}: not found")
        return self._interpreter(str(path), num_threads=1)


class Sublime:
    """The package's codec, frame by frame as a call does.

    Parameters
    ----------
    model
        A loaded codec.
    kbps
        6 or 1.
    enhance
        With its front-end, or the enhancer that stands before an encoder without one.
    precision
        Of the weights.
    """

    def __init__(
        self, model: Model, kbps: int, *, enhance: bool = False, precision: str = "f32"
    ) -> None:
        self._model, self._kbps, self._enhance = model, kbps, enhance
        self._options = {"precision": precision}
        self._before = enhancer_before(model) if enhance else None
        self.conceals = not enhance  # it does, the same way
        clean = ", enhanced" if enhance else ""
        self.name = f"voxhop, {kbps} kbit/s{clean}"
        with self._encoder() as encoder, self._decoder() as decoder:
            samples = encoder.latency_samples + decoder.latency_samples
        if self._before is not None:
            with self._enhancer() as stream:
                samples += stream.latency_samples
        self.delay_ms = 1000.0 * samples / RATE

    def run(self, clip: Sound, lost: Sequence[bool] = ()) -> Coded:
        """See `Codec.run`."""
        with self._encoder() as encoder, self._decoder() as decoder:
            start = time.thread_time()
            spoken = _frames(clip, FRAME) if self._before is None else self._cleaned(clip)
            codes = [encoder.push(frame) for frame in spoken]
            rows = np.concatenate([*codes, encoder.flush()])
            middle = time.thread_time()
            sound = [
                decoder.conceal() if i < len(lost) and lost[i] else decoder.push(row[None])
                for i, row in enumerate(rows)
            ]
            end = time.thread_time()
        # The first frame lies before the clip.
        whole = np.concatenate(sound)[FRAME : FRAME + len(clip)]
        return Coded(whole, middle - start, end - middle, 20 * self._kbps * len(rows))

    def _cleaned(self, clip: Sound) -> Iterator[Sound]:
        """Yield the clip's frames without noise, and without the latency of who took it away."""
        with self._enhancer() as stream:
            late = stream.latency_samples
            for frame in _frames(clip, FRAME):
                clean = stream.process(frame)
                dropped = min(late, len(clean))
                late -= dropped
                yield clean[dropped:]
            yield stream.flush()[late:]

    def _encoder(self) -> CodecEncoder:
        part = self._enhance and self._before is None
        return CodecEncoder(self._model, enhance=part, **self._options)

    def _enhancer(self) -> Stream:
        with voxhop.load(self._before) as model:
            return Stream(model, sample_rate=RATE, delay_ms=0.0)

    def _decoder(self) -> CodecDecoder:
        return CodecDecoder(self._model, self._kbps, **self._options)


def _widened(heard: Sound, rate: int, count: int) -> Sound:
    """Return `heard` at 24 kHz, `count` samples of it."""
    wide = soxr.resample(heard, rate, RATE, "VHQ")
    return np.pad(wide, (0, max(0, count - len(wide))))[:count]


def _frames(samples: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    """Cut into frames, the last one filled up with zeros."""
    count = -(-len(samples) // size)
    return np.pad(samples, (0, count * size - len(samples))).reshape(count, size)
