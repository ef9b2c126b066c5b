"""What adapters share whose host decides on formats, and whose errors would end a pipeline."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from voxhop.adapters._shift import check_delay
from voxhop.adapters.pcm import PcmEnhancer
from voxhop.engine.closing import Closing
from voxhop.models import DEFAULT_MODEL, Model, load
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxhop.files.offline import ModelSource

_LOG: Final = logging.getLogger("voxhop")
_MOST: Final = 100


class SayOnce:
    """Logs each message once, and no more than a hundred: call it with a message."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, message: str) -> None:
        """Log a warning, unless it was said before."""
        if message not in self._said and len(self._said) < _MOST:
            self._said.add(message)
            _LOG.warning("%s (said once)", message)


def checked_model(
    model: ModelSource,
    settings: Mapping[str, Any],
    *,
    channels: int = 1,
) -> Model:
    """Return a loaded model on which streams with these settings open.

    For adapters that learn the rate of a microphone only when it runs, and must not fail then.
    """
    loaded = model if isinstance(model, Model) else load(DEFAULT_MODEL if model is None else model)
    Stream(loaded, sample_rate=loaded.sample_rate, channels=channels, **settings).close()
    return loaded


class FollowingEnhancer(Closing):
    """An enhancer that is opened anew when the microphone changes its format.

    Parameters
    ----------
    model, settings
        As for `PcmEnhancer`.

    Raises
    ------
    ArgumentError, ModelFileError
        For a setting that does not fit, a model that does not load.
    """

    def __init__(self, model: ModelSource, settings: Mapping[str, Any]) -> None:
        self._model, self._settings = checked_model(model, settings), settings
        self._format: tuple[int, int] | None = None
        self._delay_ms: float | None = None
        self.current: PcmEnhancer | None = None

    def opened(self, sample_rate: int, channels: int) -> PcmEnhancer:
        """Return the enhancer for a format; the one before stays where a format is refused.

        Raises
        ------
        ArgumentError, EngineError
            For a format that no stream runs at.
        """
        before = self.current
        if before is not None and self._format == (sample_rate, channels):
            return before
        opened = PcmEnhancer(sample_rate, channels, model=self._model, **self._settings)
        if self._delay_ms is not None:
            opened.tell_delay(self._delay_ms)
        self.current, self._format = opened, (sample_rate, channels)
        if before is not None:
            _LOG.warning("microphone: now %d Hz, channels: %d; a new stream", sample_rate, channels)
            before.close()
        return opened

    def tell_delay(self, delay_ms: float) -> None:
        """Do as `PcmEnhancer.tell_delay`, also for the enhancers to come."""
        check_delay(delay_ms)
        self._delay_ms = delay_ms
        if self.current is not None:
            self.current.tell_delay(delay_ms)

    def close(self) -> None:
        """Close the enhancer; `opened` opens another. May be repeated."""
        if self.current is not None:
            self.current.close()
        self.current = self._format = None
