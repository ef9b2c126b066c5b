"""Names of files that are still being written, beside the file that they become."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL_SUFFIX: Final = ".part"


def partial_beside(target: Path, suffix: str = PARTIAL_SUFFIX) -> Path:
    """Return a hidden, unused name in the folder of `target`; renaming it there is atomic."""
    # Not the secrets module: it takes a tenth of the time of `import voxhop`.
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}{suffix}")
