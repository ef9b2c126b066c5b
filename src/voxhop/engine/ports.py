"""What a hop of a model takes and gives: named ports, and arrays for them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._bindings import native
from voxhop.engine.arrays import FLOAT32, INT16, check_hop
from voxhop.errors import ArgumentError, DtypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

_TYPES: Final = ("audio", "values", "codes")  # in the order of VH_PORT_*
_UINT8: Final = np.dtype(np.uint8)


@dataclass(frozen=True)
class PortInfo:
    """What a hop takes or gives under a name.

    Attributes
    ----------
    name
        As `Session.process_hop` calls it.
    type
        ``"audio"`` (float32 in about [-1, 1], or int16), ``"values"`` (float32) or ``"codes"``
        (uint8; 255 is "not sent").
    count, rate
        Values per hop and per second.
    optional
        Whether an input may be left out.
    lead_count
        With how many zeros the first hop begins: it is ready ``count - lead_count`` values
        after the start of a stream.
    """

    name: str
    type: str
    count: int
    rate: int
    optional: bool
    lead_count: int


@dataclass(frozen=True)
class Ports:
    """The inputs and outputs of a hop, in order."""

    inputs: tuple[PortInfo, ...]
    outputs: tuple[PortInfo, ...]

    @functools.cached_property  # asked in every hop
    def is_audio(self) -> bool:
        """Whether a hop takes audio first and gives nothing but one output of audio."""
        return self.inputs[0].type == "audio" and [p.type for p in self.outputs] == ["audio"]

    @functools.cached_property
    def takes_ref(self) -> bool:
        """Whether the second input is audio: a reference."""
        return len(self.inputs) > 1 and self.inputs[1].type == "audio"


def read_ports(count: int, get: Callable[[int, Any], None]) -> Ports:
    """Return ports; `get` fills a ``vh_port_info`` for an index below `count`."""
    n = native()
    raw = n.ffi.new("vh_port_info *")
    inputs: list[PortInfo] = []
    outputs: list[PortInfo] = []
    for i in range(count):
        get(i, raw)
        port = PortInfo(
            name=n.text(raw.name),
            type=_TYPES[raw.type],
            count=int(raw.count),
            rate=int(raw.rate),
            optional=bool(raw.optional),
            lead_count=int(raw.lead_count),
        )
        (outputs if raw.is_output else inputs).append(port)
    return Ports(tuple(inputs), tuple(outputs))


class HopArrays:
    """The arrays of one hop as C takes them; they live as long as this object.

    Parameters
    ----------
    ports
        What they are for.
    inputs
        Arrays by name; None or missing where nothing was given.
    rows
        Streams of a group, None for a session: arrays then have a first dimension of it.
    dtype
        Of audio that comes out where none goes in; float32 or int16.

    Raises
    ------
    ArgumentError
        For a name that the model does not have.
    ShapeError, DtypeError
        For an array that does not fit; nothing is converted, copied or padded.
    """

    def __init__(
        self,
        ports: Ports,
        inputs: Mapping[str, object],
        rows: int | None = None,
        dtype: npt.DTypeLike = FLOAT32,
    ) -> None:
        n = native()
        known = [port.name for port in ports.inputs]
        for name in inputs:
            if name not in known:
                raise ArgumentError(f"{name}: no input of this model; it has {', '.join(known)}")
        audio: np.dtype[Any] | None = None
        self._kept = []
        self.inputs = n.ffi.new("void *[]", len(known))
        for i, port in enumerate(ports.inputs):
            array = inputs.get(port.name)
            if array is None:
                continue
            audio = self._check(port, array, rows, audio)
            self._kept.append(n.ffi.from_buffer(array))
            self.inputs[i] = self._kept[-1]
        samples = _audio_dtype(dtype) if audio is None else audio
        self.sample_type = n.lib.VH_SAMPLES_S16 if samples == INT16 else n.lib.VH_SAMPLES_F32
        self.results: list[npt.NDArray[Any]] = []
        self.outputs = n.ffi.new("void *[]", len(ports.outputs))
        for i, port in enumerate(ports.outputs):
            result = np.zeros(_shape(port, rows), _UINT8 if port.type == "codes" else samples)
            self.results.append(result)
            self.outputs[i] = n.ffi.from_buffer(result)

    @staticmethod
    def _check(
        port: PortInfo, array: object, rows: int | None, audio: np.dtype[Any] | None
    ) -> np.dtype[Any] | None:
        """Return the dtype of audio so far."""
        expected = {"audio": audio, "values": FLOAT32, "codes": _UINT8}[port.type]
        like = " like the other audio" if port.type == "audio" else f" for {port.type}"
        check_hop(port.name, array, _shape(port, rows), expected, like)
        return array.dtype if port.type == "audio" else audio  # type: ignore[attr-defined]


def _shape(port: PortInfo, rows: int | None) -> tuple[int, ...]:
    return (port.count,) if rows is None else (rows, port.count)


def _audio_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    found = np.dtype(dtype)
    if found not in (FLOAT32, INT16):
        raise DtypeError(f"dtype: {found}, expected float32 or int16")
    return found
