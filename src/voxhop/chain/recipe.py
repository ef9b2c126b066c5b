"""Chains as TOML files.

    out_sample_rate = 16000         # optional: the recording's otherwise

    [[link]]
    model = "voxhop-localvqe-1.3M"  # a name, or a path from where the file lies
    strength = 0.9

    [[link]]
    task = "bwe"                    # the restoring model installed for it
    solver = "euler4"               # what else there is are options of the session

    [[link]]
    codec = "codec.gguf"            # encoded, sent and decoded
    kbps = 6
    loss = 0.1                      # of the packets

`name`, `strength`, `bypass` and `level` are those of `ModelLink`; the fields of `CodecLink` belong
to a codec.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.chain.chain import Chain
from voxhop.chain.links import CodecLink, ModelLink
from voxhop.errors import ArgumentError
from voxhop.files.restorers import find_restorer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    import os

    from voxhop.chain.links import Link

_OWN: Final = {
    "model": ("name", "strength", "bypass", "level"),
    "codec": ("name", "strength", "bypass", "kbps", "loss", "burst", "seed", "enhance"),
}
_SOURCES: Final = ("model", "task", "codec")


@dataclass(frozen=True)
class ChainRecipe:
    """What a file says of a chain.

    Attributes
    ----------
    links
        In order.
    out_sample_rate
        In Hz; None: as the input.
    """

    links: tuple[Link, ...]
    out_sample_rate: int | None = None

    def open(self, sample_rate: int) -> Chain:
        """Return a new chain for an input of so many Hz."""
        return Chain(self.links, sample_rate=sample_rate, out_sample_rate=self.out_sample_rate)


def read_recipe(path: str | os.PathLike[str]) -> ChainRecipe:
    """Read a chain's file; models are opened later.

    Raises
    ------
    ArgumentError
        When it cannot be read, is no TOML, or says something unknown; the message names it.
    ModelFileError
        When no model is installed for a task.
    """
    source = Path(path)
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"{source}: cannot be read: {reason}") from error
    links = table.pop("link", [])
    rate = table.pop("out_sample_rate", None)
    if table:
        raise ArgumentError(f"{source}: unknown key {min(table)!r}, expected out_sample_rate, link")
    if not isinstance(links, list) or not links or not all(isinstance(x, dict) for x in links):
        raise ArgumentError(f"{source}: no links, expected one [[link]] or more")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int)):
        raise ArgumentError(f"{source}: out_sample_rate {rate!r}, expected a whole number of Hz")
    found = tuple(_link(f"{source}: link {i}", link, source.parent) for i, link in enumerate(links))
    return ChainRecipe(found, rate)


def _link(where: str, table: dict[str, Any], folder: Path) -> Link:
    options = dict(table)
    sources = [name for name in _SOURCES if name in options]
    if len(sources) != 1:
        raise ArgumentError(f"{where}: expected one of {', '.join(_SOURCES)}")
    (kind,) = sources
    model = options.pop(kind)
    if not isinstance(model, str):
        raise ArgumentError(f"{where}: {kind} {model!r}, expected a string")
    make = CodecLink if kind == "codec" else ModelLink
    own = {n: options.pop(n) for n in _OWN["codec" if kind == "codec" else "model"] if n in options}
    for name, wanted in (("name", str), ("bypass", bool), ("enhance", bool)):
        if name in own and not isinstance(own[name], wanted):
            raise ArgumentError(f"{where}: {name} {own[name]!r}, expected a {wanted.__name__}")
    if kind == "task":
        own.setdefault("name", model)
        model = find_restorer(model)
    source = folder / model if (folder / model).is_file() else model
    try:
        return make(source, **own, options=options)
    except (ArgumentError, TypeError) as error:
        raise ArgumentError(f"{where}: {error}") from error
