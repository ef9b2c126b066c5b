"""The classes of ``pywebrtc_audio`` 0.2 with a voxhop model inside.

A program that says ``from pywebrtc_audio import AudioProcessor`` compares the two by saying
``from voxhop.adapters.pywebrtc import AudioProcessor``. That package need not be installed.

What differs, because a model is no chain of separate stages:

* Noise and reverberation go in every class, whether or not they were asked for.
* The output lags by `latency_samples` frames.
* There is no gain control and no `VoiceDetector`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from voxhop.adapters._shift import Shift
from voxhop.engine.closing import Closing
from voxhop.errors import ArgumentError, DtypeError, ShapeError
from voxhop.files.offline import opened
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.files.offline import ModelSource
    from voxhop.stream.types import StreamMetrics

_Sample = TypeVar("_Sample", np.float32, np.int16)

_FLOORS_DB: Final = (6.0, 12.0, 18.0, 21.0)
_FULL_SCALE: Final = 32768.0


class _Processor(Closing):
    """A stream, and what its class was asked for. `AudioProcessor` describes the arguments."""

    def __init__(
        self,
        sample_rate: int,
        num_channels: int,
        *,
        echo: bool,
        passes: bool,
        level: int,
        model: ModelSource,
        settings: dict[str, Any],
    ) -> None:
        if level not in range(len(_FLOORS_DB)):
            raise ArgumentError(f"ns_level: {level}, expected 0 to {len(_FLOORS_DB) - 1}")
        if not echo:
            settings.setdefault("floor_db", _FLOORS_DB[level])
        with opened(model) as loaded:
            self._stream = Stream(
                loaded, sample_rate=sample_rate, channels=num_channels, **settings
            )
            self._shift = Shift(loaded, sample_rate)
            self._takes_ref = loaded.info.input_count > 1
        self._channels, self._echo, self._passes = num_channels, echo, passes
        self._delay_ms = 0

    def reset(self) -> None:
        """Go back to the state of a new processor, with the options it has now."""
        self._stream.reset()
        self._shift.reset()

    def close(self) -> None:
        """Give the memory back. May be repeated."""
        self._stream.close()

    @property
    def latency_samples(self) -> int:
        """Frames by which the output lags the microphone; 0 when nothing was asked for."""
        return 0 if self._passes else self._stream.latency_samples

    @property
    def metrics(self) -> StreamMetrics:
        """Figures so far: where the echo is, how much of it went."""
        return self._stream.metrics

    @property
    def speech_probability(self) -> float:
        """1.0 while the near end is well above its own noise after enhancement, else 0.0."""
        return float(self._stream.metrics.near_active)

    def _run(
        self, near: npt.NDArray[_Sample], far: npt.NDArray[_Sample] | None
    ) -> npt.NDArray[_Sample]:
        mic = self._frames("near", near)
        if self._echo and far is None:
            raise ArgumentError("far: None, expected an array when echo_cancellation is on")
        if self._passes:
            return near.copy()
        ref = np.zeros(len(mic), near.dtype) if self._takes_ref else None
        if self._echo:
            if near.dtype != getattr(far, "dtype", None):
                raise DtypeError(f"far: not {near.dtype} like near")
            heard = self._frames("far", far)
            if len(heard) != len(mic):
                raise ShapeError(f"far: {len(heard)} frames, expected {len(mic)} like near")
            ref = self._delayed(heard) if self._takes_ref else None
        shape = (-1,) if self._channels == 1 else (-1, self._channels)
        return self._stream.process(mic.reshape(shape), ref).reshape(-1)

    def _tell(self, delay_ms: int) -> None:
        self._shift.tell(delay_ms)
        self._delay_ms = delay_ms

    def _frames(self, name: str, array: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - checked here
        """Return ``(frames, channels)``, or raise for what the original refuses."""
        if not isinstance(array, np.ndarray):
            raise DtypeError(f"{name}: {type(array).__name__}, expected a numpy array")
        if array.dtype not in (np.dtype(np.float32), np.dtype(np.int16)):
            raise DtypeError(f"{name}: dtype {array.dtype}, expected float32 or int16")
        if array.ndim != 1 or not array.size or array.size % self._channels:
            raise ShapeError(
                f"{name}: shape {array.shape}, expected (n,) with n a multiple of "
                f"{self._channels} and more than 0"
            )
        return array.reshape(-1, self._channels)

    def _delayed(self, frames: npt.NDArray[_Sample]) -> npt.NDArray[_Sample]:
        """Return the mono reference as late as its echo allows, in the dtype it came in."""
        whole = frames.dtype == np.dtype(np.int16)
        scale = _FULL_SCALE if whole else 1.0
        mono = frames.mean(axis=1, dtype=np.float32) / np.float32(scale)
        out = self._shift.process(mono)
        if whole:
            out = np.rint(out * _FULL_SCALE)
        return out.astype(frames.dtype)


class AudioProcessor(_Processor):
    """Echo, noise and reverberation off a microphone. A context manager.

    Parameters
    ----------
    sample_rate
        8000 to 192000 Hz.
    num_channels
        Of interleaved arrays, 1 to 8.
    echo_cancellation
        Whether `process` is given what the loudspeaker plays.
    noise_suppression
        Enhance without `echo_cancellation` too; with neither, `process` returns its input.
    high_pass_filter
        Take away what lies below 30 Hz; always so with `echo_cancellation`, as there.
    auto_gain_control, agc_gain_db, agc_max_gain_db
        There is none: `auto_gain_control` must be False.
    ns_level
        0 to 3: without `echo_cancellation` no hop is lowered by more than 6, 12, 18 or 21 dB.
    stream_delay_ms
        How long after `far` its echo is in `near`, 0 to 10000. It is found and followed in any
        case; for more than half of the model's window (`ModelInfo.window_ms`) saying it spares
        the search.
    model
        What `voxhop.load` takes, or a loaded model; the bundled default when None. A model
        without a reference leaves `far` unused.
    **settings
        Further fields of `voxhop.StreamOptions`, such as ``strength=0.8``.

    Raises
    ------
    ArgumentError, EngineError, ModelFileError
        For arguments that do not fit, a rate that cannot be served, a model that does not load.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the signature is the point
        self,
        sample_rate: int = 16000,
        num_channels: int = 1,
        echo_cancellation: bool = False,
        noise_suppression: bool = False,
        high_pass_filter: bool = False,
        auto_gain_control: bool = False,
        ns_level: int = 1,
        agc_gain_db: float = 0.0,  # noqa: ARG002 - documented
        agc_max_gain_db: float = 50.0,  # noqa: ARG002 - documented
        stream_delay_ms: int = 0,
        *,
        model: ModelSource = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        if auto_gain_control:
            raise ArgumentError("auto_gain_control: True, expected False: there is no gain control")
        if not (echo_cancellation or high_pass_filter):
            settings.setdefault("highpass_hz", 0.0)
        super().__init__(
            sample_rate,
            num_channels,
            echo=echo_cancellation,
            passes=not (echo_cancellation or noise_suppression),
            level=ns_level,
            model=model,
            settings=settings,
        )
        self._tell(stream_delay_ms)

    def process(
        self, near: npt.NDArray[_Sample], far: npt.NDArray[_Sample] | None = None
    ) -> npt.NDArray[_Sample]:
        """Enhance a block of any length.

        Parameters
        ----------
        near
            What the microphone picked up: ``(frames * num_channels,)``, interleaved, int16 or
            float32 in about [-1, 1], not empty.
        far
            What the loudspeaker played meanwhile, of the same length and dtype. Needed with
            `echo_cancellation`, else left unused.

        Returns
        -------
        numpy.ndarray
            Shape and dtype of `near`, `latency_samples` frames behind it.

        Raises
        ------
        ArgumentError, DtypeError, ShapeError
            For arrays that are missing or do not fit; all are ``ValueError`` too.
        """
        return self._run(near, far)

    @property
    def stream_delay_ms(self) -> int:
        """By how much the echo in `near` is later than `far`, as far as was said, in ms."""
        return self._delay_ms

    @stream_delay_ms.setter
    def stream_delay_ms(self, delay_ms: int) -> None:
        self._tell(delay_ms)

    @property
    def gain_db(self) -> float:
        """Not available, as in the original without `auto_gain_control`.

        Raises
        ------
        RuntimeError
            Always.
        """
        raise RuntimeError("gain_db requires auto_gain_control=True")


class EchoCanceller(_Processor):
    """Only what takes a reference; see `AudioProcessor`. A context manager.

    Parameters
    ----------
    sample_rate, num_channels, stream_delay_ms, model, **settings
        As there.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        num_channels: int = 1,
        stream_delay_ms: int = 0,
        *,
        model: ModelSource = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        super().__init__(
            sample_rate,
            num_channels,
            echo=True,
            passes=False,
            level=1,
            model=model,
            settings=settings,
        )
        self._tell(stream_delay_ms)

    def process(
        self, near: npt.NDArray[_Sample], far: npt.NDArray[_Sample]
    ) -> npt.NDArray[_Sample]:
        """Enhance a block; see `AudioProcessor.process`."""
        return self._run(near, far)

    @property
    def stream_delay_ms(self) -> int:
        """By how much the echo in `near` is later than `far`, as far as was said, in ms."""
        return self._delay_ms

    @stream_delay_ms.setter
    def stream_delay_ms(self, delay_ms: int) -> None:
        self._tell(delay_ms)


class NoiseSuppressor(_Processor):
    """Only what takes no reference; see `AudioProcessor`. A context manager.

    Parameters
    ----------
    sample_rate, num_channels, model, **settings
        As there.
    level
        `ns_level` there.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        num_channels: int = 1,
        level: int = 1,
        *,
        model: ModelSource = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        super().__init__(
            sample_rate,
            num_channels,
            echo=False,
            passes=False,
            level=level,
            model=model,
            settings=settings,
        )

    def process(self, audio: npt.NDArray[_Sample]) -> npt.NDArray[_Sample]:
        """Enhance a block; see `AudioProcessor.process`."""
        return self._run(audio, None)
