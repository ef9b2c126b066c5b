"""Options and states as C reads them; the objects keep alive what their structs point to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop._bindings import native
from voxhop.errors import ArgumentError, DtypeError

if TYPE_CHECKING:
    from voxhop.engine.session_info import SessionOptions


class NativeValues:
    """An array of ``vh_option`` and its strings.

    Parameters
    ----------
    values
        Names and values.
    """

    def __init__(self, values: tuple[tuple[str, str], ...]) -> None:
        n = native()
        self.array = n.ffi.new("vh_option[]", max(1, len(values)))
        self._strings = []
        for i, pair in enumerate(values):
            for field, text in zip(("name", "value"), pair, strict=True):
                self._strings.append(n.ffi.new("char[]", text.encode()))
                setattr(self.array[i], field, self._strings[-1])


def option_values(options: dict[str, int | str]) -> tuple[tuple[str, str], ...]:
    """Return a model's options as C takes them: whole numbers and words, as text."""
    values = []
    for name, value in options.items():
        if isinstance(value, bool) or not (isinstance(value, str) or hasattr(value, "__index__")):
            raise DtypeError(f"{name}: {value!r}, expected a whole number or a string")
        values.append((name, value if isinstance(value, str) else str(value.__index__())))
    return tuple(values)


class NativeSessionOptions:
    """A ``vh_session_options`` and its strings.

    Parameters
    ----------
    options
        What it says.
    values
        Names and values of the model's own options.

    Raises
    ------
    ArgumentError
        For a value that C could not take.
    """

    def __init__(self, options: SessionOptions, values: tuple[tuple[str, str], ...] = ()) -> None:
        n = native()
        self.struct = n.ffi.new("vh_session_options *")
        n.lib.vh_session_options_init(self.struct)
        self._strings = []
        for name in ("kernels", "isa", "precision"):
            value = getattr(options, name)
            if not isinstance(value, str):
                raise DtypeError(f"{name}: {value!r}, expected a string")
            self._strings.append(n.ffi.new("char[]", value.encode()))
            setattr(self.struct, name, self._strings[-1])
        if not isinstance(options.threads, int) or options.threads < 1:
            raise ArgumentError(f"threads: {options.threads!r}, expected a whole number from 1")
        if not isinstance(options.comfort_noise, bool):
            raise DtypeError(f"comfort_noise: {options.comfort_noise!r}, expected True or False")
        self.struct.n_threads = options.threads
        self.struct.history_first = int(options.history_first)
        self._values = NativeValues(values)
        self.struct.values = self._values.array
        self.struct.n_values = len(values)


def state_buffer(blob: bytes | bytearray | memoryview) -> Any:  # noqa: ANN401 - a char[]
    """Return the bytes of a saved state, or raise for what is none."""
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise DtypeError(f"state: {type(blob).__name__}, expected bytes")
    return native().ffi.from_buffer(blob)
