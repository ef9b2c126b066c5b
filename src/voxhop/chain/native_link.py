"""Links of a chain as C reads them; the objects keep alive what their structs point to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from voxhop._bindings import native
from voxhop.engine.native_options import NativeSessionOptions, option_values
from voxhop.engine.session_info import split_options
from voxhop.errors import ArgumentError, DtypeError
from voxhop.stream.native_options import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxhop.chain.links import Link
    from voxhop.models import Model

_FLAGS: Final = ("bypass", "front_end")
_WHOLE: Final = {"kind": 32, "level": 32, "kbps": 32, "seed": 64}


class NativeLinks:
    """An array of ``vh_chain_link``, and everything that it points to.

    Parameters
    ----------
    links, names, models
        What to open, how messages call it, and on which models.

    Raises
    ------
    DtypeError, ArgumentError
        For a value that C could not take.
    """

    def __init__(
        self, links: Sequence[Link], names: Sequence[str], models: Sequence[Model]
    ) -> None:
        n = native()
        self.array = n.ffi.new("vh_chain_link[]", len(links))
        self._kept: list[Any] = []
        for i, (link, name, model) in enumerate(zip(links, names, models, strict=True)):
            struct = self.array[i]
            self._kept.append(fill_link(struct, link, name))
            options, own = split_options(dict(link.options))
            session = NativeSessionOptions(options, option_values(own))
            struct.model, struct.session = model.handle, session.struct
            struct.comfort_noise = int(options.comfort_noise)
            self._kept += [model.handle, session]


def fill_link(struct: Any, link: Link, name: str) -> Any:  # noqa: ANN401 - a vh_chain_link
    """Write what a link says of itself but for its model and options; return what to keep."""
    n = native()
    n.lib.vh_chain_link_init(n.ffi.addressof(struct))
    kept = n.ffi.new("char[]", name.encode())
    struct.name = kept
    for field, value in link.fields().items():
        if field in _FLAGS:
            setattr(struct, field, int(bool(value)))
        elif field in _WHOLE:
            setattr(struct, field, _whole(field, value, _WHOLE[field]))
        else:
            setattr(struct, field, number(field, value))
    return kept


def check_link(link: Link) -> None:
    """Raise ArgumentError for what a chain would refuse of a link before it opens the model."""
    n = native()
    struct = n.ffi.new("vh_chain_link *")
    kept = fill_link(struct[0], link, link.name)
    n.call(n.lib.vh_chain_check_link, struct)
    del kept  # `struct` points to it until here


def _whole(name: str, value: Any, bits: int) -> int:  # noqa: ANN401 - checked here
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise DtypeError(f"{name}: {value!r}, expected a whole number")
    found = int(value.__index__())
    if not -(1 << (bits - 1)) <= found < 1 << (bits - 1):
        raise ArgumentError(f"{name}: {found}, expected a whole number of {bits} bits")
    return found
