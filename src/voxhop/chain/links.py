"""Links of a chain: what to open, and what computes hops once it is open."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from voxhop.chain.clock import LinkClock
from voxhop.errors import ArgumentError, DtypeError
from voxhop.files.offline import opened
from voxhop.models import Model
from voxhop.stream.level import LevelFollower

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from voxhop.engine.session import Session
    from voxhop.files.offline import ModelSource

    Floats = npt.NDArray[np.float32]

_LEVELS: Final = ("auto", "follow", "off")
_RESTORER: Final = "restorer"  # a purpose whose models know one level only


class Stage(Protocol):
    """A link that is open: hops in, hops out, in one thread at a time."""

    kind: ClassVar[str]

    @property
    def clock(self) -> LinkClock:
        """Its rate, hop and latency."""

    def run(self, hop: Floats, ref: Floats | None) -> Floats:
        """Compute ``(hop,)`` float32; the output lags by the clock's latency."""

    def figures(self) -> dict[str, Any]:
        """Return the fields of `LinkMetrics` that only this kind of link knows."""

    def reset(self) -> None:
        """Go back to the state of a new one."""

    def state(self) -> tuple[bytes, ...]:
        """Return everything it remembers."""

    def load_state(self, parts: tuple[bytes, ...]) -> None:
        """Continue from `state`."""

    def set_options(self, **values: int | str) -> None:
        """Change options while running."""

    def changed_options(self) -> dict[str, int | str]:
        """Return what `set_options` has changed."""

    def close(self) -> None:
        """Let go of what it holds."""


class Link(Protocol):
    """What a chain opens once per stream."""

    @property
    def name(self) -> str:
        """What metrics and controls call it."""

    @property
    def strength(self) -> float:
        """Its share in its output at the start, 0 to 1."""

    @property
    def bypass(self) -> bool:
        """Whether it begins with its input alone."""

    def open(self) -> Stage:
        """Return a new stage."""

    def identity(self) -> str:
        """Return what makes states of this link different from those of others."""


@dataclass(frozen=True)
class ModelLink:
    """A model whose hops are audio in and audio out: an enhancer or a restorer.

    Attributes
    ----------
    model
        What `voxhop.load` takes, or a loaded model.
    name
        What metrics and controls call it; empty: the model's.
    strength
        Share of the model in the output, 0 to 1; the rest is its input of the same time.
    bypass
        Begin with the input alone.
    level
        ``"follow"`` sets the level in front by a `voxhop.LevelFollower` and undoes it behind;
        ``"off"`` does not; ``"auto"`` follows for restorers.
    options
        Of `voxhop.Session`, the model's own included: ``{"solver": "euler4", "threads": 2}``.
    """

    model: ModelSource
    name: str = ""
    strength: float = 1.0
    bypass: bool = False
    level: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise ArgumentError(f"level: {self.level!r}, expected one of {', '.join(_LEVELS)}")
        if not self.name:
            object.__setattr__(self, "name", _model_name(self.model))
        check_strength(self.name, self.strength)

    def open(self) -> ModelStage:
        """Return a new session with what is around it."""
        with opened(self.model) as model:
            session = model.session(**self.options)
            try:
                return ModelStage(session, self.name, self.level)
            except ArgumentError:
                session.close()
                raise

    def identity(self) -> str:
        """Return the model and how its session is opened."""
        return identity_of(self.model, self.options, self.level)


def as_link(link: object) -> Link:
    """Return a link; a model, a name or a path is one with default settings."""
    if isinstance(link, (str, os.PathLike, Model)):
        return ModelLink(link)
    if hasattr(link, "open") and hasattr(link, "strength"):
        return link  # type: ignore[return-value]
    raise DtypeError(f"link: {type(link).__name__}, expected a model, its name or path, or a link")


def identity_of(model: ModelSource, options: Mapping[str, Any], more: str) -> str:
    """Return what makes states of a link different from those of others."""
    source = model.source if isinstance(model, Model) else model
    named = source if isinstance(source, (str, os.PathLike)) else "<memory>"
    return f"{os.fspath(named)} {more} {sorted(options.items())}"


def check_strength(name: str, strength: float) -> None:
    """Raise unless a strength is from 0 to 1."""
    if not isinstance(strength, (int, float)) or not 0 <= strength <= 1:
        raise ArgumentError(f"link {name}: strength {strength!r}, expected 0 to 1")


class ModelStage:
    """A session, with the level around it."""

    kind: ClassVar[str] = "model"

    def __init__(self, session: Session, name: str, level: str) -> None:
        self._session = session
        if [p.type for p in session.outputs] != ["audio"] or session.inputs[0].type != "audio":
            kinds = f"takes {session.inputs[0].type}, gives {session.outputs[0].type}"
            raise ArgumentError(f"link {name}: a model that {kinds}, expected audio and audio")
        takes_ref = sum(port.type == "audio" for port in session.inputs) > 1
        clock = LinkClock(
            session.sample_rate, session.hop_length, session.latency_samples, takes_ref
        )
        follows = level == "follow" or (level == "auto" and session.model.info.purpose == _RESTORER)
        self._clock = clock
        self._level = LevelFollower(clock.hop, clock.rate, clock.latency) if follows else None
        self._changed: dict[str, int | str] = {}

    @property
    def clock(self) -> LinkClock:
        """The session's."""
        return self._clock

    def run(self, hop: Floats, ref: Floats | None) -> Floats:
        """Compute a hop."""
        if self._level is None:
            return self._session.process_hop(hop, ref)
        return self._level.lower(self._session.process_hop(self._level.lift(hop), ref))

    def figures(self) -> dict[str, Any]:
        """Return gain and delay."""
        told = self._session.metrics
        return {
            "gain_db": None if self._level is None else self._level.gain_db,
            "delay_ms": told.delay_ms,
            "delay_confidence": told.delay_confidence,
        }

    def reset(self) -> None:
        """Go back to the state of a new one."""
        self._session.reset()
        if self._level is not None:
            self._level.reset()

    def state(self) -> tuple[bytes, ...]:
        """Return the session's and the level's."""
        return self._session.state(), b"" if self._level is None else self._level.state()

    def load_state(self, parts: tuple[bytes, ...]) -> None:
        """Continue from `state`."""
        session, level = parts
        if self._level is not None:
            self._level.load_state(level)
        self._session.load_state(session)

    def set_options(self, **values: int | str) -> None:
        """Change options of the session."""
        self._session.set_options(**values)
        self._changed |= values

    def changed_options(self) -> dict[str, int | str]:
        """Return what `set_options` has changed."""
        return dict(self._changed)

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _model_name(model: ModelSource) -> str:
    """Return the name of the file, or of the architecture for a model from memory."""
    if isinstance(model, Model):
        path = Path(model.source)
        return path.stem if path.suffix else model.info.architecture
    return Path(model).stem if isinstance(model, (str, os.PathLike)) else "model"
