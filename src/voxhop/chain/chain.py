"""Chain: models and codecs one after the other, any block length in, on one clock."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from voxhop._bindings import native
from voxhop.chain.links import as_link
from voxhop.chain.metrics import ChainMetrics, link_metrics
from voxhop.chain.native_link import NativeLinks
from voxhop.engine.arrays import FLOAT32, INT16, samples_pointer
from voxhop.engine.native_options import NativeValues, option_values, state_buffer
from voxhop.engine.owner import Owner
from voxhop.errors import ArgumentError, DtypeError, ShapeError
from voxhop.files.offline import opened
from voxhop.media.formats import check_rate
from voxhop.stream.native_options import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_Sample = TypeVar("_Sample", np.float32, np.int16)
_SUFFIX: Final = {FLOAT32: "f32", INT16: "s16"}


class Chain(Owner):
    """Links one after the other, one channel. A context manager; one thread at a time.

    Parameters
    ----------
    links
        At least one: what `voxhop.load` takes, a loaded model, or a link with settings of its
        own (`ModelLink`). Links of one name get a number behind it.
    sample_rate
        Of input and reference in Hz.
    out_sample_rate
        Of the output; `sample_rate` when None.

    Raises
    ------
    ArgumentError
        For no links, links that are none, or rates and hops that are in step too rarely.
    EngineError
        For rates or options that this build, CPU or model cannot serve.
    ModelFileError
        For a model that cannot be loaded.

    Notes
    -----
    Output frame i + `latency_samples` belongs to the moment of output frame i: exactly, from the
    first block on and whatever the lengths of the blocks, which do not change a single bit.
    Between two links the sound is converted to the second's rate, so its band is at most that of
    the narrowest link that no later one widens; a bypassed link narrows it too.
    """

    _noun = "chain"
    _advice = "; open one per stream"

    def __init__(
        self,
        links: Sequence[object],
        *,
        sample_rate: int = 16000,
        out_sample_rate: int | None = None,
    ) -> None:
        self._links = tuple(as_link(link) for link in links)
        if not self._links:
            raise ArgumentError("links: none, expected at least one")
        self._in_rate = check_rate("sample_rate", sample_rate)
        wanted = sample_rate if out_sample_rate is None else out_sample_rate
        self._out_rate = check_rate("out_sample_rate", wanted)
        self._names = _unique([link.name for link in self._links])
        n = native()
        out = n.ffi.new("vh_chain **")
        with contextlib.ExitStack() as stack:
            models = [stack.enter_context(opened(link.model)) for link in self._links]
            rows = NativeLinks(self._links, self._names, models)
            count = len(self._links)
            n.call(n.lib.vh_chain_open, rows.array, count, self._in_rate, self._out_rate, out)
            handles = [model.handle for model in models]
        super().__init__(n.own(out[0], n.lib.vh_chain_close, *handles))
        self._latency = int(n.lib.vh_chain_latency(self._handle))
        self._takes_ref = bool(n.lib.vh_chain_takes_ref(self._handle))
        self._changed: list[dict[str, int | float | str]] = [{} for _ in self._links]
        self._dtype: np.dtype[Any] = FLOAT32

    # -- audio --------------------------------------------------------------------------

    def process(
        self, samples: npt.NDArray[_Sample], ref: npt.NDArray[_Sample] | None = None
    ) -> npt.NDArray[_Sample]:
        """Send a block through the links.

        Parameters
        ----------
        samples
            ``(frames,)``, any number; float32 in about [-1, 1] or int16.
        ref
            What the loudspeaker plays meanwhile, as many frames of the same dtype, for the
            links that take it; None is silence.

        Returns
        -------
        numpy.ndarray
            Of the same dtype. Between equal rates as many frames; else as many as make
            ``floor(frames so far * out_sample_rate / sample_rate)`` in all.

        Raises
        ------
        ShapeError, DtypeError
            For arrays that do not fit.
        ArgumentError
            For a reference that no link takes.
        StateError
            After `close`, or while another thread is inside.
        """
        _check("samples", samples, None)
        if ref is not None:
            _check("ref", ref, samples)
            ref = np.ascontiguousarray(ref)
        samples = np.ascontiguousarray(samples)
        frames = len(samples)
        equal = self._in_rate == self._out_rate
        out = np.empty(
            frames if equal else frames * self._out_rate // self._in_rate + 1, samples.dtype
        )
        written = native().ffi.new("int64_t *")
        self._dtype = samples.dtype
        self._call(
            f"process_{_SUFFIX[samples.dtype]}",
            samples_pointer(samples),
            samples_pointer(ref),
            frames,
            samples_pointer(out),
            len(out),
            written,
        )
        return out[: written[0]]

    def flush(self) -> npt.NDArray[Any]:
        """Return the last `latency_samples` frames, as if silence followed, and start anew.

        They are of the dtype of the last block. All output together then has `latency_samples`
        frames more than input at the output's rate; without the first so many it is aligned.
        """
        out = np.empty(self._latency, self._dtype)
        self._call(f"flush_{_SUFFIX[self._dtype]}", samples_pointer(out), self._latency)
        return out

    def reset(self) -> None:
        """Go back to the state of a new chain, figures and controls included."""
        self._call("reset")

    # -- controls and figures -----------------------------------------------------------

    def set_strength(self, link: int | str, strength: float) -> None:
        """Set a link's share in its output, 0 to 1, from its next hop on.

        Parameters
        ----------
        link
            Its index or its name in `names`.
        strength
            1: all of the link; 0: its input of the same time.
        """
        value = number("strength", strength)
        self._call("set", self._index(link), native().lib.VH_CONTROL_STRENGTH, value)

    def set_bypass(self, link: int | str, bypass: bool) -> None:
        """Pass a link's input through, or stop doing so; faded over one of its hops."""
        self._call("set", self._index(link), native().lib.VH_CONTROL_BYPASS, float(bool(bypass)))

    def set_options(self, link: int | str, **values: float | str) -> None:
        """Change options of a link that may change while running, from its next hop on.

        Those of its model (see `Session.set_options`), or ``kbps``, ``loss`` and ``burst`` of a
        codec.
        """
        index = self._index(link)
        texts = option_values(
            {k: repr(float(v)) if isinstance(v, float) else v for k, v in values.items()}
        )
        native_values = NativeValues(texts)  # alive until the call is over
        self._call("set_options", index, native_values.array, len(texts))
        self._changed[index] |= values

    @property
    def names(self) -> tuple[str, ...]:
        """Of the links, in order."""
        return self._names

    @property
    def sample_rate(self) -> int:
        """Of input and reference, in Hz."""
        return self._in_rate

    @property
    def out_sample_rate(self) -> int:
        """Of the output, in Hz."""
        return self._out_rate

    @property
    def takes_ref(self) -> bool:
        """Whether a link hears the reference."""
        return self._takes_ref

    @property
    def latency_samples(self) -> int:
        """Frames by which the output lags the input, at the output's rate."""
        return self._latency

    @property
    def metrics(self) -> ChainMetrics:
        """Figures so far; they cost nothing until read."""
        n = native()
        raw = n.ffi.new("vh_chain_metrics *")
        raw.struct_size = n.ffi.sizeof(raw[0])
        self._call("get_metrics", raw)
        of_link = n.ffi.new("vh_chain_link_metrics *")
        of_link.struct_size = n.ffi.sizeof(of_link[0])
        links = []
        for i, (name, link) in enumerate(zip(self._names, self._links, strict=True)):
            self._call("get_link_metrics", i, of_link)
            links.append(link_metrics(of_link, name, link.kind))
        loads = [link.load for link in links if link.load is not None]
        return ChainMetrics(
            frames_in=raw.frames_in,
            frames_out=raw.frames_out,
            nonfinite_samples=raw.nonfinite_samples,
            clipped_samples=raw.clipped_samples,
            load=sum(loads) if loads else None,
            latency_samples=self._latency,
            latency_ms=1000 * self._latency / self._out_rate,
            links=tuple(links),
        )

    # -- state --------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return the whole state of the stream, for `load_state`; figures are not in it."""
        size = native().lib.vh_chain_state_size(self._live_handle())
        blob = bytearray(size)
        self._call("state_save", native().ffi.from_buffer(blob), size)
        return bytes(blob)

    def load_state(self, blob: bytes | bytearray | memoryview) -> None:
        """Continue from a state that a chain of the same links and rates saved.

        Raises
        ------
        StateError
            When it is damaged, or another chain's; nothing is changed then.
        """
        data = state_buffer(blob)
        self._call("state_load", data, len(data))

    def fork(self) -> Chain:
        """Return a new chain that continues from where this one is; so do `copy`'s copies."""
        blob = self.state()
        twin = Chain(self._links, sample_rate=self._in_rate, out_sample_rate=self._out_rate)
        for i, values in enumerate(self._changed):
            twin.set_options(i, **values)
        twin.load_state(blob)
        return twin

    def __copy__(self) -> Chain:
        return self.fork()

    def __deepcopy__(self, memo: object) -> Chain:
        return self.fork()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("chain: cannot be pickled; save its state() and open it anew")

    def _index(self, link: int | str) -> int:
        if isinstance(link, str) and link in self._names:
            return self._names.index(link)
        if isinstance(link, int) and 0 <= link < len(self._links):
            return link
        raise ArgumentError(
            f"link: {link!r}, expected 0 to {len(self._links) - 1} or one of "
            f"{', '.join(self._names)}"
        )


def _unique(names: list[str]) -> tuple[str, ...]:
    """Return names with a number behind those that came before."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name}-{counts[name]}")
    return tuple(found)


def _check(name: str, array: object, like: npt.NDArray[Any] | None) -> None:
    if not isinstance(array, np.ndarray):
        raise DtypeError(f"{name}: {type(array).__name__}, expected a numpy array")
    if array.dtype not in _SUFFIX or (like is not None and array.dtype != like.dtype):
        expected = "float32 or int16" if like is None else f"{like.dtype} like samples"
        raise DtypeError(f"{name}: dtype {array.dtype}, expected {expected}")
    if array.ndim != 1 or (like is not None and array.shape != like.shape):
        expected = "(frames,)" if like is None else f"{like.shape} like samples"
        raise ShapeError(f"{name}: shape {array.shape}, expected {expected}")
