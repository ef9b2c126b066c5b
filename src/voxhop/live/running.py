"""`run_live`: a microphone through a stream while it is heard."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.files.offline import opened
from voxhop.live.callbacks import LOOK_S, Callbacks
from voxhop.live.devices import DeviceError, find_device, sounddevice_module
from voxhop.live.recorder import Recorder
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxhop.files.offline import ModelSource
    from voxhop.live.verdict import LiveState

_STILL_S: Final = 5.0  # a device that gives nothing for so long is gone, whatever it says


def run_live(  # noqa: PLR0913 - keyword-only options
    *,
    mic: str | None = None,
    ref: str | None = None,
    out: str | None = None,
    sample_rate: int = 48000,
    seconds: float | None = None,
    latency_ms: float | None = None,
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
    latency_ms
        Of the devices' buffers; None: as little as they offer.
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
        When a device does not exist, cannot be opened, vanishes, or gives nothing for 5 s.
    EngineError
        Without sounddevice or PortAudio.
    ArgumentError, ModelFileError, AudioFileError
        As for `voxhop.enhance_file`.
    """
    for name, value in (("seconds", seconds), ("latency_ms", latency_ms)):
        if value is not None and not value > 0:
            raise ArgumentError(f"{name}: {value}, expected more than 0")
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
            recorder = Recorder(Path(record), names, sample_rate)
            stack.callback(recorder.close)
        live = Callbacks(stream, recorder, has_ref=ref is not None, takes_ref=takes_ref)
        try:
            opened_devices = _open(
                sd, live, numbers, with_out=out is not None, **_common(sample_rate, latency_ms)
            )
            for device in opened_devices:
                stack.enter_context(device)
        except (sd.PortAudioError, ValueError) as error:
            raise DeviceError(f"live: a device cannot be opened: {error}") from error
        most = np.inf if seconds is None else seconds * sample_rate
        return _watch(live, opened_devices, most, watch)


def _common(rate: int, latency_ms: float | None) -> dict[str, Any]:
    """Return what all devices are opened with."""
    latency = "low" if latency_ms is None else latency_ms / 1000
    return {"samplerate": rate, "dtype": "float32", "latency": latency}


def _open(
    sd: Any,  # noqa: ANN401 - the module
    live: Callbacks,
    numbers: Sequence[int | None],
    *,
    with_out: bool,
    **common: Any,  # noqa: ANN401 - of sounddevice
) -> list[Any]:
    """Return the devices, not yet running; the reference first, to be there from the start."""
    mic, ref, out = numbers
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
    live: Callbacks,
    devices: Sequence[Any],
    most_frames: float,
    watch: Callable[[LiveState], None] | None,
) -> LiveState:
    seen, since = 0, time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        while live.frames < most_frames:
            time.sleep(LOOK_S)
            if live.error is not None:
                raise live.error
            if live.state is not None and watch is not None:
                watch(live.state)
            after = 0.0 if live.state is None else live.state.seconds
            if not all(device.active for device in devices):
                raise DeviceError(f"live: a device vanished after {after:.1f} s")
            if live.frames > seen:
                seen, since = live.frames, time.monotonic()
            elif time.monotonic() - since > _STILL_S:
                raise DeviceError(
                    f"live: the microphone has given nothing for {_STILL_S:g} s, after {after:.1f} "
                    "s of sound: it is gone, or wants a larger latency"
                )
    if live.state is None:
        raise DeviceError("live: the microphone gave no samples")
    return live.state
