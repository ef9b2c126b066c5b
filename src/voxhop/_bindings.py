"""Finds and loads the engine library; the only file that touches cffi.

The declarations come from ``voxhop.h`` (cut at build time into ``_voxhop_cffi``), so the
header and this binding cannot drift apart. cffi releases the GIL around every call.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cffi  # noqa: F401 - the generated module needs it; fail here with a clear name

from voxhop.errors import (
    ArgumentError,
    EngineError,
    ModelFileError,
    ShapeError,
    StateError,
    VoxhopError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ABI_VERSION: Final = 1
_GENERATED: Final = "voxhop._voxhop_cffi"
_LIBRARY_NAMES: Final = {"win32": "voxhop.dll", "darwin": "libvoxhop.dylib"}


class Native:
    """The loaded library.

    Attributes
    ----------
    ffi, lib
        cffi's two halves: memory and types, and the ``vh_*`` functions.
    """

    def __init__(self, ffi: Any, lib: Any) -> None:  # noqa: ANN401 - cffi has no types
        self.ffi = ffi
        self.lib = lib
        self._errors: dict[int, type[VoxhopError]] = {
            lib.VH_E_ARGUMENT: ArgumentError,
            lib.VH_E_SHAPE: ShapeError,
            lib.VH_E_FILE: ModelFileError,
            lib.VH_E_MODEL: ModelFileError,
            lib.VH_E_STATE: StateError,
        }

    def call(self, function: Callable[..., int], *args: object) -> None:
        """Call a ``vh_*`` function whose last parameter is ``vh_error *``.

        Raises
        ------
        VoxhopError
            Of the class that belongs to the code that came back.
        """
        err = self.ffi.new("vh_error *")
        if function(*args, err) != self.lib.VH_OK:
            raise self.error(err)

    def error(self, err: Any) -> VoxhopError:  # noqa: ANN401 - a vh_error *
        """Return the exception for a filled ``vh_error *``."""
        return self._errors.get(err.code, EngineError)(self.text(err.message))

    def text(self, pointer: Any) -> str:  # noqa: ANN401 - a char * or char[]
        """Return a C string as str; the empty string for NULL."""
        return "" if pointer == self.ffi.NULL else self.ffi.string(pointer).decode("utf-8")

    def own(self, pointer: Any, close: Callable[[Any], None], *keep: object) -> Any:  # noqa: ANN401
        """Return `pointer` as a handle that calls `close` when it is collected or released.

        Objects in `keep` (the model of a session) live at least as long as the handle.
        """

        # The library, too: a function of it does not keep it loaded.
        def release(dead: Any, _keep: tuple[object, ...] = (self.lib, *keep)) -> None:  # noqa: ANN401
            close(dead)

        return self.ffi.gc(pointer, release)


@functools.cache
def native() -> Native:
    """Load the library on first use.

    Raises
    ------
    EngineError
        When the library is missing, cannot be loaded, or has another ABI version.
    """
    generated = _generated()
    path = library_path(generated.__file__)
    try:
        lib = generated.ffi.dlopen(str(path))
        found = lib.vh_abi_version()
    except (OSError, AttributeError) as error:
        raise EngineError(f"{path}: cannot be loaded as the voxhop engine: {error}") from error
    if found != ABI_VERSION:
        raise EngineError(f"{path}: ABI version {found}, expected {ABI_VERSION}")
    return Native(generated.ffi, lib)


def engine_file() -> Path:
    """Return where the shared library lies that `native` loads."""
    return library_path(_generated().__file__)


def _generated() -> ModuleType:
    try:
        return importlib.import_module(_GENERATED)
    except ModuleNotFoundError as error:
        message = f"{_GENERATED} is missing: voxhop was not built; run 'pip install .'"
        raise EngineError(message) from error


def library_path(generated_file: str | None) -> Path:
    """Return where the shared library lies.

    An installed package has it in its own ``lib`` folder; an editable install keeps the
    sources in place and puts the built files, the generated module among them, elsewhere.

    Parameters
    ----------
    generated_file
        ``__file__`` of the generated cffi module.
    """
    name = _LIBRARY_NAMES.get(sys.platform, "libvoxhop.so")
    folders = [Path(__file__).parent / "lib"]
    if generated_file is not None:
        folders.append(Path(generated_file).parent / "lib")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    tried = ", ".join(dict.fromkeys(str(folder) for folder in folders))
    raise EngineError(f"{name}: not found in {tried}; reinstall voxhop")


def engine_version() -> str:
    """Return the version of the engine library, for example ``"0.1.0"``."""
    return native().text(native().lib.vh_version())


def ggml_version() -> str:
    """Return the version of the ggml inside the engine library, for example ``"0.20.2"``."""
    return native().text(native().lib.vh_ggml_version())


def build() -> str:
    """Return how the engine library was built, for example ``"GCC 12.2.0, x86-64, release"``."""
    return native().text(native().lib.vh_build())


def loaded_library() -> Path:
    """Return the path of the engine library in use."""
    native()
    return library_path(importlib.import_module(_GENERATED).__file__)


def cpu_isas() -> tuple[str, ...]:
    """Return the instruction sets that the build carries and this CPU runs, best first."""
    return tuple(filter(None, native().text(native().lib.vh_cpu_isas()).split(",")))
