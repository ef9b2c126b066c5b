"""Chain: models and codecs one after the other, any block length in, on one clock."""

from __future__ import annotations

import contextlib
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from voxhop.chain.clock import latency_samples
from voxhop.chain.links import as_link, check_strength
from voxhop.chain.metrics import ChainMetrics
from voxhop.chain.resampling import Queue, Resampler
from voxhop.chain.slot import Slot
from voxhop.chain.state import pack_state, unpack_state
from voxhop.engine.closing import Closing
from voxhop.errors import ArgumentError, DtypeError, ShapeError, StateError
from voxhop.media.formats import check_rate, from_float

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_Sample = TypeVar("_Sample", np.float32, np.int16)
_FLOAT, _SHORT = np.dtype(np.float32), np.dtype(np.int16)
_FULL_SCALE: Final = np.float32(32768)


class Chain(Closing):
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
        self._guard = threading.Lock()
        self._slots: list[Slot] = []
        with contextlib.ExitStack() as stack:
            before = self._in_rate
            for link in self._links:
                stage = link.open()
                stack.callback(stage.close)
                self._slots.append(Slot(link, stage, before, self._in_rate))
                before = stage.clock.rate
            self._convert = Resampler(before, self._out_rate)
            self._added = self._latencies()
            self._exit = stack.pop_all()
        self._names = _unique([link.name for link in self._links])
        self._out = Queue(self.latency_samples)
        self._takes_ref = any(slot.clock.takes_ref for slot in self._slots)
        self._closed = False
        self._dtype: np.dtype[Any] = _FLOAT
        self._frames_in, self._frames_out, self._nonfinite, self._clipped = 0, 0, 0, 0

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
            if not self._takes_ref:
                raise ArgumentError("ref: no link of this chain takes a reference, expected None")
            _check("ref", ref, samples)
        with self._inside():
            dtype = self._dtype = samples.dtype
            x = self._finite(samples)
            r = np.zeros_like(x) if ref is None else self._finite(ref)
            self._push(x, r)
            self._frames_in += len(x)
            total = self._frames_in * self._out_rate // self._in_rate
            out = self._out.pop(total - self._frames_out)
            self._frames_out = total
            if dtype == _SHORT:
                self._clipped += int(np.count_nonzero(np.abs(out) > 1.0))
        return from_float(out, dtype)

    def flush(self) -> npt.NDArray[Any]:
        """Return the last `latency_samples` frames, as if silence followed, and start anew.

        They are of the dtype of the last block. All output together then has `latency_samples`
        frames more than input at the output's rate; without the first so many it is aligned.
        """
        out, left = [], self.latency_samples
        silence = np.zeros(self._in_rate // 10 + 1, self._dtype)
        while left > 0:
            ready = self.process(silence)[:left]
            left -= len(ready)
            out.append(ready)
        self.reset()
        return np.concatenate(out) if out else np.zeros(0, self._dtype)

    def reset(self) -> None:
        """Go back to the state of a new chain, figures and controls included."""
        with self._inside():
            for slot in self._slots:
                slot.reset()
            self._convert.reset()
            self._out.reset()
            self._forget()

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
        slot = self._slot(link)
        check_strength(slot.link.name, strength)
        with self._inside():
            slot.controls.strength = float(strength)

    def set_bypass(self, link: int | str, bypass: bool) -> None:
        """Pass a link's input through, or stop doing so; faded over one of its hops."""
        slot = self._slot(link)
        with self._inside():
            slot.controls.bypass = bool(bypass)

    def set_options(self, link: int | str, **values: int | str) -> None:
        """Change options of a link's model that may change while running; see `Session`."""
        slot = self._slot(link)
        with self._inside():
            slot.stage.set_options(**values)

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
        return sum(self._added)

    @property
    def metrics(self) -> ChainMetrics:
        """Figures so far; they cost nothing until read."""
        with self._inside():
            links = tuple(
                slot.metrics(added) for slot, added in zip(self._slots, self._added, strict=True)
            )
        loads = [link.load for link in links if link.load is not None]
        return ChainMetrics(
            frames_in=self._frames_in,
            frames_out=self._frames_out,
            nonfinite_samples=self._nonfinite,
            clipped_samples=self._clipped,
            load=sum(loads) if loads else None,
            latency_samples=self.latency_samples,
            latency_ms=1000 * self.latency_samples / self._out_rate,
            links=links,
        )

    # -- state --------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return the whole state of the stream, for `load_state`; figures are not in it."""
        with self._inside():
            counts = np.array([self._frames_in, self._frames_out], "<i8").tobytes()
            own = [counts, self._convert.state(), self._out.state()]
            return pack_state(self._identity(), [own, *(slot.state() for slot in self._slots)])

    def load_state(self, blob: bytes | bytearray | memoryview) -> None:
        """Continue from a state that a chain of the same links and rates saved.

        Raises
        ------
        StateError
            When it is damaged, or another chain's; nothing is changed then. A link that refuses
            its part leaves the chain as after `reset`.
        """
        own, *links = unpack_state(self._identity(), blob, 1 + len(self._slots))
        try:
            with self._inside():
                for slot, parts in zip(self._slots, links, strict=True):
                    slot.load_state(parts)
                self._convert.load_state(own[1])
                self._out.load_state(own[2])
                self._forget()
                self._frames_in, self._frames_out = map(int, np.frombuffer(own[0], "<i8"))
        except StateError:
            if not self._closed:
                self.reset()
            raise

    def fork(self) -> Chain:
        """Return a new chain that continues from where this one is; so do `copy`'s copies."""
        blob = self.state()
        twin = Chain(self._links, sample_rate=self._in_rate, out_sample_rate=self._out_rate)
        for slot, other in zip(self._slots, twin._slots, strict=True):
            other.stage.set_options(**slot.stage.changed_options())
        twin.load_state(blob)
        return twin

    def __copy__(self) -> Chain:
        return self.fork()

    def __deepcopy__(self, memo: object) -> Chain:
        return self.fork()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("chain: cannot be pickled; save its state() and open it anew")

    def close(self) -> None:
        """Close the links. May be repeated.

        Raises
        ------
        StateError
            While another thread is inside.
        """
        if self._closed:
            return
        with self._inside():
            self._closed = True
            self._exit.close()

    # -- inside -------------------------------------------------------------------------

    def _push(self, samples: Floats, ref: Floats) -> None:
        for slot in self._slots:
            samples = slot.run(samples, ref if slot.clock.takes_ref else None)
        self._out.push(self._convert.process(samples))

    def _latencies(self) -> list[int]:
        """Return what each link adds to the latency, the first with the conversions."""
        clocks = [slot.clock for slot in self._slots]
        sums = [0] + [
            latency_samples(self._in_rate, clocks[: i + 1], self._out_rate)
            for i in range(len(clocks))
        ]
        return [after - before for before, after in pairwise(sums)]

    def _identity(self) -> str:
        links = "; ".join(link.identity() for link in self._links)
        return f"{self._in_rate} {links} {self._out_rate}"

    def _slot(self, link: int | str) -> Slot:
        if isinstance(link, str) and link in self._names:
            return self._slots[self._names.index(link)]
        if isinstance(link, int) and 0 <= link < len(self._slots):
            return self._slots[link]
        raise ArgumentError(
            f"link: {link!r}, expected 0 to {len(self._slots) - 1} or one of "
            f"{', '.join(self._names)}"
        )

    def _finite(self, samples: npt.NDArray[Any]) -> Floats:
        """Return a block as float32; what is not finite counts as zero."""
        if samples.dtype == _SHORT:
            return samples.astype(np.float32) / _FULL_SCALE
        good = np.isfinite(samples)
        if good.all():
            return np.ascontiguousarray(samples)
        self._nonfinite += int(np.count_nonzero(~good))
        return np.where(good, samples, np.float32(0))

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        if not self._guard.acquire(blocking=False):
            raise StateError("chain: used by two threads at once; open one per stream")
        try:
            if self._closed:
                raise StateError("chain: used after close()")
            yield
        finally:
            self._guard.release()

    def _forget(self) -> None:
        self._frames_in = self._frames_out = self._nonfinite = self._clipped = 0


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
    if array.dtype not in (_FLOAT, _SHORT) or (like is not None and array.dtype != like.dtype):
        expected = "float32 or int16" if like is None else f"{like.dtype} like samples"
        raise DtypeError(f"{name}: dtype {array.dtype}, expected {expected}")
    if array.ndim != 1 or (like is not None and array.shape != like.shape):
        expected = "(frames,)" if like is None else f"{like.shape} like samples"
        raise ShapeError(f"{name}: shape {array.shape}, expected {expected}")
