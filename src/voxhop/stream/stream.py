"""Stream: any block length, rate, dtype and clock."""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from voxhop._bindings import native
from voxhop.engine.arrays import samples_pointer
from voxhop.engine.native_options import NativeSessionOptions, option_values
from voxhop.engine.owner import Owner
from voxhop.engine.session_info import SessionOptions
from voxhop.errors import ArgumentError, DtypeError, ShapeError
from voxhop.stream.native_options import native_stream_options
from voxhop.stream.types import StreamMetrics, StreamOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    import numpy.typing as npt

    from voxhop.models import Model

_Sample = TypeVar("_Sample", np.float32, np.int16)
_DTYPES: Final = (np.dtype(np.float32), np.dtype(np.int16))
_NAN_IS_NONE: Final = ("delay_ms", "drift_ppm", "model_delay_ms", "erle_db")
_FLAGS: Final = tuple(f.name for f in fields(StreamMetrics) if f.type == "bool")


class Stream(Owner):
    """Enhances audio in blocks of any length, at any common rate. A context manager.

    One thread at a time may use it, except that one other thread may call `push_ref`.

    Parameters
    ----------
    model
        From `voxhop.load`.
    options
        How the session inside computes.
    model_rate
        Where a model has an option ``sample_rate``: the one that it works at. None: that of
        the caller, or the next above, or the highest that it has.
    **settings
        The fields of `StreamOptions`, for example ``sample_rate=48000, delay_ms="auto"``, and
        the model's own options (`Model.options`), for example ``depth=6, heads=2``.

    Raises
    ------
    ArgumentError
        For a setting that is unknown or out of range.
    EngineError
        For a rate or an option that this build, CPU or model cannot serve.

    Notes
    -----
    Output frame i + `latency_samples` belongs to microphone frame i: exactly, from the first
    block on and whatever the lengths of the blocks, which do not change a single bit.
    """

    _noun = "stream"
    _advice = "; open one per call"

    def __init__(
        self,
        model: Model,
        *,
        options: SessionOptions | None = None,
        model_rate: int | None = None,
        **settings: Any,  # noqa: ANN401 - typed by StreamOptions and the model
    ) -> None:
        own = {f.name for f in fields(StreamOptions)}
        self._settings = StreamOptions(**{k: v for k, v in settings.items() if k in own})
        values = {k: v for k, v in settings.items() if k not in own}
        _check_known(model, own, values)
        if model_rate is not None:
            values["sample_rate"] = model_rate
        self._values = option_values(values)
        n = native()
        options = options or SessionOptions()
        session = NativeSessionOptions(options, self._values)
        out = n.ffi.new("vh_stream **")
        n.call(
            n.lib.vh_stream_open, model.handle, native_stream_options(self._settings, session), out
        )
        super().__init__(n.own(out[0], n.lib.vh_stream_close, model.handle))
        if not options.comfort_noise:
            self._call("set", n.lib.VH_CONTROL_COMFORT_NOISE, 0.0)
        self._latency = int(n.lib.vh_stream_latency(self._handle))
        self._dtype: np.dtype[Any] = _DTYPES[0]
        self._ref_guard = threading.Lock()  # of the reference's thread, against close() only
        self._had_ref = self._told_missing = False
        self._unchecked = 0

    # -- audio --------------------------------------------------------------------------

    def process(
        self, mic: npt.NDArray[_Sample], ref: npt.NDArray[_Sample] | None = None
    ) -> npt.NDArray[_Sample]:
        """Enhance a block.

        Parameters
        ----------
        mic
            ``(frames,)`` for one channel or ``(frames, channels)``, any number of frames;
            float32 in about [-1, 1] or int16.
        ref
            What the loudspeaker plays meanwhile: as many frames of `ref_channels`, of the
            same dtype. None when this stretch of it is missing. A model that takes a microphone
            alone refuses one.

        Returns
        -------
        numpy.ndarray
            Shape and dtype of `mic`, `latency_samples` behind it.

        Raises
        ------
        ShapeError, DtypeError
            For arrays that do not fit.
        StateError
            After `close`, or while another thread is inside this stream.
        """
        frames = self._frames("mic", mic, self._settings.channels)
        if ref is not None:
            self._had_ref = True
            ref = self._reference(ref, mic.dtype)
            found = self._frames("ref", ref, self._settings.ref_channels)
            if found != frames:
                raise ShapeError(f"ref: {found} frames, expected {frames} like mic")
        elif self._had_ref:
            self._tell_missing()
        mic = np.ascontiguousarray(mic)
        out = np.empty_like(mic)
        name = "process_f32" if mic.dtype == _DTYPES[0] else "process_s16"
        self._dtype = mic.dtype
        self._call(name, samples_pointer(mic), samples_pointer(ref), samples_pointer(out), frames)
        return out

    def process_lost(self, frames: int, ref: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Go on where a packet did not arrive.

        Zeros take its place for exactly so long. A model that was trained for it (SEFlow) fills
        the gap; a burst of more than 0.8 s fades to silence by 1.2 s.

        Parameters
        ----------
        frames
            Length of what was lost, any number of frames.
        ref
            What the loudspeaker plays meanwhile, as for `process`. None after `push_mic`.

        Returns
        -------
        numpy.ndarray
            ``(frames,)`` or ``(frames, channels)`` of the dtype of the block before (float32
            at first), `latency_samples` behind.

        Raises
        ------
        ArgumentError, ShapeError, DtypeError
            For a number or an array that does not fit.
        """
        if isinstance(frames, bool) or not hasattr(frames, "__index__"):
            raise DtypeError(f"frames: {frames!r}, expected a whole number")
        count = frames.__index__()
        if count < 0:
            raise ArgumentError(f"frames: {count}, expected 0 or more")
        if ref is not None:
            self._had_ref = True
            ref = self._reference(ref, self._dtype)
            found = self._frames("ref", ref, self._settings.ref_channels)
            if found != count:
                raise ShapeError(f"ref: {found} frames, expected the {count} that were lost")
        out = np.empty(self._shape(count), self._dtype)
        name = "process_lost_f32" if self._dtype == _DTYPES[0] else "process_lost_s16"
        self._call(name, samples_pointer(ref), samples_pointer(out), count)
        return out

    def push_ref(self, ref: npt.NDArray[Any], *, position: int | None = None) -> None:
        """Hand over what the loudspeaker is about to play. One other thread may call this.

        Parameters
        ----------
        ref
            ``(frames,)`` or ``(frames, ref_channels)``, float32 or int16.
        position
            Number of its first frame in the reference's own count, so that a lost block
            becomes silence instead of moving all that follows; right after the previous
            block when None.
        """
        ref = self._reference(ref, None)
        frames = self._frames("ref", ref, self._settings.ref_channels)
        if position is not None and position < 0:
            raise ArgumentError(f"position: {position}, expected 0 or more")
        suffix = "f32" if ref.dtype == _DTYPES[0] else "s16"
        at = -1 if position is None else position
        with self._ref_guard:  # the microphone's thread never waits here
            push = getattr(native().lib, f"vh_stream_push_ref_{suffix}")
            native().call(push, self._live_handle(), samples_pointer(ref), frames, at)
        self._had_ref = True

    def push_mic(self, mic: npt.NDArray[_Sample]) -> npt.NDArray[_Sample]:
        """Enhance a block against the reference that `push_ref` gave so far.

        Arguments, result and errors are those of `process`.
        """
        frames = self._frames("mic", mic, self._settings.channels)
        mic = np.ascontiguousarray(mic)
        out = np.empty_like(mic)
        name = "push_mic_f32" if mic.dtype == _DTYPES[0] else "push_mic_s16"
        self._dtype = mic.dtype
        self._call(name, samples_pointer(mic), samples_pointer(out), frames)
        self._unchecked += frames
        if self._had_ref and not self._told_missing and self._unchecked > self.sample_rate:
            self._unchecked = 0
            if self.metrics.ref_missing:
                self._tell_missing()
        return out

    def flush(self) -> npt.NDArray[Any]:
        """Return the last `latency_samples` frames, and start anew as after `reset`.

        All output together then has `latency_samples` frames more than all input; without the
        first `latency_samples` of them it is aligned with the input.
        """
        out = np.empty(self._shape(self._latency), self._dtype)
        name = "flush_f32" if out.dtype == _DTYPES[0] else "flush_s16"
        self._call(name, samples_pointer(out), self._latency)
        self._forget()
        return out

    async def iterate(
        self,
        blocks: AsyncIterable[Any],
        *,
        flush: bool = True,
    ) -> AsyncIterator[npt.NDArray[Any]]:
        """Enhance an asynchronous sequence of blocks, off the event loop.

        Parameters
        ----------
        blocks
            Microphone blocks, or pairs of microphone and reference (or None).
        flush
            Yield the tail at the end.

        Yields
        ------
        numpy.ndarray
            One block per block, computed on a thread of this call's own.
        """
        import asyncio  # noqa: PLC0415 - a program with an event loop has loaded it
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - the same

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="voxhop") as executor:
            async for block in blocks:
                mic, ref = block if isinstance(block, tuple) else (block, None)
                yield await loop.run_in_executor(executor, self.process, mic, ref)
            if flush:
                yield await loop.run_in_executor(executor, self.flush)

    def reset(self) -> None:
        """Go back to the state of a new stream, figures and controls included."""
        self._call("reset")
        self._forget()

    # -- controls and figures -----------------------------------------------------------

    def set_strength(self, strength: float) -> None:
        """Set the share of the model in the output, 0 to 1, from the next hop on."""
        self._call("set", native().lib.VH_CONTROL_STRENGTH, strength)

    def set_floor_db(self, floor_db: float) -> None:
        """Set by how much a hop may be lowered at most; infinity: by anything."""
        self._call("set", native().lib.VH_CONTROL_FLOOR_DB, floor_db)

    def set_gate_dbfs(self, gate_dbfs: float) -> None:
        """Set the level below which output is muted; -infinity: never."""
        self._call("set", native().lib.VH_CONTROL_GATE_DBFS, gate_dbfs)

    def set_bypass(self, bypass: bool) -> None:
        """Pass the microphone through, or stop doing so; cross-faded over 20 ms."""
        self._call("set", native().lib.VH_CONTROL_BYPASS, float(bypass))

    def set_skim(self, skim: bool) -> None:
        """Hear what comes without working on it, from the next hop on, or stop doing so.

        Meanwhile the microphone passes through, and figures of levels and times stand still.
        See `Session.skim_hop`.
        """
        self._call("set", native().lib.VH_CONTROL_SKIM, float(skim))

    @property
    def metrics(self) -> StreamMetrics:
        """Figures so far; they cost nothing until read."""
        n = native()
        raw = n.ffi.new("vh_stream_metrics *")
        raw.struct_size = n.ffi.sizeof("vh_stream_metrics")
        self._call("get_metrics", raw)
        values = {f.name: getattr(raw, f.name) for f in fields(StreamMetrics)}
        for name in _NAN_IS_NONE:
            if values[name] != values[name]:
                values[name] = None
        if values["model_delay_ms"] is None:
            values["model_confidence"] = None
        for name in _FLAGS:
            values[name] = bool(values[name])
        values["precision"] = n.text(raw.precision)
        return StreamMetrics(**values)

    @property
    def latency_samples(self) -> int:
        """Frames by which the output lags the microphone, at `sample_rate`."""
        return self._latency

    @property
    def sample_rate(self) -> int:
        """Of microphone, reference and output, in Hz."""
        return self._settings.sample_rate

    @property
    def settings(self) -> StreamOptions:
        """What the stream was opened with."""
        return self._settings

    @property
    def values(self) -> dict[str, str]:
        """The model's own options that were given; its rate is ``sample_rate``."""
        return dict(self._values)

    # -- inside -------------------------------------------------------------------------

    def _release(self) -> None:
        with self._ref_guard:
            super()._release()

    def _shape(self, frames: int) -> tuple[int, ...]:
        channels = self._settings.channels
        return (frames,) if channels == 1 else (frames, channels)

    def _frames(self, name: str, array: object, channels: int) -> int:
        """Return the number of frames, or raise for what does not fit."""
        if not isinstance(array, np.ndarray):
            raise DtypeError(f"{name}: {type(array).__name__}, expected a numpy array")
        if array.dtype not in _DTYPES:
            raise DtypeError(f"{name}: dtype {array.dtype}, expected float32 or int16")
        flat = array.ndim == 1 and channels == 1
        if not flat and (array.ndim != 2 or array.shape[1] != channels):  # noqa: PLR2004 - rank
            expected = "(frames,)" if channels == 1 else f"(frames, {channels})"
            raise ShapeError(f"{name}: shape {array.shape}, expected {expected}")
        return int(array.shape[0])

    def _reference(self, ref: Any, dtype: np.dtype[Any] | None) -> npt.NDArray[Any]:  # noqa: ANN401
        if isinstance(ref, np.ndarray) and dtype is not None and ref.dtype != dtype:
            raise DtypeError(f"ref: dtype {ref.dtype}, expected {dtype} like mic")
        return np.ascontiguousarray(ref) if isinstance(ref, np.ndarray) else ref

    def _tell_missing(self) -> None:
        if not self._told_missing:
            self._told_missing = True
            import logging  # noqa: PLC0415 - said once; not needed to import voxhop

            logging.getLogger("voxhop").warning(
                "stream: the reference is missing; policy %r until it comes again "
                "(said once, counted in metrics.ref_missing_frames)",
                self._settings.missing_ref,
            )

    def _forget(self) -> None:
        self._had_ref = self._told_missing = False
        self._unchecked = 0


def _check_known(model: Model, own: set[str], values: dict[str, Any]) -> None:
    """Raise for a name that neither a stream nor the model knows."""
    if not values:
        return
    offered = {option.name for option in model.options} - own
    if unknown := sorted(set(values) - offered):
        expected = ", ".join(sorted(own | offered))
        raise ArgumentError(f"Stream: unknown setting {unknown[0]!r}, expected {expected}")
