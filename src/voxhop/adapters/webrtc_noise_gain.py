"""The processor of ``webrtc_noise_gain`` 1.3, as satellites and Home Assistant call it.

A program that says ``from webrtc_noise_gain import AudioProcessor`` says ``from
voxhop.adapters.webrtc_noise_gain import AudioProcessor`` instead. What the original cannot do,
`PcmEnhancer.play` can: take the loudspeaker's echo away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from voxhop.adapters.pcm import PcmEnhancer
from voxhop.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from voxhop.files.offline import ModelSource

_RATE: Final = 16000
_BYTES: Final = 320
_FLOORS_DB: Final = (0.0, 6.0, 12.0, 18.0, 21.0)


@dataclass(frozen=True)
class ProcessedAudioChunk:
    """Ten enhanced milliseconds.

    Attributes
    ----------
    audio
        320 bytes of 16-bit mono samples at 16 kHz.
    is_speech
        Whether the near end is well above its own noise.
    """

    audio: bytes
    is_speech: bool


class AudioProcessor(PcmEnhancer):
    """Ten milliseconds of 16-bit mono at 16 kHz at a time.

    Parameters
    ----------
    auto_gain
        There is no gain control: must be 0.
    noise_suppression
        0 to 4: until something is played no hop is lowered by more than 0, 6, 12, 18 or 21 dB.
    model, **settings
        As for `PcmEnhancer`.

    Raises
    ------
    ArgumentError, EngineError, ModelFileError
        As for `PcmEnhancer`.
    """

    def __init__(
        self,
        auto_gain: int,
        noise_suppression: int,
        *,
        model: ModelSource = None,
        **settings: Any,  # noqa: ANN401 - those of Stream
    ) -> None:
        if auto_gain != 0:
            raise ArgumentError(f"auto_gain: {auto_gain}, expected 0: there is no gain control")
        if noise_suppression not in range(len(_FLOORS_DB)):
            most = len(_FLOORS_DB) - 1
            raise ArgumentError(f"noise_suppression: {noise_suppression}, expected 0 to {most}")
        self._echo_floor_db = settings.pop("floor_db", math.inf)
        settings["floor_db"] = _FLOORS_DB[noise_suppression]
        self._free = False
        super().__init__(_RATE, model=model, **settings)

    def Process10ms(self, audio: bytes) -> ProcessedAudioChunk:  # noqa: N802 - the original's name
        """Enhance 320 bytes.

        Raises
        ------
        ShapeError, DtypeError
            For anything else.
        """
        if isinstance(audio, bytes) and len(audio) != _BYTES:
            raise ShapeError(
                f"audio: {len(audio)} bytes, expected {_BYTES}: 10 ms of 16-bit mono at 16 kHz"
            )
        if self._played and not self._free:
            self._free = True
            self.stream.set_floor_db(self._echo_floor_db)  # the echo may go, all of it
        return ProcessedAudioChunk(self(audio), self.metrics.near_active)
