"""Session: one stream, one hop at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from voxhop._bindings import native
from voxhop.engine.arrays import FLOAT32, check_hop
from voxhop.engine.native_options import (
    NativeSessionOptions,
    NativeValues,
    option_values,
    state_buffer,
)
from voxhop.engine.opened import Opened
from voxhop.engine.ports import HopArrays
from voxhop.engine.session_info import (
    ALIGN_TAP,
    SessionMetrics,
    SessionOptions,
    read_delay,
)
from voxhop.errors import ArgumentError, DtypeError, ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.models import Model

_Sample = TypeVar("_Sample", np.float32, np.int16)


class Session(Opened):
    """One stream on a model. A context manager; belongs to one thread at a time.

    Parameters
    ----------
    model
        From `voxhop.load`. It may be closed before the session is.
    kernels
        ``"auto"``, ``"fused"`` or ``"stock"`` (plain ggml operations).
    isa
        ``"auto"`` or one of `voxhop.cpu_isas`, for the fused kernels.
    precision
        ``"f32"``, ``"f16"``, ``"bf16"``, ``"int8"``, or ``"auto"``: `ModelInfo.precision`, which
        streams take. Every CPU computes all of them, with the same meaning; where it lacks their
        instructions, bf16 and int8 save memory and not time.
    threads
        Threads that share a hop, at least 1.
    history_first
        Let `prepare` do the share of the work that depends on past hops only.
    comfort_noise
        Whether to add the noise that a model may ask for where it suppresses an echo; see
        ``docs/models.md``.
    values
        The model's own options, by name; see `Model.options`.

    Raises
    ------
    ArgumentError
        For an option that does not exist.
    EngineError
        For an option that this CPU, build or model cannot serve.
    """

    _noun = "session"
    _advice = "; open one per stream"

    def __init__(
        self,
        model: Model,
        *,
        kernels: str = "auto",
        isa: str = "auto",
        precision: str = "f32",
        threads: int = 1,
        history_first: bool = False,
        comfort_noise: bool = True,
        **values: int | str,
    ) -> None:
        options = SessionOptions(kernels, isa, precision, threads, history_first, comfort_noise)
        own = option_values(values)
        super().__init__(_open(model, options, own), model, options, own)
        n = native()
        self._err = n.ffi.new("vh_error *")
        self._null = n.ffi.NULL
        self._from_buffer = n.ffi.from_buffer
        self._floats, self._shorts = n.ffi.typeof("float[]"), n.ffi.typeof("int16_t[]")
        self._process_f32 = n.lib.vh_session_process_f32
        self._process_s16 = n.lib.vh_session_process_s16
        self._hop = int(self._figures.hop_samples)
        self._shape = (self._hop,)
        self._taps = _read_taps(self._handle)
        self._hops = self._last_ns = self._worst_ns = 0

    # -- audio --------------------------------------------------------------------------

    def process_hop(
        self,
        mic: npt.NDArray[_Sample] | None,
        ref: npt.NDArray[_Sample] | None = None,
        *,
        lost: bool = False,
        **inputs: npt.NDArray[Any] | None,
    ) -> npt.NDArray[_Sample]:
        """Compute one hop.

        Parameters
        ----------
        mic
            The first of `inputs`. Audio (a microphone) is ``(hop_length,)`` float32 in about
            [-1, 1] or int16, codes are uint8; always C-contiguous.
        ref
            The second, where that is audio: what the loudspeaker plays, like `mic`; None means
            silence. A model without a reference refuses one.
        lost
            The packet did not arrive: silence (or codes that were not sent) is processed,
            whatever `mic` holds; it may be None.
        **inputs
            Further inputs of the model by their names, such as ``noise``; see `inputs`.

        Returns
        -------
        numpy.ndarray
            The output: audio is like `mic` (float32 where that is not audio),
            `latency_samples` behind it; codes are uint8.

        Raises
        ------
        ArgumentError
            For an input that the model does not have.
        ShapeError, DtypeError
            For an array that does not fit; nothing is converted, copied or padded.
        StateError
            After `close`, or while another thread is inside this session.

        Notes
        -----
        A non-finite sample gives non-finite output and may stay in the state until
        `reset`; `voxhop.enhance` refuses such input.
        """
        if lost or inputs or mic is None or not self._ports.is_audio:
            return self._process_ports(mic, ref, inputs, lost=lost)
        check_hop("mic", mic, self._shape)
        out = np.empty(self._shape, mic.dtype)
        self.process_hop_into(mic, ref, out)
        return out

    def _process_ports(
        self,
        first: npt.NDArray[Any] | None,
        ref: npt.NDArray[Any] | None,
        inputs: dict[str, npt.NDArray[Any] | None],
        *,
        lost: bool,
    ) -> npt.NDArray[Any]:
        """Compute one hop of any model, whose every array has a port of its own."""
        if first is None and not lost:
            raise DtypeError(f"{self._ports.inputs[0].name}: NoneType, expected a numpy array")
        arrays = self._hop_arrays(None if lost else first, ref, inputs, like=first)
        start = time.perf_counter_ns()
        self._call("process", arrays.inputs, arrays.outputs, arrays.sample_type)
        self._count_hop(time.perf_counter_ns() - start)
        return arrays.results[0]

    def _hop_arrays(
        self,
        first: npt.NDArray[Any] | None,
        ref: npt.NDArray[Any] | None,
        inputs: dict[str, npt.NDArray[Any] | None],
        like: npt.NDArray[Any] | None = None,
    ) -> HopArrays:
        """Return the arrays of a hop; audio that comes out is of the dtype of `like`."""
        port, *_ = self._ports.inputs
        if ref is not None:
            self._refuse_ref()
            inputs = {self._ports.inputs[1].name: ref, **inputs}
        dtype = getattr(like, "dtype", FLOAT32) if port.type == "audio" else FLOAT32
        return HopArrays(self._ports, {port.name: first, **inputs}, dtype=dtype)

    def _refuse_ref(self) -> None:
        if not self._ports.takes_ref:
            raise ArgumentError("ref: this model takes no reference, expected None")

    def _count_hop(self, ns: int) -> None:
        self._hops += 1
        self._last_ns = ns
        self._worst_ns = max(self._worst_ns, ns)

    def process_hop_into(
        self,
        mic: npt.NDArray[_Sample],
        ref: npt.NDArray[_Sample] | None,
        out: npt.NDArray[_Sample],
    ) -> None:
        """Enhance one hop into `out`, which may be `mic` or `ref`; allocates no samples.

        Arguments and errors are those of `process_hop`; `out` is like `mic`, writeable.
        """
        if not self._ports.is_audio:
            kinds = f"takes {self._ports.inputs[0].type}, gives {self._ports.outputs[0].type}"
            raise ArgumentError(f"out: this model {kinds}; use process_hop")
        check_hop("mic", mic, self._shape)
        check_hop("out", out, self._shape, mic.dtype)
        if not out.flags.writeable:
            raise ShapeError("out: a read-only array, expected a writeable one")
        if ref is not None:
            self._refuse_ref()
            check_hop("ref", ref, self._shape, mic.dtype)
        is_float = mic.dtype == FLOAT32
        kind = self._floats if is_float else self._shorts
        process = self._process_f32 if is_float else self._process_s16
        buffer = self._from_buffer
        if not self._guard.acquire(blocking=False):
            raise self._busy()
        try:
            start = time.perf_counter_ns()
            code = process(
                self._live_handle(),
                buffer(kind, mic),
                self._null if ref is None else buffer(kind, ref),
                buffer(kind, out),
                self._hop,
                self._err,
            )
            ns = time.perf_counter_ns() - start
        finally:
            self._guard.release()
        if code:
            raise native().error(self._err)
        self._count_hop(ns)

    def skim_hop(
        self,
        mic: npt.NDArray[Any] | None,
        ref: npt.NDArray[Any] | None = None,
        **inputs: npt.NDArray[Any] | None,
    ) -> None:
        """Go past a hop that nobody is to hear.

        What remembers all of the past (a canceller in front of the network) takes note of it; all
        else, taps included, stays as it was. After ``model.info.warm_up_samples`` of whole hops
        the outputs are those of a session that skimmed none. Not counted in `metrics`.

        Arguments and errors are those of `process_hop`; None for `mic` is a packet that was lost.
        """
        arrays = self._hop_arrays(mic, ref, inputs)
        self._call("skim", arrays.inputs, arrays.sample_type)

    def prepare(self) -> None:
        """Do the past's share of the next hop now; nothing without ``history_first``."""
        self._call("prepare")

    def set_options(self, **values: int | str) -> None:
        """Give options of the model that may change while running another value.

        From the next hop on. What both networks have in common of the past goes on; what only
        the new one has (layers, heads, stages of a solver) starts with none.

        Parameters
        ----------
        **values
            By name; `Model.options` tells which may change.

        Raises
        ------
        ArgumentError
            For an option that the model does not have or that may not change, or a value it
            does not take; nothing is changed.

        Notes
        -----
        It builds and allocates: call it between hops, not against a deadline.
        """
        changed = option_values(values)
        native_values = NativeValues(changed)
        self._call("set_options", native_values.array, len(changed))
        self._values = tuple((dict(self._values) | dict(changed)).items())
        self._call("get_figures", self._figures)

    def resize(self, depth: int, heads: int) -> None:
        """Go on with the network of another depth and width; see `set_options`."""
        self.set_options(depth=depth, heads=heads)

    def reset(self) -> None:
        """Go back to the state of a new session."""
        self._call("reset")
        self._forget_metrics()

    # -- state --------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return the whole state of the stream, for `load_state`."""
        size = native().lib.vh_session_state_size(self._live_handle())
        blob = bytearray(size)
        self._call("state_save", self._from_buffer(blob), size)
        return bytes(blob)

    def load_state(self, blob: bytes | bytearray | memoryview) -> None:
        """Continue from a state that a session of the same model and options saved.

        Raises
        ------
        ShapeError
            When the size is wrong.
        StateError
            When it was saved by another model, build or kernel set; nothing is changed.
        """
        data = state_buffer(blob)
        self._call("state_load", data, len(data))
        self._forget_metrics()

    def fork(self) -> Session:
        """Return a new session that continues from where this one is.

        ``copy.copy`` and ``copy.deepcopy`` do the same. A pickle holds the model, the options
        and the state, and opens with the kernels and the instruction set that computed it.
        """
        return _resume(self._model, self._opening(), self.state())

    def __copy__(self) -> Session:
        return self.fork()

    def __deepcopy__(self, memo: object) -> Session:
        return self.fork()

    def __reduce__(self) -> tuple[Any, ...]:
        return _resume, (self._model, self._opening(elsewhere=True), self.state())

    # -- figures ------------------------------------------------------------------------

    @property
    def hop_length(self) -> int:
        """Samples per hop."""
        return self._hop

    @property
    def latency_samples(self) -> int:
        """Samples by which the output lags the input, beyond the hop itself."""
        return int(self._figures.latency_samples)

    @property
    def macs_per_hop(self) -> int:
        """Multiply-accumulates of one hop."""
        return int(self._figures.macs_per_hop)

    @property
    def values(self) -> dict[str, str]:
        """The model's own options that were given, as they are now."""
        return dict(self._values)

    def taps(self) -> dict[str, int]:
        """Return the values inside the model that `tap` reads: name to number of values."""
        return dict(self._taps)

    def tap(self, name: str) -> npt.NDArray[np.float32]:
        """Return a value inside the model after the last hop, ``(count,)`` float32."""
        if name not in self._taps:
            known = ", ".join(self._taps) or "none"
            raise ArgumentError(f"tap {name!r}: unknown; this model has: {known}")
        values = np.zeros(self._taps[name], FLOAT32)
        pointer = self._from_buffer(self._floats, values)
        self._call("read_tap", name.encode(), pointer, values.size)
        return values

    @property
    def metrics(self) -> SessionMetrics:
        """Figures so far; reading them costs what reading one tap costs."""
        started = self._hops > 0
        delay = confidence = None
        if started and self._taps.get(ALIGN_TAP):
            hop_ms = 1000.0 * self._hop / self.sample_rate
            delay, confidence = read_delay(self.tap(ALIGN_TAP), hop_ms)
        return SessionMetrics(
            hops=self._hops,
            delay_ms=delay,
            delay_confidence=confidence,
            last_hop_ms=self._last_ns / 1e6 if started else None,
            worst_hop_ms=self._worst_ns / 1e6 if started else None,
        )

    def _forget_metrics(self) -> None:
        self._hops = self._last_ns = self._worst_ns = 0


def _resume(model: Model, options: dict[str, Any], state: bytes) -> Session:
    """Open a session that continues from a state."""
    session = Session(model, **options)
    session.load_state(state)
    return session


def _open(model: Model, options: SessionOptions, values: tuple[tuple[str, str], ...]) -> Any:  # noqa: ANN401 - a vh_session *
    n = native()
    native_options = NativeSessionOptions(options, values)
    out = n.ffi.new("vh_session **")
    n.call(n.lib.vh_session_open, model.handle, native_options.struct, out)
    return n.own(out[0], n.lib.vh_session_close, model.handle)


def _read_taps(handle: Any) -> dict[str, int]:  # noqa: ANN401 - a vh_session *
    n = native()
    info = n.ffi.new("vh_tap_info *")
    taps = {}
    for i in range(n.lib.vh_session_tap_count(handle)):
        n.call(n.lib.vh_session_get_tap, handle, i, info)
        taps[n.text(info.name)] = int(info.count)
    return taps
