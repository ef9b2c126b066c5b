"""WebRTC's audio processing module: AEC3, noise suppression and its high-pass filter.

Needs the PyPI package `pywebrtc-audio`. The echo's delay is not told and gain control is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.evaluation.systems.outside import find_package

if TYPE_CHECKING:
    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]

_LEVELS: Final = range(4)


class WebRtcSystem:
    """WebRTC AEC3 with noise suppression.

    Parameters
    ----------
    ns_level
        Strength of the noise suppression, 0 to 3 (6, 12, 18, 21 dB).
    ns
        Whether there is noise suppression at all.
    """

    def __init__(self, *, ns_level: int = 1, ns: bool = True) -> None:
        from importlib import metadata  # noqa: PLC0415 - slow to import

        if ns_level not in _LEVELS:
            raise ArgumentError(f"ns_level {ns_level}, expected 0 to 3")
        self._package = find_package("pywebrtc_audio", system="webrtc", package="pywebrtc-audio")
        self._ns, self._ns_level = ns, ns_level
        suppression = f"NS{ns_level}" if ns else "no NS"
        self.name = f"WebRTC AEC3 + {suppression}" if ns else "WebRTC AEC3"
        self.delay_samples: int | None = None
        self.fingerprint = f"pywebrtc-audio {metadata.version('pywebrtc-audio')} {suppression}"

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Process one clip; without a reference the canceller hears silence."""
        processor = self._package.AudioProcessor(
            sample_rate=sample_rate,
            echo_cancellation=True,
            noise_suppression=self._ns,
            ns_level=self._ns_level,
            auto_gain_control=False,
            stream_delay_ms=0,
        )
        far = np.zeros_like(mic) if ref is None else ref
        return np.asarray(processor.process(mic, far), np.float32)
