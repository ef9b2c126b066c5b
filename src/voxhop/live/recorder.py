"""The signals of a live session as files."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from voxhop.errors import VoxhopError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from voxhop.media.formats import Floats


class Recorder:
    """Writes tracks from a thread of its own, so that the sound callbacks never wait."""

    def __init__(self, folder: Path, names: Sequence[str], rate: int) -> None:
        from voxhop.io import AudioWriter  # noqa: PLC0415 - only for recordings

        folder.mkdir(parents=True, exist_ok=True)
        self._blocks: queue.SimpleQueue[tuple[str, Floats] | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._writers = {
            name: AudioWriter(
                folder / f"{name}.wav", rate=rate, channels=1, encoding=("WAV", "PCM_16")
            )
            for name in names
        }
        self._thread = threading.Thread(target=self._run, name="voxhop record", daemon=True)
        self._thread.start()

    def add(self, name: str, block: Floats) -> None:
        """Append a block to a track; the caller does not wait."""
        self._blocks.put((name, block))

    def close(self) -> None:
        """Complete the files, or raise what went wrong while writing."""
        self._blocks.put(None)
        self._thread.join()
        for writer in self._writers.values():
            if self._error is None:
                writer.commit()
            writer.discard()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._blocks.get()) is not None:
            name, block = item
            if self._error is None:
                try:
                    self._writers[name].write(block[:, None])
                except VoxhopError as error:
                    self._error = error
