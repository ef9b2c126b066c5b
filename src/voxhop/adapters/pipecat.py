"""pipecat: a filter for ``audio_in_filter``, and taps for what the agent itself says.

    echo = VqeFilter()
    params = TransportParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_in_filter=echo,
        audio_out_filter=echo.reference_tap(),
    )

Needs the extra ``pipecat`` (pipecat-ai 1.14 or newer).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from voxhop.adapters._following import SayOnce, checked_model
from voxhop.adapters.pcm import PcmEnhancer
from voxhop.engine.closing import Uncopied
from voxhop.errors import VoxhopError

try:
    from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
    from pipecat.frames.frames import (
        FilterControlFrame,
        FilterEnableFrame,
        FilterUpdateSettingsFrame,
        Frame,
        OutputAudioRawFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
except ImportError as error:
    raise ImportError('pipecat is missing: pip install "voxhop[pipecat]"') from error

if TYPE_CHECKING:
    from voxhop.files.offline import ModelSource
    from voxhop.stream.stream import Stream
    from voxhop.stream.types import StreamMetrics

_CONTROLS: Final = ("strength", "floor_db", "gate_dbfs")


class VqeFilter(Uncopied, BaseAudioFilter):
    """Echo, noise and reverberation off what a transport hears.

    Computes on a thread of its own, so the event loop stays free. What it cannot serve passes
    unchanged; this is logged once, and the pipeline goes on.

    Parameters
    ----------
    channels
        ``audio_in_channels`` of the transport.
    model
        What `voxhop.load` takes, or a loaded model; the bundled default when None. A model
        without a reference needs no tap.
    **settings
        Fields of `voxhop.StreamOptions` but for rate and channels, such as ``strength=0.8``.

    Raises
    ------
    ArgumentError, ModelFileError
        For a setting that does not fit, a model that does not load.

    Notes
    -----
    ``FilterEnableFrame`` switches it, cross-faded. ``FilterUpdateSettingsFrame`` takes
    ``strength``, ``floor_db`` and ``gate_dbfs``.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        model: ModelSource = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        self._model = checked_model(model, settings, channels=channels)
        self._channels, self._settings = channels, settings
        self._controls: dict[str, float] = {}
        self._enabled = True
        self._enhancer: PcmEnhancer | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._tell = SayOnce()

    async def start(self, sample_rate: int) -> None:
        """Open a stream at the rate of the transport; pipecat calls this."""
        await self.stop()
        try:
            self._enhancer = PcmEnhancer(
                sample_rate, self._channels, model=self._model, **self._settings
            )
        except VoxhopError as error:
            self._tell(f"filter: {error}; the microphone passes unchanged")
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="voxhop")
        self._apply()

    async def stop(self) -> None:
        """Close the stream; pipecat calls this."""
        enhancer, self._enhancer = self._enhancer, None
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)
        if enhancer is not None:
            enhancer.close()

    async def process_frame(self, frame: FilterControlFrame) -> None:
        """Do what a control frame says; pipecat calls this."""
        if isinstance(frame, FilterEnableFrame):
            self._enabled = frame.enable
        elif isinstance(frame, FilterUpdateSettingsFrame):
            for name, value in frame.settings.items():
                if name in _CONTROLS:
                    self._controls[name] = value
                else:
                    self._tell(f"filter: setting {name}: expected {', '.join(_CONTROLS)}")
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._apply)

    async def filter(self, audio: bytes) -> bytes:
        """Return as many bytes, enhanced; pipecat calls this."""
        if self._enhancer is None or self._thread is None:
            return audio
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._enhancer, audio)
        except VoxhopError as error:
            self._tell(f"filter: {error}; passed unchanged")
            return audio

    def reference_tap(self, *, channels: int = 1) -> BaseAudioFilter:
        """Return what the output transport takes as ``audio_out_filter``.

        It changes nothing. The sound of a mixer, and a volume below full, come after it; where
        these are used take `reference_processor` instead.

        Parameters
        ----------
        channels
            ``audio_out_channels`` of the transport.
        """
        return _ReferenceTap(self, channels)

    def reference_processor(self) -> FrameProcessor:
        """Return a processor that stands right after ``transport.output()`` in the pipeline.

        It sees what the transport has written, mixed and as loud as it is.
        """
        return _ReferenceProcessor(self)

    def play(self, audio: bytes, *, sample_rate: int, channels: int) -> None:
        """Take note of what the agent says; the taps call this."""
        if self._enhancer is not None:
            try:
                self._enhancer.play(audio, sample_rate=sample_rate, channels=channels)
            except VoxhopError as error:
                self._tell(f"reference: {error}; not heard")

    @property
    def metrics(self) -> StreamMetrics | None:
        """Figures so far; None while the transport does not run."""
        return None if self._enhancer is None else self._enhancer.metrics

    def _apply(self) -> None:
        """Bring the controls of the stream to what they were set to."""
        if self._enhancer is not None:
            self._enhancer.stream.set_bypass(not self._enabled)
            for name, value in self._controls.items():
                self._set(self._enhancer.stream, name, value)

    def _set(self, stream: Stream, name: str, value: float) -> None:
        try:
            getattr(stream, f"set_{name}")(value)
        except (VoxhopError, TypeError) as error:
            self._tell(f"filter: {name}: {error}")


class _ReferenceTap(BaseAudioFilter):
    """Passes the agent's sound on to the loudspeaker, and to the filter of the microphone."""

    def __init__(self, heard_by: VqeFilter, channels: int) -> None:
        self._heard_by, self._channels = heard_by, channels
        self._rate = 0

    async def start(self, sample_rate: int) -> None:
        self._rate = sample_rate

    async def stop(self) -> None:
        pass

    async def process_frame(self, frame: FilterControlFrame) -> None:
        pass

    async def filter(self, audio: bytes) -> bytes:
        self._heard_by.play(audio, sample_rate=self._rate, channels=self._channels)
        return audio


class _ReferenceProcessor(FrameProcessor):
    """The same for frames that have been written."""

    def __init__(self, heard_by: VqeFilter) -> None:
        super().__init__()
        self._heard_by = heard_by

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputAudioRawFrame) and frame.transport_destination is None:
            self._heard_by.play(
                frame.audio, sample_rate=frame.sample_rate, channels=frame.num_channels
            )
        await self.push_frame(frame, direction)
