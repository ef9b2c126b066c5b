"""Live coding: sound in and codes out, and the other way round, any amount at a time."""

from __future__ import annotations

import contextlib
import struct
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import numpy as np

from voxhop.codec.container import frames_for
from voxhop.codec.packing import CODEC_RATE, checked_codes, groups_of
from voxhop.engine.arrays import FLOAT32, INT16
from voxhop.engine.closing import Closing
from voxhop.engine.owner import new_guard
from voxhop.errors import ArgumentError, DtypeError, ShapeError, StateError
from voxhop.files.choice import best_model
from voxhop.files.offline import opened
from voxhop.media.formats import from_float

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy.typing as npt

    from voxhop.codec.packing import Codes
    from voxhop.engine.session import Session
    from voxhop.models import Model

    ModelSource = Model | str | os.PathLike[str] | bytes

_Self = TypeVar("_Self", bound="_Coder")
_NOT_SENT: Final = 255
FRONT_END: Final = "front-end"


def enhancer_before(codec: Model) -> str | None:
    """Return the model that has to clean what is coded; None where a front-end does."""
    if FRONT_END in _parts(codec):
        return None
    return best_model(CODEC_RATE, has_ref=False, settings={})


def _parts(model: Model) -> tuple[str, ...]:
    return next((o.choices for o in model.options if o.name == "part"), ())


class _Coder(Closing):
    """A session of one part of a codec, used by one thread at a time."""

    _noun: ClassVar[str]
    _magic: ClassVar[bytes]
    _fields: ClassVar[struct.Struct]

    def __init__(self, model: ModelSource, part: str, options: dict[str, Any]) -> None:
        self._guard = new_guard()
        with opened(model) as loaded:
            info = loaded.info
            if info.purpose != "codec":
                raise ArgumentError(f"model: {info.architecture}, expected a speech codec")
            parts = _parts(loaded)
            if part not in parts:
                raise ArgumentError(f"model: holds {', '.join(parts)}, expected the {part}")
            self._session: Session = loaded.session(part=part, **{"precision": "auto", **options})
            self._metadata = dict(loaded.metadata)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the sound in Hz."""
        return self._session.sample_rate

    @property
    def frame_length(self) -> int:
        """Samples per frame of codes."""
        return self._session.hop_length

    @property
    def session(self) -> Session:
        """What computes: its figures, options and taps."""
        return self._session

    def reset(self) -> None:
        """Go back to the start of a stream."""
        with self._inside():
            self._session.reset()
            self._begin()

    def state(self) -> bytes:
        """Return the whole state of the stream, for `load_state`."""
        with self._inside():
            return self._magic + self._fields.pack(*self._counts()) + self._rest()

    def load_state(self, blob: bytes | bytearray | memoryview) -> None:
        """Continue from a state of the same model, part and options.

        Raises
        ------
        StateError, ShapeError
            When it is of another kind, model, build or kernel set; nothing is changed.
        """
        data = bytes(blob)
        head = len(self._magic) + self._fields.size
        if data[: len(self._magic)] != self._magic or len(data) < head:
            raise StateError(f"{self._noun}: a state of something else")
        counts = self._fields.unpack_from(data, len(self._magic))
        with self._inside():
            self._take(counts, data[head:])

    def fork(self: _Self) -> _Self:  # noqa: PYI019 - typing.Self needs Python 3.11
        """Return a new one that continues from where this one is."""
        with self._inside():
            other = object.__new__(type(self))
            other.__dict__.update(self.__dict__)
            other._guard, other._session = new_guard(), self._session.fork()
        return other

    def __copy__(self: _Self) -> _Self:  # noqa: PYI019
        return self.fork()

    def __deepcopy__(self: _Self, memo: object) -> _Self:  # noqa: PYI019
        return self.fork()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._inside():
            kept = {name: value for name, value in self.__dict__.items() if name != "_guard"}
        return _resume, (type(self), kept)

    def close(self) -> None:
        """Give the native memory back. May be repeated."""
        self._session.close()

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        if not self._guard.acquire(blocking=False):
            raise StateError(f"{self._noun}: used by two threads at once; open one per stream")
        try:
            yield
        finally:
            self._guard.release()

    @abstractmethod
    def _begin(self) -> None:
        """Set what is kept beside the session to the start of a stream."""

    @abstractmethod
    def _counts(self) -> tuple[int, ...]:
        """Return what a state begins with."""

    @abstractmethod
    def _rest(self) -> bytes:
        """Return what follows it."""

    @abstractmethod
    def _take(self, counts: tuple[int, ...], rest: bytes) -> None:
        """Take both over."""


def _resume(kind: type[_Self], kept: dict[str, Any]) -> _Self:
    """Open what a pickle holds."""
    coder = object.__new__(kind)
    coder.__dict__.update(kept, _guard=new_guard())
    return coder


class CodecEncoder(_Coder):
    """Sound to codes. A context manager; belongs to one thread at a time.

    Parameters
    ----------
    model
        A codec's model with an encoder: loaded, or what `voxhop.load` takes.
    enhance
        Use the front-end, which tells the codes of the clean voice from noisy and reverberant
        speech, one frame later. (For models without one `CodecTalker` and `encode` let another
        model enhance what is coded.)
    **options
        Of `voxhop.Session`, such as ``precision="f16"``; the precision is ``"auto"`` where none
        is given.

    Raises
    ------
    ArgumentError
        For a model that is no codec or lacks this part, or an option that does not exist.
    """

    _noun = "encoder"
    _magic = b"VXES"
    _fields = struct.Struct("<IQQ")

    def __init__(self, model: ModelSource, *, enhance: bool = False, **options: Any) -> None:  # noqa: ANN401 - Session's
        super().__init__(model, FRONT_END if enhance else "encoder", options)
        self._begin()

    def _begin(self) -> None:
        # The first frame begins half a frame before the stream.
        self._pending = np.zeros(self._session.inputs[0].lead_count, FLOAT32)
        self._pushed = self._hops = 0

    @property
    def groups(self) -> int:
        """Codes per frame."""
        return self._session.outputs[0].count

    @property
    def latency_samples(self) -> int:
        """Samples from the end of a frame's time until its codes are ready."""
        lead = self._session.inputs[0].lead_count
        return self.frame_length - lead + self._session.latency_samples

    def push(self, pcm: npt.NDArray[Any]) -> Codes:
        """Take samples and return the codes that they complete.

        Parameters
        ----------
        pcm
            ``(n,)`` float32 in about [-1, 1] or int16, any n.

        Returns
        -------
        numpy.ndarray
            ``(frames, 24)`` uint8; often no frame. Code frame t is ready with sample
            480 t + 239, with `enhance` one frame later.

        Raises
        ------
        DtypeError, ShapeError, ArgumentError
            For arrays that do not fit, and samples that are not finite; nothing is taken.
        StateError
            After `close`, or while another thread is inside.
        """
        samples = _mono(pcm)
        with self._inside():
            return self._push(samples)

    def flush(self) -> Codes:
        """Return the codes that complete the last samples, and start a new stream.

        Silence follows the end. All frames of n samples are ``ceil(n / 480) + 1``.
        """
        with self._inside():
            hops = frames_for(self._pushed) + self._late() - self._hops
            codes = self._push(np.zeros(hops * self.frame_length, FLOAT32))
            self._session.reset()
            self._begin()
        return codes

    def _push(self, samples: npt.NDArray[np.float32]) -> Codes:
        hop = self.frame_length
        data = np.concatenate((self._pending, samples))
        hops = len(data) // hop
        late = self._late()
        codes = np.empty((hops, self.groups), np.uint8)
        for i in range(hops):
            codes[i] = self._session.process_hop(data[i * hop : (i + 1) * hop])
        before, self._hops = self._hops, self._hops + hops
        self._pending = data[hops * hop :].copy()
        self._pushed += len(samples)
        return codes[max(0, late - before) :]

    def _late(self) -> int:
        """Return how many frames the part gives before the first frame of a stream."""
        return self._session.latency_samples // self.frame_length

    def _counts(self) -> tuple[int, ...]:
        return len(self._pending), self._pushed, self._hops

    def _rest(self) -> bytes:
        return self._pending.tobytes() + self._session.state()

    def _take(self, counts: tuple[int, ...], rest: bytes) -> None:
        pending, pushed, hops = counts
        size = pending * FLOAT32.itemsize
        if pending >= self.frame_length or len(rest) < size:
            raise StateError("encoder: a damaged state")
        self._session.load_state(rest[size:])
        self._pending = np.frombuffer(rest[:size], FLOAT32).copy()
        self._pushed, self._hops = pushed, hops


class CodecDecoder(_Coder):
    """Codes to sound. A context manager; belongs to one thread at a time.

    Parameters
    ----------
    model
        A codec's model with a decoder: loaded, or what `voxhop.load` takes.
    kbps
        6, or 1 to hear the first four codes of each frame only. `CodecDecoder.kbps` may change
        at any time.
    **options
        As for `CodecEncoder`.

    Raises
    ------
    ArgumentError
        For a model that is no codec or lacks the decoder, or an option that does not exist.
    """

    _noun = "decoder"
    _magic = b"VXDS"
    _fields = struct.Struct("<B")

    def __init__(self, model: ModelSource, kbps: int = 6, **options: Any) -> None:  # noqa: ANN401 - Session's
        self.kbps = kbps
        super().__init__(model, "decoder", options)

    @property
    def kbps(self) -> int:
        """Kilobits per second that are heard, 1 or 6."""
        return self._kbps

    @kbps.setter
    def kbps(self, value: int) -> None:
        groups_of(value)
        self._kbps = value

    @property
    def memory_frames(self) -> int:
        """Frames before a frame that its sound depends on, where none was lost.

        Decoding may begin so many frames earlier than is wanted.
        """

        def own(key: str) -> str:
            return self._metadata[f"sublime.{key}"]

        # Two per convolution of the blocks and of the head, two convolutions per stage of a
        # band, and one frame that the output overlaps with.
        bands = [
            2
            * (int(own(f"voc.bands.{i}.kernel_t")) - 1)
            * len(own(f"voc.bands.{i}.upsample").split(","))
            for i in range(int(own("voc.bands.count")))
        ]
        return 2 * int(own("voc.blocks.count")) + max(bands) + 2 + 1

    @property
    def latency_samples(self) -> int:
        """Samples by which the sound of a frame lies before the frame's end."""
        return self._session.latency_samples

    def push(
        self, codes: npt.NDArray[Any], kbps: int | None = None, *, dtype: npt.DTypeLike = FLOAT32
    ) -> npt.NDArray[Any]:
        """Return the sound of frames.

        Parameters
        ----------
        codes
            ``(n, 24)`` uint8, or ``(n, 4)`` of a stream of 1 kbit/s; any n.
        kbps
            For these frames; as `CodecDecoder.kbps` when None. At 1 only the first four codes
            of each frame count.
        dtype
            float32 or int16.

        Returns
        -------
        numpy.ndarray
            ``(480 n,)``. Frame t of a stream gives the samples of times 480 (t - 1) to
            480 t: those of the first frame lie before its start.

        Raises
        ------
        DtypeError, ShapeError, ArgumentError
            For codes that do not fit; nothing is decoded.
        StateError
            After `close`, or while another thread is inside.
        """
        kept = groups_of(self._kbps if kbps is None else kbps)
        array, wanted = checked_codes(codes), sound_dtype(dtype)
        rows: npt.NDArray[Any] = np.full(
            (len(array), self._session.inputs[0].count), _NOT_SENT, np.uint8
        )
        kept = min(kept, array.shape[1])
        rows[:, :kept] = array[:, :kept]
        out = np.empty((len(rows), self.frame_length), FLOAT32)
        with self._inside():
            for i, row in enumerate(rows):
                out[i] = self._session.process_hop(row)
        return from_float(out.reshape(-1), wanted)

    def conceal(self, frames: int = 1, *, dtype: npt.DTypeLike = FLOAT32) -> npt.NDArray[Any]:
        """Return sound in place of frames that were lost: the last one, fading.

        Parameters
        ----------
        frames
            How many, 0 or more.
        dtype
            float32 or int16.
        """
        if frames < 0:
            raise ArgumentError(f"frames: {frames}, expected 0 or more")
        wanted = sound_dtype(dtype)
        nothing: Any = None
        out = np.empty((frames, self.frame_length), FLOAT32)
        with self._inside():
            for i in range(frames):
                out[i] = self._session.process_hop(nothing, lost=True)
        return from_float(out.reshape(-1), wanted)

    def _begin(self) -> None:
        """Nothing is kept beside the session but what the caller chose."""

    def _counts(self) -> tuple[int, ...]:
        return (self._kbps,)

    def _rest(self) -> bytes:
        return self._session.state()

    def _take(self, counts: tuple[int, ...], rest: bytes) -> None:
        (kbps,) = counts
        groups_of(kbps)
        self._session.load_state(rest)
        self._kbps = kbps


def _mono(pcm: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if not isinstance(pcm, np.ndarray):
        raise DtypeError(f"pcm: {type(pcm).__name__}, expected a numpy array")
    if pcm.ndim != 1:
        raise ShapeError(f"pcm: shape {pcm.shape}, expected (n,)")
    if pcm.dtype == INT16:
        return (pcm / 32768.0).astype(FLOAT32)
    if pcm.dtype != FLOAT32:
        raise DtypeError(f"pcm: dtype {pcm.dtype}, expected float32 or int16")
    if not np.isfinite(pcm).all():
        raise ArgumentError(f"pcm: sample {int(np.argmin(np.isfinite(pcm)))} is not finite")
    return pcm


def sound_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return the dtype of sound that goes out: float32 or int16."""
    found = np.dtype(dtype)
    if found not in (FLOAT32, INT16):
        raise DtypeError(f"dtype: {found}, expected float32 or int16")
    return found
