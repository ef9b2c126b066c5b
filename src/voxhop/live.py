"""Sound devices through a stream: `run_live`, with sounddevice (the extra ``live``)."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError, EngineError, VoxhopError
from voxhop.files.offline import opened
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxhop.files.offline import ModelSource
    from voxhop.media.formats import Floats
    from voxhop.stream.types import StreamMetrics

_LOOK_S: Final = 0.1
_SILENT_DBFS: Final = -75.0
_QUIET_DBFS: Final = -50.0
_GOOD_ERLE_DB: Final = 10.0
_CLIPPED_SHARE: Final = 1e-4
_LATE_SHARE: Final = 0.01  # one hop in a hundred is heard
_SOME_S: Final = 5.0  # so long one must have listened before nothing means something


class DeviceError(VoxhopError):
    """A sound device that does not exist, cannot be opened, or vanished."""


@dataclass(frozen=True)
class LiveState:
    """What a live session sees now.

    Attributes
    ----------
    seconds
        Of microphone so far.
    latency_ms
        From the air before the microphone to that before the loudspeaker: what the devices
        say of themselves, and the stream's own; without an output, up to the clean samples.
    metrics
        Of the stream.
    mic_peak_dbfs, ref_peak_dbfs
        The highest levels so far.
    dropped
        Times that a device gave or took too little in time.
    """

    seconds: float
    latency_ms: float
    metrics: StreamMetrics
    mic_peak_dbfs: float
    ref_peak_dbfs: float
    dropped: int


def sounddevice_module() -> Any:  # noqa: ANN401 - the module
    """Return the module ``sounddevice``.

    Raises
    ------
    EngineError
        When it, or the PortAudio library that it needs, is not installed.
    """
    try:
        import sounddevice  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = 'live: needs sounddevice: pip install "voxhop[live]"'
        raise EngineError(message) from error
    except OSError as error:  # PortAudio is not in the package on Linux
        message = f"live: {error}; install PortAudio (Debian: apt install libportaudio2)"
        raise EngineError(message) from error
    return sounddevice


def find_device(devices: Sequence[Any], name: str | None, kind: str) -> int | None:
    """Return the number of a device by number, name, or a part of the name.

    Parameters
    ----------
    devices
        As ``sounddevice.query_devices()`` gives them.
    name
        None: the system's choice, which is None.
    kind
        ``"input"`` or ``"output"``.

    Raises
    ------
    DeviceError
        When none or several fit; names those that there are.
    """
    if name is None:
        return None
    usable = {i: str(d["name"]) for i, d in enumerate(devices) if d[f"max_{kind}_channels"] > 0}
    if name.isdecimal() and int(name) in usable:
        return int(name)
    exact = [i for i, own in usable.items() if own.lower() == name.lower()]
    fits = exact or [i for i, own in usable.items() if name.lower() in own.lower()]
    if len(fits) == 1:
        return fits[0]
    found = "several fit" if fits else "none of that name"
    there = ", ".join(f"{i} {usable[i]}" for i in fits or usable) or "none at all"
    raise DeviceError(f"{kind} device {name}: {found}; there are: {there}")


def judge(  # noqa: PLR0911 - one answer after the other, the plainest first
    state: LiveState, *, has_ref: bool
) -> tuple[bool, str]:
    """Say in plain words whether the other side would hear itself, and what is wrong.

    Returns
    -------
    tuple of bool and str
        Whether all is well, and one sentence.
    """
    m = state.metrics
    early = state.seconds < _SOME_S
    if state.mic_peak_dbfs < _SILENT_DBFS:
        return False, "The microphone gives silence: it is muted, or this is the wrong device."
    if m.frames and m.clipped_samples / m.frames > _CLIPPED_SHARE:
        return False, "The microphone is too loud and clips: turn its gain down."
    if m.hops and m.late_hops / m.hops > _LATE_SHARE:
        return False, f"The computer is too slow or too busy: {m.late_hops} hops came late."
    if not has_ref:
        return True, "Noise and reverberation are removed; without a reference no echo is."
    if state.ref_peak_dbfs < _QUIET_DBFS:
        return False, (
            "The loudspeaker's loopback is silent: play something, or choose the device that plays."
        )
    if m.ref_unrelated:
        return True, (
            "What the loudspeaker plays is not heard in the microphone (headphones?), or the "
            "loopback belongs to another device."
        )
    if m.delay_ms is None:
        hint = "keep playing" if early else "turn the loudspeaker up, or check the loopback"
        return False, f"The echo has not been found yet: {hint}."
    heard = f"Your loudspeaker is heard after {m.delay_ms:.0f} ms"
    erle = 0.0 if m.erle_db is None else m.erle_db
    if m.not_helping or erle < _GOOD_ERLE_DB:
        return False, f"{heard} and only {erle:.0f} dB of it are removed: others may hear it."
    return True, f"{heard} and is lowered by {erle:.0f} dB: others do not hear themselves."


class _Recorder:
    """Writes tracks from a thread of its own, so that the sound callbacks never wait."""

    def __init__(self, folder: Path, names: Sequence[str], rate: int) -> None:
        from voxhop.io import AudioWriter  # noqa: PLC0415 - only for recordings

        folder.mkdir(parents=True, exist_ok=True)
        self._blocks: queue.SimpleQueue[tuple[str, Floats] | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._writers = {
            name: AudioWriter(
                folder / f"{name}.wav", rate=rate, channels=1, encoding=("WAV", "PCM_16")
            )
            for name in names
        }
        self._thread = threading.Thread(target=self._run, name="voxhop record", daemon=True)
        self._thread.start()

    def add(self, name: str, block: Floats) -> None:
        self._blocks.put((name, block))

    def close(self) -> None:
        """Complete the files, or raise what went wrong while writing."""
        self._blocks.put(None)
        self._thread.join()
        for writer in self._writers.values():
            if self._error is None:
                writer.commit()
            writer.discard()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._blocks.get()) is not None:
            name, block = item
            if self._error is None:
                try:
                    self._writers[name].write(block[:, None])
                except VoxhopError as error:
                    self._error = error


class _Live:
    """The callbacks of the devices and what they leave for the watcher."""

    def __init__(
        self, stream: Stream, recorder: _Recorder | None, *, has_ref: bool, takes_ref: bool
    ) -> None:
        self._stream, self._recorder = stream, recorder
        self._has_ref, self._takes_ref = has_ref, takes_ref
        self.error: BaseException | None = None
        self.frames = self.dropped = 0
        self.state: LiveState | None = None
        self._device_s = 0.0
        self._next_look = 0
        self._peaks = [-np.inf, -np.inf]

    def on_ref(self, ref: Any, _frames: int, _time: Any, status: Any) -> None:  # noqa: ANN401
        self._guarded(self._take_ref, ref, status)

    def on_mic(self, mic: Any, _frames: int, when: Any, status: Any) -> None:  # noqa: ANN401
        self._guarded(self._take_mic, mic, None, when, status)

    def on_both(
        self,
        mic: Any,  # noqa: ANN401
        out: Any,  # noqa: ANN401
        _frames: int,
        when: Any,  # noqa: ANN401
        status: Any,  # noqa: ANN401
    ) -> None:
        out.fill(0)
        self._guarded(self._take_mic, mic, out, when, status)

    def _guarded(self, take: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        if self.error is None:
            try:
                take(*arguments)
            except Exception as error:  # noqa: BLE001 - told by the watcher, not by PortAudio
                self.error = error

    def _take_ref(self, ref: Any, status: Any) -> None:  # noqa: ANN401 - of sounddevice
        self.dropped += bool(status)
        mono = ref.mean(axis=1, dtype=np.float32)
        self._stream.push_ref(mono)
        if self._recorder is not None:
            self._recorder.add("ref", mono)

    def _take_mic(self, mic: Any, out: Any, when: Any, status: Any) -> None:  # noqa: ANN401
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
            self._next_look = self.frames + round(_LOOK_S * self._stream.sample_rate)
            self._look()

    def _look(self) -> None:
        """Leave the figures for the watcher: only this thread may ask the stream."""
        m, rate = self._stream.metrics, self._stream.sample_rate
        self._peaks = [max(self._peaks[0], m.mic_dbfs), max(self._peaks[1], m.ref_dbfs)]
        latency_ms = 1000 * (self._device_s + self._stream.latency_samples / rate)
        mic_peak, ref_peak = self._peaks
        self.state = LiveState(self.frames / rate, latency_ms, m, mic_peak, ref_peak, self.dropped)


def run_live(
    *,
    mic: str | None = None,
    ref: str | None = None,
    out: str | None = None,
    sample_rate: int = 48000,
    seconds: float | None = None,
    record: str | Path | None = None,
    model: ModelSource = None,
    watch: Callable[[LiveState], None] | None = None,
    **settings: Any,  # noqa: ANN401 - those of Stream
) -> LiveState:
    """Clean a microphone while it is heard, until the time is over or Ctrl-C.

    Parameters
    ----------
    mic, ref, out
        Devices by number, name or a part of the name. `mic` None is the system's choice; `ref`
        is an input that gives what the loudspeaker plays (a monitor or loopback device), None
        for none; `out` is where the clean sound goes, None for nowhere.
    sample_rate
        Of all devices, in Hz.
    seconds
        How long; None: until Ctrl-C, which ends it as the time does.
    record
        A folder for ``mic.wav``, ``ref.wav`` and ``clean.wav``, as the devices gave them.
    model, **settings
        As for `voxhop.enhance`; the delay is found unless ``delay_ms`` is given. A model of a
        microphone alone takes no `ref`.
    watch
        Called about ten times a second.

    Returns
    -------
    LiveState
        At the end.

    Raises
    ------
    DeviceError
        When a device does not exist, cannot be opened, or vanishes.
    EngineError
        Without sounddevice or PortAudio.
    ArgumentError, ModelFileError, AudioFileError
        As for `voxhop.enhance_file`.
    """
    if seconds is not None and not seconds > 0:
        raise ArgumentError(f"seconds: {seconds}, expected more than 0")
    sd = sounddevice_module()
    devices = list(sd.query_devices())
    numbers = [
        find_device(devices, name, kind)
        for name, kind in ((mic, "input"), (ref, "input"), (out, "output"))
    ]
    names = ("mic", "clean") if ref is None else ("mic", "ref", "clean")
    with contextlib.ExitStack() as stack:
        loaded = stack.enter_context(opened(model))
        takes_ref = loaded.info.input_count > 1
        if ref is not None and not takes_ref:
            raise ArgumentError("ref: this model takes a microphone alone; expected none")
        stream = stack.enter_context(Stream(loaded, sample_rate=sample_rate, **settings))
        recorder = None
        if record is not None:
            recorder = _Recorder(Path(record), names, sample_rate)
            stack.callback(recorder.close)
        live = _Live(stream, recorder, has_ref=ref is not None, takes_ref=takes_ref)
        try:
            opened_devices = _open(sd, live, numbers, sample_rate, with_out=out is not None)
            for device in opened_devices:
                stack.enter_context(device)
        except (sd.PortAudioError, ValueError) as error:
            raise DeviceError(f"live: a device cannot be opened: {error}") from error
        most = np.inf if seconds is None else seconds * sample_rate
        return _watch(live, opened_devices, most, watch)


def _open(
    sd: Any,  # noqa: ANN401 - the module
    live: _Live,
    numbers: Sequence[int | None],
    rate: int,
    *,
    with_out: bool,
) -> list[Any]:
    """Return the devices, not yet running; the reference first, as it may come early."""
    mic, ref, out = numbers
    common = {"samplerate": rate, "dtype": "float32", "latency": "low"}
    found = []
    if ref is not None:
        found.append(sd.InputStream(device=ref, callback=live.on_ref, **common))
    if with_out:
        channels = (1, 1)
        both = sd.Stream(device=(mic, out), channels=channels, callback=live.on_both, **common)
        found.append(both)
    else:
        found.append(sd.InputStream(device=mic, channels=1, callback=live.on_mic, **common))
    return found


def _watch(
    live: _Live,
    devices: Sequence[Any],
    most_frames: float,
    watch: Callable[[LiveState], None] | None,
) -> LiveState:
    with contextlib.suppress(KeyboardInterrupt):
        while live.frames < most_frames:
            time.sleep(_LOOK_S)
            if live.error is not None:
                raise live.error
            if live.state is not None and watch is not None:
                watch(live.state)
            if not all(device.active for device in devices):
                after = 0.0 if live.state is None else live.state.seconds
                raise DeviceError(f"live: a device vanished after {after:.1f} s")
    if live.state is None:
        raise DeviceError("live: the microphone gave no samples")
    return live.state
