"""Systems that can be scored: voxhop, its peers, and anybody's own.

A specification is ``NAME`` or ``NAME,key=value,...``. NAME is one of `BUILT_IN` or
``module:factory``; the factory is called with the options and returns a `System`. Two options
belong to every system: ``label`` names the row in the tables, and ``ref`` says which reference
the system is given (`REFERENCES`), which the name then says too.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

import numpy as np

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from voxhop.evaluation.cases import Case, Clip

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

    Notes
    -----
    A system may also have ``delays(mic, ref, sample_rate)``, with the arguments of `process`:
    it returns `FoundDelays` or None, and its delays are scored.
    One that fills lost packets has ``conceal(mic, ref, lost, sample_rate)``, with `mic` as it
    was sent and `lost`, ``(samples,)`` bool, where it did not arrive: what lies there is for a
    codec to encode, and nobody else's. Systems without it process zeros there.
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


class FoundDelays(NamedTuple):
    """Where a system looked for the echo: `samples` ``(hops,)`` of `hop_samples` each."""

    samples: npt.NDArray[np.float64]
    hop_samples: int


# What is passed as the reference -> what the row's name says about it.
REFERENCES: Final[Mapping[str, str]] = {
    "given": "",
    "none": " (no reference)",
    "silent": " (silent reference)",
    "unheard": " (unheard reference)",
}

BUILT_IN: Final[Mapping[str, str]] = {
    "unprocessed": "voxhop.evaluation.systems:Unprocessed",
    "voxhop": "voxhop.evaluation.systems.engine:VoxhopSystem",
    "webrtc": "voxhop.evaluation.systems.webrtc:WebRtcSystem",
    "speex": "voxhop.evaluation.systems.speex:SpeexSystem",
    "rnnoise": "voxhop.evaluation.systems.denoisers:RNNoiseSystem",
    "deepfilternet": "voxhop.evaluation.systems.denoisers:DeepFilterNetSystem",
    "repetition": "voxhop.evaluation.systems.packets:RepetitionSystem",
    "opus": "voxhop.evaluation.systems.opus:OpusSystem",
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


class Configured:
    """A system as a specification asks for it: its name in the tables, and its reference.

    Attributes
    ----------
    name, delay_samples, fingerprint
        As for `System`.
    reference
        A key of `REFERENCES`. ``given``: the case's. ``none``: no reference is passed.
        ``silent``: zeros. ``unheard``: the case's far end that the microphone does not hear.
    """

    def __init__(self, system: System, label: str | None, reference: str) -> None:
        self._system = system
        self.name = f"{system.name if label is None else label}{REFERENCES[reference]}"
        self.delay_samples = system.delay_samples
        self.fingerprint = system.fingerprint
        if reference != "given":
            self.fingerprint += f" reference {reference}"
        self.reference = reference
        self.process = system.process

    def runs_on(self, case: Case) -> bool:
        """Whether the case has what this system is to be given."""
        return self.reference != "unheard" or case.unheard is not None

    def reference_of(self, clip: Clip) -> Signal | None:
        """Return the reference to pass with a clip."""
        if self.reference == "none":
            return None
        if self.reference == "silent":
            return np.zeros_like(clip.mic)
        return clip.unheard if self.reference == "unheard" else clip.ref

    def conceal(
        self,
        mic: Signal,
        ref: Signal | None,
        lost: npt.NDArray[np.bool_],
        sample_rate: int,
    ) -> Signal:
        """Process a clip of which some did not arrive: zeros there, but for who fills them."""
        fill = getattr(self._system, "conceal", None)
        if fill is None:
            return self.process(np.where(lost, np.float32(0.0), mic), ref, sample_rate)
        return cast("Signal", fill(mic, ref, lost, sample_rate))

    def delays(self, clip: Clip, sample_rate: int) -> FoundDelays | None:
        """Return the delays the system finds in a clip, if it tells, given its reference."""
        tell = getattr(self._system, "delays", None)
        if tell is None or self.reference != "given" or clip.ref is None:
            return None
        return cast("FoundDelays | None", tell(clip.mic, clip.ref, sample_rate))


def build(specification: str) -> Configured:
    """Make the system that a specification describes.

    Raises
    ------
    ArgumentError
        A name, module or option that does not exist, or a factory that makes something else.
    """
    name, *pairs = specification.split(",")
    options = dict(_option(pair, specification) for pair in pairs)
    label = options.pop("label", None)
    reference = options.pop("ref", "given")
    if reference not in REFERENCES:
        raise ArgumentError(
            f"system {specification!r}: ref {reference!r}, expected one of {', '.join(REFERENCES)}"
        )
    factory = _factory(BUILT_IN.get(name, name), specification)
    try:
        system = factory(**options)
    except TypeError as error:
        raise ArgumentError(f"system {specification!r}: {error}") from error
    for attribute in ("name", "delay_samples", "fingerprint", "process"):
        if not hasattr(system, attribute):
            raise ArgumentError(f"system {specification!r}: what was made has no {attribute!r}")
    return Configured(cast("System", system), None if label is None else str(label), str(reference))


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
