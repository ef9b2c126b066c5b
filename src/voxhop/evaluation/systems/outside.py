"""What systems of others need and this package does not bring: packages and shared libraries."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Prototype = tuple[str, Any, list[Any]]  # a function, what it returns and what it takes


def find_package(module: str, *, system: str, package: str) -> Any:  # noqa: ANN401 - without types
    """Import a module; where it is missing, say which `package` a `system` needs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ArgumentError(
            f"system {system!r} needs a package that is not installed; run: pip install {package}"
        ) from error


def find_library(name: str, *, system: str, debian: str) -> ctypes.CDLL:
    """Load a shared library; where it is missing, say what a `system` needs.

    Parameters
    ----------
    name
        Without prefix and suffix, which is its name in Homebrew, too.
    system
        Who needs it.
    debian
        The package that holds it there.
    """
    path = ctypes.util.find_library(name)
    if path is None:
        raise ArgumentError(
            f"system {system!r} needs lib{name}, which is not on this machine; "
            f"run: apt install {debian} (or: brew install {name})"
        )
    return ctypes.CDLL(path)


def declare(library: ctypes.CDLL, prototypes: Sequence[Prototype]) -> ctypes.CDLL:
    """Tell a library's functions their types, and return it."""
    for function, result, arguments in prototypes:
        entry = getattr(library, function)
        entry.restype, entry.argtypes = result, arguments
    return library
