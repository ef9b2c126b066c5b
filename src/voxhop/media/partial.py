"""Names of files that are still being written, beside the file that they become."""

from __future__ import annotations

import abc
import os
import re
from typing import TYPE_CHECKING, Final, TypeVar

from voxhop.engine.closing import Uncopied

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path
    from types import TracebackType

_Self = TypeVar("_Self", bound="WholeFile")

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


class WholeFile(Uncopied, abc.ABC):
    """A context manager that leaves its target whole, or as it was when an error ends it."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Put what was written in the target's place."""

    @abc.abstractmethod
    def discard(self) -> None:
        """Remove what was written; nothing after `commit`."""

    def __enter__(self: _Self) -> _Self:  # noqa: PYI019 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.commit()
        finally:
            self.discard()
