"""SessionGroup: many streams on one model, processed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxhop._bindings import native
from voxhop.engine.arrays import FLOAT32, check_hop
from voxhop.engine.native_options import NativeSessionOptions, option_values, state_buffer
from voxhop.engine.opened import Opened
from voxhop.engine.ports import HopArrays
from voxhop.engine.session_info import split_options
from voxhop.errors import ArgumentError, DtypeError, ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.models import Model


class SessionGroup(Opened):
    """`streams` streams on one model, one hop of each per call.

    Weights and activations are shared, so a stream costs its state bytes only; each
    stream's output is bit for bit what a `Session` would give. A context manager; belongs
    to one thread at a time.

    Parameters
    ----------
    model
        From `voxhop.load`. It may be closed before the group is.
    streams
        Number of streams, at least 1.
    **options
        Those of `Session`, the model's own among them. `threads` share the streams; each computes
        whole hops.

    Raises
    ------
    ArgumentError
        For an option that does not exist.
    EngineError
        For an option that this CPU, build or model cannot serve.

    Notes
    -----
    ``copy.copy``, ``copy.deepcopy`` and pickles make a new group whose streams continue from
    where these are.
    """

    _noun = "group"

    def __init__(self, model: Model, streams: int, **options: Any) -> None:  # noqa: ANN401 - those of Session
        if isinstance(streams, bool) or not isinstance(streams, int) or streams < 1:
            raise ArgumentError(f"streams: {streams!r}, expected a whole number from 1")
        general, own = split_options({"precision": "f32", **options})
        values = option_values(own)
        native_options = NativeSessionOptions(general, values)
        n = native()
        out = n.ffi.new("vh_group **")
        n.call(n.lib.vh_group_open, model.handle, native_options.struct, streams, out)
        super().__init__(n.own(out[0], n.lib.vh_group_close, model.handle), model, general, values)
        self._streams = streams
        self._hop = int(self._figures.hop_samples)

    def process(
        self,
        mic: npt.NDArray[np.float32],
        ref: npt.NDArray[np.float32] | None = None,
        *,
        active: npt.NDArray[np.bool_] | None = None,
        out: npt.NDArray[np.float32] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Enhance one hop of every stream.

        Parameters
        ----------
        mic
            Microphones, ``(streams, hop_length)`` float32, C-contiguous.
        ref
            What each loudspeaker plays, like `mic`; None means silence.
        active
            ``(streams,)`` bool: False leaves a stream's state and its row of `out` alone;
            None means all.
        out
            Where the result goes, like `mic`; may be `mic` or `ref`. None makes a new
            array, with zeros for inactive streams.

        Returns
        -------
        numpy.ndarray
            `out`, each row `Session.latency_samples` behind its microphone.

        Raises
        ------
        ShapeError, DtypeError
            For an array that does not fit; nothing is converted, copied or padded.
        StateError
            After `close`, or while another thread is inside this group.
        """
        shape = (self._streams, self._hop)
        check_hop("mic", mic, shape, FLOAT32)
        if ref is not None:
            check_hop("ref", ref, shape, FLOAT32)
        if out is None:
            out = np.zeros(shape, FLOAT32)
        check_hop("out", out, shape, FLOAT32)
        if not out.flags.writeable:
            raise ShapeError("out: a read-only array, expected a writeable one")
        ffi = native().ffi
        self._call(
            "process_f32",
            ffi.from_buffer("float[]", mic),
            ffi.NULL if ref is None else ffi.from_buffer("float[]", ref),
            self._flags(active),
            ffi.from_buffer("float[]", out),
            self._hop,
        )
        return out

    def process_ports(
        self,
        *,
        active: npt.NDArray[np.bool_] | None = None,
        dtype: npt.DTypeLike = FLOAT32,
        **inputs: npt.NDArray[Any] | None,
    ) -> tuple[npt.NDArray[Any], ...]:
        """Compute one hop of every stream of any model.

        Parameters
        ----------
        active
            As for `process`.
        dtype
            Of audio that comes out where none goes in; float32 or int16.
        **inputs
            An array ``(streams, count)`` for each of `inputs`, by name. None where nothing is
            given: an optional input is left out, any other was lost.

        Returns
        -------
        tuple of numpy.ndarray
            One ``(streams, count)`` for each of `outputs`; zeros for inactive streams.

        Raises
        ------
        ArgumentError, ShapeError, DtypeError, StateError
            As `Session.process_hop`.
        """
        arrays = HopArrays(self._ports, inputs, self._streams, dtype)
        self._call(
            "process", arrays.inputs, self._flags(active), arrays.outputs, arrays.sample_type
        )
        return tuple(arrays.results)

    def prepare(self, *, active: npt.NDArray[np.bool_] | None = None) -> None:
        """Do the past's share of the next hop now; nothing without ``history_first``.

        Parameters
        ----------
        active
            For which streams, as for `process`; None means all. The others do it in
            `process`.
        """
        self._call("prepare", self._flags(active))

    def reset(self, stream: int | None = None) -> None:
        """Put one stream, or all with None, back to the state of a new one."""
        self._call("reset", -1 if stream is None else self._index("stream", stream))

    def state(self, stream: int) -> bytes:
        """Return the whole state of one stream.

        For `load_state`, also of a `Session` with the same model, kernels, instruction set
        and precision; threads and ``history_first`` need not be the same.
        """
        index = self._index("stream", stream)
        size = native().lib.vh_group_state_size(self._live_handle())
        blob = bytearray(size)
        self._call("state_save", index, native().ffi.from_buffer(blob), size)
        return bytes(blob)

    def load_state(self, stream: int, blob: bytes | bytearray | memoryview) -> None:
        """Let one stream continue from a state that `state` or `Session.state` returned.

        Raises
        ------
        ShapeError
            When the size is wrong.
        StateError
            When it was saved by another model, build or kernel set; nothing is changed.
        """
        data = state_buffer(blob)
        self._call("state_load", self._index("stream", stream), data, len(data))

    def fork(self, stream: int, into: int) -> None:
        """Let the stream `into` continue from where `stream` is."""
        self._call("fork", self._index("stream", stream), self._index("into", into))

    def __copy__(self) -> SessionGroup:
        return _resume(self._model, self._opening(), self._states())

    def __deepcopy__(self, memo: object) -> SessionGroup:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _resume, (self._model, self._opening(elsewhere=True), self._states())

    def _states(self) -> list[bytes]:
        return [self.state(stream) for stream in range(self._streams)]

    @property
    def streams(self) -> int:
        """Number of streams."""
        return self._streams

    @property
    def hop_length(self) -> int:
        """Samples per hop and stream."""
        return self._hop

    def _index(self, name: str, stream: int) -> int:
        if isinstance(stream, bool) or not hasattr(stream, "__index__"):
            raise DtypeError(f"{name}: {stream!r}, expected a whole number")
        if not 0 <= stream < self._streams:
            raise ArgumentError(f"{name}: {stream}, expected 0 to {self._streams - 1}")
        return stream.__index__()

    def _flags(self, active: npt.NDArray[np.bool_] | None) -> Any:  # noqa: ANN401 - a uint8_t *
        """Return `active` as C reads it, or raise for what does not fit."""
        if active is None:
            return native().ffi.NULL
        if not isinstance(active, np.ndarray):
            raise DtypeError(f"active: {type(active).__name__}, expected a numpy array")
        if active.shape != (self._streams,) or active.dtype != np.bool_:
            raise ShapeError(
                f"active: shape {active.shape} of {active.dtype}, "
                f"expected ({self._streams},) of bool"
            )
        flags = np.ascontiguousarray(active).view(np.uint8)
        return native().ffi.from_buffer("uint8_t[]", flags)


def _resume(model: Model, options: dict[str, Any], states: list[bytes]) -> SessionGroup:
    """Open a group whose streams continue from states."""
    group = SessionGroup(model, len(states), **options)
    for stream, state in enumerate(states):
        group.load_state(stream, state)
    return group
