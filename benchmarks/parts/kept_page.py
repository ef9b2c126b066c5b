"""Result pages that a program writes again, and notes in them that people wrote."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import voxhop
from voxhop.figures.machine import cpu_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _typeshed import DataclassInstance

_NOTES = re.compile(r"^## Notes\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def keep_notes(path: Path, text: str) -> str:
    """Return `text` with the section "Notes" of the page at `path` behind its first part."""
    found = _NOTES.search(path.read_text("utf-8")) if path.exists() else None
    if found is None:
        return text
    head, mark, rest = text.partition("\n## ")
    return f"{head}\n{found[0].rstrip()}\n{mark}{rest}"


def write_study(path: Path, text: str, study: DataclassInstance) -> None:
    """Write a page over its last version, notes kept, and beside it all figures as JSON."""
    path.write_text(keep_notes(path, text), encoding="utf-8")
    figures = json.dumps(dataclasses.asdict(study), indent=1)
    path.with_suffix(".json").write_text(figures + "\n", encoding="utf-8")


def machine_text() -> str:
    """Return where figures were made: CPU, instruction sets, version."""
    isas = ", ".join(voxhop.cpu_isas())
    return f"{cpu_name()} ({isas}), voxhop {voxhop.__version__}"


def model_name(model: str) -> str:
    """Return what the row of a model is called that is given by name or path."""
    return Path(model).stem if model.endswith(".gguf") else model


def hop_page(
    title: str, about: str, columns: Sequence[str], rows: Iterable[tuple[str, ...]]
) -> str:
    """Return a page of one table, a row per way to compute: two names, then figures."""
    lines = [f"# {title}", "", about, "", f"| {' | '.join(columns)} |"]
    lines.append("|---|---|" + "--:|" * (len(columns) - 2))
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def show(text: str, page: Path | None) -> None:
    """Print a page, and keep it where there is a path."""
    sys.stdout.write(text)
    if page is not None:
        page.write_text(text, encoding="utf-8")
