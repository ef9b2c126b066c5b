"""Where the weights of a model came from, so that another process can open them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxhop.errors import ModelFileError

if TYPE_CHECKING:
    from pathlib import Path


class ContentOrigin:
    """A model from the content of a file.

    Parameters
    ----------
    content
        The whole GGUF file.
    """

    def __init__(self, content: bytes) -> None:
        self.reference: bytes = content

    def digest(self) -> str:
        """Return the SHA-256 of the content in hexadecimal."""
        import hashlib  # noqa: PLC0415 - it loads OpenSSL, which few need

        return hashlib.sha256(self.reference).hexdigest()


class FileOrigin:
    """A model from a file.

    Parameters
    ----------
    name
        Of the model where it has one; the same model may lie elsewhere on another machine.
    path
        The file.
    """

    def __init__(self, name: str | None, path: Path) -> None:
        self._path = path.absolute()
        self.reference: str = str(self._path) if name is None else name
        self._stamp = self._stamp_now()
        self._digest: str | None = None

    def digest(self) -> str:
        """Return the SHA-256 of what was loaded, in hexadecimal.

        Raises
        ------
        ModelFileError
            When the file is gone, or is not the one that was loaded any more.
        """
        if self._stamp_now() != self._stamp:
            raise ModelFileError(
                f"{self._path}: changed since it was loaded; another process would open another "
                "model"
            )
        if self._digest is None:
            from voxhop.engine.hash import sha256_of  # noqa: PLC0415 - as above

            self._digest = sha256_of(self._path)
        return self._digest

    def _stamp_now(self) -> tuple[int, int] | None:
        """Return what changes with the file; None when it is not there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns
