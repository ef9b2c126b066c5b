"""Configurations from TOML and plain tables, every key checked, and back."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from voxhop.errors import ArgumentError
from voxhop.training.config.run import Phase, RunConfig
from voxhop.training.config.runs import CONFIGS, TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_T = TypeVar("_T")


def load_config(path: str | Path) -> RunConfig:
    """Read a TOML file; relative paths in it are relative to the working directory.

    Raises
    ------
    ArgumentError
        For an unknown key, a value of the wrong type, or a file that is no TOML.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ArgumentError(f"{path}: {error}") from error
    return from_table(RunConfig, table, where=str(path))


def from_table(kind: type[_T], table: Mapping[str, Any], *, where: str) -> _T:
    """Build a dataclass from nested tables.

    Keys not given keep their defaults. Of a run's configuration, `recipe` in the table says
    which one it is.

    Raises
    ------
    ArgumentError
        Naming the key, what was found and what is known.
    """
    if issubclass(kind, RunConfig):
        kind = _kind_of_run(table, where)  # type: ignore[assignment]  # a subclass of it
        if isinstance(table.get("model"), dict):
            table = {**table, "model": {**kind.model_defaults, **table["model"]}}
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - known)
    if unknown:
        raise ArgumentError(
            f"{where}: unknown key {unknown[0]!r}, known: {', '.join(sorted(known))}"
        )
    values = {
        name: _convert(value, hints[name], f"{where}: {name}") for name, value in table.items()
    }
    try:
        return kind(**values)
    except ArgumentError:
        raise
    except ValueError as error:  # a dataclass of another package refusing its values
        raise ArgumentError(f"{where}: {error}") from error


def _kind_of_run(table: Mapping[str, Any], where: str) -> type[RunConfig]:
    recipe = table.get("recipe", "localvqe")
    if recipe not in CONFIGS:
        raise ArgumentError(f"{where}: recipe: {recipe!r}, expected one of {', '.join(CONFIGS)}")
    return CONFIGS[recipe]


def to_table(config: object) -> dict[str, Any]:
    """Turn a configuration into plain tables, the reverse of `from_table`."""
    return dataclasses.asdict(config)  # type: ignore[call-overload]


def _convert(value: Any, hint: Any, where: str) -> Any:  # noqa: ANN401 - TOML values
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ArgumentError(f"{where}: {value!r}, expected a table")
        return from_table(hint, value, where=where)  # type: ignore[arg-type]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ArgumentError(f"{where}: {value!r}, expected a list")
        each = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(each) != len(value):
            raise ArgumentError(f"{where}: {len(value)} values, expected {len(each)}")
        return tuple(_convert(v, h, where) for v, h in zip(value, each, strict=True))
    if origin is Literal:
        if value not in arguments:
            raise ArgumentError(f"{where}: {value!r}, expected one of {arguments}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = hint if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) else object
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        raise ArgumentError(f"{where}: {value!r}, expected {getattr(plain, '__name__', plain)}")
    return value


def to_toml(config: RunConfig) -> str:
    """Write what differs from the defaults as TOML, the reverse of `load_config`."""
    table = _changed(to_table(config), to_table(type(config)()))
    if not isinstance(config, TrainingConfig):
        table = {"recipe": config.recipe, **table}
    phases = table.pop("phases", [])
    lines = _lines(table)
    for phase in phases:
        own = _changed(phase, to_table(Phase()))
        own["share"] = phase["share"]
        lines += ["", "[[phases]]", *(f"{name} = {_toml(item)}" for name, item in own.items())]
    return "\n".join(lines) + "\n"


def _lines(table: dict[str, Any], where: str = "") -> list[str]:
    """Write a table's entries, then the tables in it."""
    lines = [f"{key} = {_toml(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        if _is_table(value):
            lines += ["", f"[{where}{key}]", *_lines(value, f"{where}{key}.")]
    return lines


def _changed(table: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the entries, and tables of entries, that are not as in `defaults`."""
    found = {}
    for key, value in table.items():
        inner = _changed(value, defaults[key]) if _is_table(value) else value
        if inner if _is_table(value) else value != defaults[key]:
            found[key] = inner
    return found


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _toml(value: Any) -> str:  # noqa: ANN401 - a TOML value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
