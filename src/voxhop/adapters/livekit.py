"""LiveKit: a frame processor for what a room sends, and a drop-in for its audio processing.

``rtc.AudioStream(noise_cancellation=VqeProcessor())``, or the same of ``RoomInputOptions`` and
``AudioInputOptions`` of livekit-agents, and `AudioProcessingModule` where a program says
``rtc.AudioProcessingModule``. Needs the extra ``livekit`` (livekit 1.1 or newer).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.adapters._following import FollowingEnhancer, SayOnce
from voxhop.engine.closing import Uncopied
from voxhop.errors import DtypeError, VoxhopError

try:
    from livekit import rtc
except ImportError as error:
    raise ImportError('livekit is missing: pip install "voxhop[livekit]"') from error

if TYPE_CHECKING:
    from voxhop.files.offline import ModelSource
    from voxhop.stream.types import StreamMetrics

_LOG: Final = logging.getLogger("voxhop")
_SAMPLE_BYTES: Final = 2


class VqeProcessor(Uncopied, rtc.FrameProcessor[rtc.AudioFrame]):
    """Noise, reverberation and, where the program plays it itself, echo off a track.

    Frames of any rate, length and number of channels up to 8; a track that changes its rate gets
    a new stream. What it cannot serve passes unchanged; this is logged once.

    Parameters
    ----------
    model
        What `voxhop.load` takes, or a loaded model; the bundled default when None.
    **settings
        Fields of `voxhop.StreamOptions` but for rate and channels, such as ``strength=0.8``.

    Raises
    ------
    ArgumentError, ModelFileError
        For a setting that does not fit, a model that does not load.
    """

    def __init__(
        self,
        *,
        model: ModelSource = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        self._following, self._tell = FollowingEnhancer(model, settings), SayOnce()
        self._enabled = True

    @property
    def enabled(self) -> bool:
        """Whether frames are given to it; LiveKit asks before each."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if value and not self._enabled:
            self.interrupt()  # what was played meanwhile has been heard
        self._enabled = value

    def play(self, frame: rtc.AudioFrame) -> None:
        """Say what the loudspeaker beside the microphone is about to play.

        Frames of any rate, as fast as they come, up to a minute ahead. A remote participant's
        loudspeaker is none of ours: their own client takes its echo away.
        """
        enhancer = self._following.current
        if enhancer is not None and self._enabled:
            try:
                enhancer.play(
                    _samples(frame), sample_rate=frame.sample_rate, channels=frame.num_channels
                )
            except VoxhopError as error:
                self._tell(f"reference: {error}; not heard")

    def interrupt(self) -> None:
        """Forget what was to be played: the player was stopped in the middle."""
        if self._following.current is not None:
            self._following.current.interrupt()

    def pause(self) -> None:
        """Say that the player holds what it has; `resume` or `interrupt` end it."""
        if self._following.current is not None:
            self._following.current.pause()

    def resume(self) -> None:
        """Say that the player goes on where it was paused."""
        if self._following.current is not None:
            self._following.current.resume()

    @property
    def metrics(self) -> StreamMetrics | None:
        """Figures so far; None before the first frame."""
        enhancer = self._following.current
        return None if enhancer is None else enhancer.metrics

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        try:
            samples = _samples(frame)
            enhancer = self._following.opened(frame.sample_rate, frame.num_channels)
            audio = enhancer(samples)
        except VoxhopError as error:
            self._tell(f"track: {error}; passed unchanged")
            return frame
        return rtc.AudioFrame(
            audio,
            frame.sample_rate,
            frame.num_channels,
            frame.samples_per_channel,
            userdata=frame.userdata,
        )

    def _close(self) -> None:
        self._following.close()


class AudioProcessingModule(Uncopied):
    """What ``rtc.AudioProcessingModule`` does, by a model: same methods, frames in place.

    Parameters
    ----------
    echo_cancellation
        Whether `process_reverse_stream` counts.
    noise_suppression
        Enhance without `echo_cancellation` too; with neither, frames stay as they are. The model
        takes away noise and reverberation in both cases.
    high_pass_filter
        Take away what lies below 30 Hz.
    auto_gain_control
        There is none; the level stays as it is, which is logged.
    model, **settings
        As for `VqeProcessor`.

    Raises
    ------
    ArgumentError, ModelFileError
        For a setting that does not fit, a model that does not load.

    Notes
    -----
    Frames may have any length, not only 10 ms. `process_reverse_stream` and
    `set_stream_delay_ms` may be called by another thread than `process_stream`.
    """

    def __init__(
        self,
        *,
        echo_cancellation: bool = False,
        noise_suppression: bool = False,
        high_pass_filter: bool = False,
        auto_gain_control: bool = False,
        model: ModelSource = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        self._echo = echo_cancellation
        self._passes = not (echo_cancellation or noise_suppression)
        if not high_pass_filter:
            settings.setdefault("highpass_hz", 0.0)
        self._following = FollowingEnhancer(model, settings)
        if auto_gain_control:
            _LOG.warning("auto_gain_control: there is none, the level stays as it is")

    def process_stream(self, data: rtc.AudioFrame) -> None:
        """Enhance a frame of the microphone in place.

        Raises
        ------
        DtypeError, ArgumentError, EngineError
            For what is no frame, or has a format that cannot be served.
        """
        samples = _samples(data)
        if self._passes:
            return
        enhancer = self._following.opened(data.sample_rate, data.num_channels)
        _write(data, enhancer(samples))

    def process_reverse_stream(self, data: rtc.AudioFrame) -> None:
        """Take note of a frame that the loudspeaker is about to play; it stays as it is.

        Raises
        ------
        DtypeError, ArgumentError
            As for `process_stream`.
        """
        samples = _samples(data)
        enhancer = self._following.current
        if self._echo and enhancer is not None:
            enhancer.play(samples, sample_rate=data.sample_rate, channels=data.num_channels)

    def set_stream_delay_ms(self, delay_ms: int) -> None:
        """Say how much later the microphone hears what `process_reverse_stream` is given.

        It is found and followed in any case; saying one of more than half of the model's window
        spares the search.

        Raises
        ------
        ArgumentError
            Beyond 0 to 10000.
        """
        self._following.tell_delay(delay_ms)

    @property
    def metrics(self) -> StreamMetrics | None:
        """Figures so far; None before the first frame."""
        enhancer = self._following.current
        return None if enhancer is None else enhancer.metrics

    @property
    def latency_samples(self) -> int | None:
        """Frames by which the output lags the microphone; None before the first frame."""
        enhancer = self._following.current
        return None if enhancer is None else enhancer.latency_samples


def _samples(frame: Any) -> memoryview:  # noqa: ANN401 - checked here
    """Return the bytes of a frame without what its buffer has beyond them."""
    if not isinstance(frame, rtc.AudioFrame):
        raise DtypeError(f"frame: {type(frame).__name__}, expected a livekit.rtc.AudioFrame")
    size = frame.num_channels * frame.samples_per_channel * _SAMPLE_BYTES
    return frame.data.cast("B")[:size]


def _write(frame: rtc.AudioFrame, audio: bytes) -> None:
    """Put samples into a frame; one that stands on bytes gets a buffer, as LiveKit does it."""
    if frame.data.readonly:
        frame._data = bytearray(frame.data.cast("B"))  # noqa: SLF001 - there is no other way
    out = np.frombuffer(frame.data.cast("B"), np.uint8)
    out[: len(audio)] = np.frombuffer(audio, np.uint8)
