"""What a loudspeaker plays, on its way to a microphone with a clock of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_MOST_S: Final = 60.0
_SILENCE_S: Final = 0.1


class Playback:
    """A player without a loudspeaker: what is pushed starts at once and plays in real time.

    Agents push nothing while they are silent, and speech faster than it sounds. Read by the
    clock of the microphone, the queue is where a player would be that started with the first
    block; between two utterances it runs dry, and the clocks are together again. A source that
    never stops would let it grow by the drift of the clocks, so silence at its end is not kept.

    Any thread may use it.

    Parameters
    ----------
    sample_rate
        Of what is pushed and pulled, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._most = round(_MOST_S * sample_rate)
        self._most_silence = round(_SILENCE_S * sample_rate)
        self._lock = threading.Lock()
        self._told = self._paused = False
        self.clear()

    def clear(self) -> None:
        """Forget what has not been pulled: the player was interrupted."""
        with self._lock:
            self._blocks: deque[Floats] = deque()
            self._count = self._silent = 0

    def pause(self, paused: bool) -> None:
        """Hold what is queued, or go on with it."""
        self._paused = paused

    def push(self, block: Floats) -> None:
        """Add mono samples to what is played.

        Beyond a minute in the queue they are dropped, which is logged once.
        """
        loud = np.flatnonzero(block)
        with self._lock:
            if self._count + len(block) > self._most:
                self._tell_full()
                return
            self._blocks.append(block)
            self._count += len(block)
            self._silent = (
                len(block) - 1 - int(loud[-1]) if len(loud) else self._silent + len(block)
            )
            self._drop_last(self._silent - self._most_silence)

    def pull(self, samples: int) -> Floats:
        """Return what sounds in the next samples; zeros where nothing does."""
        out = np.zeros(samples, np.float32)
        if self._paused:
            return out
        at = 0
        with self._lock:
            while at < samples and self._blocks:
                block = self._blocks.popleft()
                part = block[: samples - at]
                out[at : at + len(part)] = part
                at += len(part)
                if len(part) < len(block):
                    self._blocks.appendleft(block[len(part) :])
            self._count -= at
            self._silent = min(self._silent, self._count)
        return out

    def _drop_last(self, samples: int) -> None:
        while samples > 0:
            block = self._blocks.pop()
            kept = block[: max(0, len(block) - samples)]
            if len(kept):
                self._blocks.append(kept)
            dropped = len(block) - len(kept)
            samples -= dropped
            self._count -= dropped
            self._silent -= dropped

    def _tell_full(self) -> None:
        if not self._told:
            self._told = True
            logging.getLogger("voxhop").warning(
                "playback: more than %g s ahead of the microphone, the rest is not heard "
                "(said once); is there a microphone?",
                _MOST_S,
            )
