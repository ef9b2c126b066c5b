"""Names of files that are still being written, beside the file that they become."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

PARTIAL_SUFFIX: Final = ".part"
_PARTIAL: Final = re.compile(rf"\.(.+)\.[0-9a-f]{{8}}{re.escape(PARTIAL_SUFFIX)}", re.DOTALL)


def partial_beside(target: Path, suffix: str = PARTIAL_SUFFIX) -> Path:
    """Return a hidden, unused name in the folder of `target`; renaming it there is atomic."""
    # Not the secrets module: it takes a tenth of the time of `import voxhop`.
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}{suffix}")


def remove_partials(folder: Path, names: Collection[str]) -> int:
    """Remove what killed programs left of files of these names in a folder; return how many."""
    removed = 0
    if not folder.is_dir():
        return removed
    with os.scandir(folder) as entries:
        for entry in entries:
            found = _PARTIAL.fullmatch(entry.name)
            if found is not None and found[1] in names:
                (folder / entry.name).unlink(missing_ok=True)
                removed += 1
    return removed
