"""SessionGroup: many streams on one model, processed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxhop._arrays import FLOAT32, check_hop
from voxhop._bindings import native
from voxhop._native_options import NativeSessionOptions
from voxhop._owner import Owner
from voxhop.errors import ArgumentError, ShapeError
from voxhop.session_info import SessionInfo, SessionOptions, read_info

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.models import Model


class SessionGroup(Owner):
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
    kernels, isa, precision
        As for `Session`.
    threads
        Threads that share the streams; each computes whole hops.

    Raises
    ------
    ArgumentError
        For an option that does not exist.
    EngineError
        For an option that this CPU, build or model cannot serve.
    """

    _noun = "group"

    def __init__(
        self,
        model: Model,
        streams: int,
        *,
        kernels: str = "auto",
        isa: str = "auto",
        precision: str = "f32",
        threads: int = 1,
    ) -> None:
        if isinstance(streams, bool) or not isinstance(streams, int) or streams < 1:
            raise ArgumentError(f"streams: {streams!r}, expected a whole number from 1")
        options = NativeSessionOptions(SessionOptions(kernels, isa, precision, threads))
        n = native()
        out = n.ffi.new("vh_group **")
        n.call(n.lib.vh_group_open, model.handle, options.struct, streams, out)
        super().__init__(n.own(out[0], n.lib.vh_group_close, model.handle))
        self._streams = streams
        self._hop = model.info.hop_samples

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
        n = native()
        flags = n.ffi.NULL
        if active is not None:
            if active.shape != (self._streams,) or active.dtype != np.bool_:
                raise ShapeError(
                    f"active: shape {active.shape} of {active.dtype}, "
                    f"expected ({self._streams},) of bool"
                )
            flags = n.ffi.from_buffer("uint8_t[]", np.ascontiguousarray(active).view(np.uint8))
        self._call(
            "process_f32",
            n.ffi.from_buffer("float[]", mic),
            n.ffi.NULL if ref is None else n.ffi.from_buffer("float[]", ref),
            flags,
            n.ffi.from_buffer("float[]", out),
            self._hop,
        )
        return out

    def reset(self, stream: int | None = None) -> None:
        """Put one stream, or all with None, back to the state of a new one."""
        if stream is not None and not 0 <= stream < self._streams:
            raise ArgumentError(f"stream: {stream}, expected 0 to {self._streams - 1}")
        self._call("reset", -1 if stream is None else stream)

    @property
    def streams(self) -> int:
        """Number of streams."""
        return self._streams

    @property
    def hop_length(self) -> int:
        """Samples per hop and stream."""
        return self._hop

    @property
    def info(self) -> SessionInfo:
        """What the group runs on; `state_bytes` per stream, `scratch_bytes` per thread."""
        return read_info(self._call)
