"""What the sound devices call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.live.verdict import LiveState

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxhop.live.recorder import Recorder
    from voxhop.media.formats import Floats
    from voxhop.stream.stream import Stream

LOOK_S: Final = 0.1


class Callbacks:
    """The callbacks of the devices and what they leave for the watcher."""

    def __init__(
        self, stream: Stream, recorder: Recorder | None, *, has_ref: bool, takes_ref: bool
    ) -> None:
        self._stream, self._recorder = stream, recorder
        self._has_ref, self._takes_ref = has_ref, takes_ref
        self.error: BaseException | None = None
        self.frames = self.dropped = 0
        self._began = False
        self._early: Floats | None = None
        self.state: LiveState | None = None
        self._device_s = 0.0
        self._erle_db: float | None = None
        self._next_look = 0
        self._mic_peak = self._ref_peak = -np.inf

    def on_ref(self, ref: Any, _frames: int, _time: Any, status: Any) -> None:  # noqa: ANN401
        """Take a block of the loopback."""
        self._guarded(self._take_ref, ref, status)

    def on_mic(self, mic: Any, _frames: int, when: Any, status: Any) -> None:  # noqa: ANN401
        """Take a block of the microphone."""
        self._guarded(self._take_mic, mic, None, when, status)

    def on_both(
        self,
        mic: Any,  # noqa: ANN401
        out: Any,  # noqa: ANN401
        _frames: int,
        when: Any,  # noqa: ANN401
        status: Any,  # noqa: ANN401
    ) -> None:
        """Take a block of the microphone and give one to the loudspeaker."""
        out.fill(0)
        self._guarded(self._take_mic, mic, out, when, status)

    def _guarded(self, take: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        if self.error is None:
            try:
                take(*arguments)
            except Exception as error:  # noqa: BLE001 - told by the watcher, not by PortAudio
                self.error = error

    def _take_ref(self, ref: Any, status: Any) -> None:  # noqa: ANN401 - of sounddevice
        mono = ref.mean(axis=1, dtype=np.float32)
        if not self._began:  # only the last block belongs to the microphone's first
            self._early = mono
            return
        self.dropped += bool(status)
        self._push_ref(mono)

    def _push_ref(self, mono: Floats) -> None:
        self._stream.push_ref(mono)
        if self._recorder is not None:
            self._recorder.add("ref", mono)

    def _take_mic(self, mic: Any, out: Any, when: Any, status: Any) -> None:  # noqa: ANN401
        if not self._began:
            if self._early is not None:
                self._push_ref(self._early)
            self._began = True
        self.dropped += bool(status)
        mono = np.ascontiguousarray(mic[:, 0])
        if self._has_ref:
            clean = self._stream.push_mic(mono)
        else:  # the loudspeaker is silent, not missing
            silence = np.zeros_like(mono) if self._takes_ref else None
            clean = self._stream.process(mono, silence)
        if out is not None:
            out[:] = clean[:, None]
            self._device_s = when.outputBufferDacTime - when.inputBufferAdcTime
        else:
            self._device_s = when.currentTime - when.inputBufferAdcTime
        self.frames += len(mono)
        if self._recorder is not None:
            self._recorder.add("mic", mono.copy())
            self._recorder.add("clean", clean)
        if self.frames >= self._next_look:
            self._next_look = self.frames + round(LOOK_S * self._stream.sample_rate)
            self._look()

    def _look(self) -> None:
        """Leave the figures for the watcher: only this thread may ask the stream."""
        m, rate = self._stream.metrics, self._stream.sample_rate
        self._mic_peak = max(self._mic_peak, m.mic_dbfs)
        self._ref_peak = max(self._ref_peak, m.ref_dbfs)
        latency_ms = 1000 * (self._device_s + self._stream.latency_samples / rate)
        if m.ref_active and not m.near_active:
            self._erle_db = m.erle_db
        self.state = LiveState(
            self.frames / rate,
            latency_ms,
            m,
            self._mic_peak,
            self._ref_peak,
            self.dropped,
            self._erle_db,
        )
