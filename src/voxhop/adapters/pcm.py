"""Raw samples in, raw samples out: ``bytes -> bytes``, for whatever passes audio as bytes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.adapters._playback import Playback
from voxhop.adapters._shift import Shift
from voxhop.engine.closing import Closing
from voxhop.errors import DtypeError, ShapeError
from voxhop.files.offline import opened
from voxhop.media.formats import check_rate
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.engine.session_info import SessionOptions
    from voxhop.files.offline import ModelSource
    from voxhop.stream.types import StreamMetrics

    Buffer = bytes | bytearray | memoryview

_SAMPLE: Final = np.dtype("<i2")
_FULL_SCALE: Final = 32768.0


class PcmEnhancer(Closing):
    """Enhances little-endian 16-bit samples; call it with bytes, as many come back.

    The reference comes as it is played, from any thread and at a rate of its own, or not at
    all: silence between two utterances need not be pushed.

    Parameters
    ----------
    sample_rate
        Of the microphone, 8000 to 192000 Hz.
    channels
        Interleaved channels of the microphone, 1 to 8.
    model
        What `voxhop.load` takes, or a loaded model; the bundled default when None. A model
        without a reference ignores what is played.
    options
        How the session inside computes.
    **settings
        Further fields of `voxhop.StreamOptions`, such as ``strength=0.8``.

    Raises
    ------
    ArgumentError, EngineError, ModelFileError
        As for `voxhop.Stream` and `voxhop.load`.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        channels: int = 1,
        *,
        model: ModelSource = None,
        options: SessionOptions | None = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        self._rate, self._channels = sample_rate, channels
        with opened(model) as loaded:
            self._stream = Stream(
                loaded, options=options, sample_rate=sample_rate, channels=channels, **settings
            )
            self._shift = Shift(loaded, sample_rate)
            self._takes_ref = loaded.info.input_count > 1
        self._playback = Playback(sample_rate)
        self._resampler: Any = None
        self._played_rate = sample_rate
        self._played = False

    def __call__(self, audio: Buffer) -> bytes:
        """Enhance a block of any length.

        Parameters
        ----------
        audio
            Whole frames of 16-bit samples, channels interleaved.

        Returns
        -------
        bytes
            As many, `latency_samples` frames behind.

        Raises
        ------
        DtypeError, ShapeError
            For what is no buffer, or no whole number of frames.
        StateError
            After `close`, or from two threads at once.
        """
        mic = _frames("audio", audio, self._channels)
        ref = None
        if self._played:
            whole = np.rint(self._shift.process(self._playback.pull(len(mic))) * _FULL_SCALE)
            ref = np.clip(whole, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
        shaped = mic[:, 0] if self._channels == 1 else mic
        out = self._stream.process(np.ascontiguousarray(shaped, np.int16), ref)
        return out.astype(_SAMPLE, copy=False).tobytes()

    def play(self, audio: Buffer, *, sample_rate: int | None = None, channels: int = 1) -> None:
        """Say what the loudspeaker is about to play. Any one thread may call this.

        Parameters
        ----------
        audio
            Whole frames of 16-bit samples, channels interleaved; they are averaged.
        sample_rate
            Of `audio` in Hz, any; that of the microphone when None.
        channels
            Of `audio`.

        Raises
        ------
        ArgumentError, DtypeError, ShapeError
            For what does not fit.
        """
        frames = _frames("audio", audio, channels)
        rate = self._rate if sample_rate is None else check_rate("sample_rate", sample_rate)
        if self._takes_ref:
            mono = frames.mean(axis=1, dtype=np.float32) / np.float32(_FULL_SCALE)
            self._playback.push(self._at_own_rate(mono, rate))
            self._played = True

    def interrupt(self) -> None:
        """Forget what was to be played: the player was stopped in the middle."""
        self._playback.clear()
        self._playback.pause(paused=False)
        self._resampler = None

    def pause(self) -> None:
        """Say that the player holds what it has; `resume` or `interrupt` end it."""
        self._playback.pause(paused=True)

    def resume(self) -> None:
        """Say that the player goes on where it was paused."""
        self._playback.pause(paused=False)

    def tell_delay(self, delay_ms: float) -> None:
        """Say how much later than `play` the microphone hears it, 0 to 10000 ms.

        It is found and followed in any case; saying one of more than half of the model's
        window spares the search.
        """
        self._shift.tell(delay_ms)

    def reset(self) -> None:
        """Go back to the state of a new enhancer."""
        self.interrupt()
        self._stream.reset()
        self._shift.reset()
        self._played = False

    def close(self) -> None:
        """Give the memory back. May be repeated."""
        if not self._stream.closed:
            logging.getLogger("voxhop").info("%s", _summary(self._stream.metrics))
        self._stream.close()

    @property
    def stream(self) -> Stream:
        """The stream inside, for its controls (`Stream.set_strength`, `Stream.set_bypass`)."""
        return self._stream

    @property
    def metrics(self) -> StreamMetrics:
        """Figures so far."""
        return self._stream.metrics

    @property
    def latency_samples(self) -> int:
        """Frames by which the output lags the microphone."""
        return self._stream.latency_samples

    def _at_own_rate(self, mono: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
        if rate == self._rate:
            self._resampler = None
            return mono
        if self._resampler is None or self._played_rate != rate:
            import soxr  # noqa: PLC0415 - only where rates differ

            self._resampler = soxr.ResampleStream(rate, self._rate, 1, dtype="float32")
            self._played_rate = rate
        out: npt.NDArray[np.float32] = self._resampler.resample_chunk(mono)
        return out


def _frames(name: str, audio: Buffer, channels: int) -> npt.NDArray[np.int16]:
    """Return ``(frames, channels)``, or raise for what does not fit."""
    if not isinstance(audio, (bytes, bytearray, memoryview)):
        raise DtypeError(f"{name}: {type(audio).__name__}, expected bytes")
    size = memoryview(audio).nbytes
    if channels < 1 or size % (_SAMPLE.itemsize * channels):
        raise ShapeError(
            f"{name}: {size} bytes, expected whole frames of {channels} 16-bit channels"
        )
    return np.frombuffer(audio, _SAMPLE).reshape(-1, channels)


def _summary(metrics: StreamMetrics) -> str:
    delay = "not found" if metrics.delay_ms is None else f"{metrics.delay_ms:.0f} ms"
    erle = "unknown" if metrics.erle_db is None else f"{metrics.erle_db:.0f} dB"
    return (
        f"echo delay {delay} (confidence {metrics.delay_confidence:.2f}), ERLE {erle}, "
        f"{metrics.hop_p50_ms:.2f} ms per hop, {metrics.late_hops} of {metrics.hops} late"
    )
