"""What of a model file's metadata goes into a file that is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.models import load

if TYPE_CHECKING:
    from pathlib import Path

NAME, LICENCE, CARD = "general.name", "general.license", "voxhop.model_card"


def kept_metadata(path: Path, *keys: str) -> dict[str, Any]:
    """Return those of `keys` that the file at `path` has."""
    with load(path) as model:
        return {key: model.metadata[key] for key in keys if key in model.metadata}
