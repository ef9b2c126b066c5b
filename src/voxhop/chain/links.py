"""Links of a chain: a model, or a codec and the network behind it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from voxhop._bindings import native
from voxhop.chain.native_link import check_link
from voxhop.errors import DtypeError
from voxhop.models import Model
from voxhop.stream.native_options import index_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from voxhop.files.offline import ModelSource

    Link: TypeAlias = "ModelLink | CodecLink"

_LEVELS: Final = ("auto", "follow", "off")  # in the order of VH_LEVEL_*


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

    Raises
    ------
    ArgumentError
        For values out of range.
    """

    kind: ClassVar[str] = "model"

    model: ModelSource
    name: str = ""
    strength: float = 1.0
    bypass: bool = False
    level: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", _model_name(self.model))
        check_link(self)

    def fields(self) -> dict[str, Any]:
        """Return what a ``vh_chain_link`` has of it."""
        return {
            "kind": native().lib.VH_LINK_MODEL,
            "level": index_of("level", self.level, _LEVELS),
            "strength": self.strength,
            "bypass": self.bypass,
        }


@dataclass(frozen=True)
class CodecLink:
    """A speech codec and the network behind it, a packet per frame of 20 ms.

    Attributes
    ----------
    model
        A codec with encoder and decoder: what `voxhop.load` takes, or a loaded model.
    name, strength, bypass
        As for `ModelLink`.
    kbps
        6 or 1.
    loss
        Share of packets that do not arrive, 0 to below 1; they are concealed.
    burst
        Mean length of a stretch of lost packets, at least 1. 0: each packet is lost on its own.
    seed
        Of the losses, 0 to 2^63 - 1; the same seed loses the same packets.
    enhance
        Encode by the front-end for noisy speech, one frame later.
    options
        Of both sessions.

    Raises
    ------
    ArgumentError
        For values out of range.
    """

    kind: ClassVar[str] = "codec"

    model: ModelSource
    name: str = "codec"
    kbps: int = 6
    loss: float = 0.0
    burst: float = 0.0
    seed: int = 0
    enhance: bool = False
    strength: float = 1.0
    bypass: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_link(self)

    def fields(self) -> dict[str, Any]:
        """Return what a ``vh_chain_link`` has of it."""
        return {
            "kind": native().lib.VH_LINK_CODEC,
            "strength": self.strength,
            "bypass": self.bypass,
            "kbps": self.kbps,
            "loss": self.loss,
            "burst": self.burst,
            "seed": self.seed,
            "front_end": self.enhance,
        }


def as_link(link: object) -> Link:
    """Return a link; a model, a name or a path is one with default settings."""
    if isinstance(link, (ModelLink, CodecLink)):
        return link
    if isinstance(link, (str, os.PathLike, Model)):
        return ModelLink(link)
    raise DtypeError(f"link: {type(link).__name__}, expected a model, its name or path, or a link")


def _model_name(model: ModelSource) -> str:
    """Return the name of the file, or of the architecture for a model from memory."""
    if isinstance(model, Model):
        path = Path(model.source)
        return path.stem if path.suffix else model.info.architecture
    return Path(model).stem if isinstance(model, (str, os.PathLike)) else "model"
