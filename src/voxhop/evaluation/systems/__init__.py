"""Systems that can be scored: voxhop, its peers, and anybody's own.

A specification is ``NAME`` or ``NAME,key=value,...``. NAME is one of `BUILT_IN` or
``module:factory``; the factory is called with the options and returns a `System`. The option
``label`` names the row in the tables.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]


class System(Protocol):
    """What a system must offer.

    Attributes
    ----------
    name
        Row in the tables.
    delay_samples
        By how many samples its output lags its input, frames included; None: it is measured
        with clean speech.
    fingerprint
        Everything that its output depends on, as text; scores are kept under it.
    """

    name: str
    delay_samples: int | None
    fingerprint: str

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Process one clip as a new stream.

        mic, ref: ``(samples,)`` float32 in [-1, 1], equally long; `ref` None where the set has
        no reference. Returns as many samples, not aligned.
        """
        ...


BUILT_IN: Final[Mapping[str, str]] = {
    "unprocessed": "voxhop.evaluation.systems:Unprocessed",
    "voxhop": "voxhop.evaluation.systems.engine:VoxhopSystem",
    "webrtc": "voxhop.evaluation.systems.webrtc:WebRtcSystem",
    "speex": "voxhop.evaluation.systems.speex:SpeexSystem",
}


@dataclass(frozen=True)
class Unprocessed:
    """The microphone as it is: the row that every other one is compared with."""

    name: str = "unprocessed"
    delay_samples: int | None = 0
    fingerprint: str = "unprocessed"

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Return a copy of the microphone."""
        del ref, sample_rate
        return mic.copy()


def build(specification: str) -> System:
    """Make the system that a specification describes.

    Raises
    ------
    ArgumentError
        A name, module or option that does not exist, or a factory that makes something else.
    """
    name, *pairs = specification.split(",")
    options = dict(_option(pair, specification) for pair in pairs)
    label = options.pop("label", None)
    factory = _factory(BUILT_IN.get(name, name), specification)
    try:
        system = factory(**options)
    except TypeError as error:
        raise ArgumentError(f"system {specification!r}: {error}") from error
    for attribute in ("name", "delay_samples", "fingerprint", "process"):
        if not hasattr(system, attribute):
            raise ArgumentError(f"system {specification!r}: what was made has no {attribute!r}")
    return _Labelled(system, str(label)) if label is not None else cast("System", system)


class _Labelled:
    """A system under another name."""

    def __init__(self, system: System, name: str) -> None:
        self.name = name
        self.delay_samples = system.delay_samples
        self.fingerprint = system.fingerprint
        self.process = system.process


def _option(pair: str, specification: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not key.isidentifier() or not equals:
        raise ArgumentError(f"system {specification!r}: {pair!r}, expected key=value")
    return key, _value(text)


def _value(text: str) -> str | int | float | bool:
    """Read an option as a boolean, a number, or else as text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _factory(place: str, specification: str) -> Callable[..., Any]:
    module, colon, attribute = place.partition(":")
    if not colon:
        raise ArgumentError(
            f"system {specification!r}: not one of {', '.join(BUILT_IN)}, nor module:factory"
        )
    try:
        return cast("Callable[..., Any]", getattr(importlib.import_module(module), attribute))
    except ModuleNotFoundError as error:
        raise ArgumentError(f"system {specification!r}: {error}") from error
    except AttributeError as error:
        raise ArgumentError(f"system {specification!r}: {error}") from error
