"""Conditions that rooms and calls have at times: which clip gets which.

Every one has a chance of its own, zero by default. They are drawn from a branch of the batch's
`Draw`, so that clips without any are, bit for bit, what they are when nothing is configured.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.sounds.bank import SoundBank

Marks = dict[str, "Tensor"]
"""Which clips have a condition, (clips, 1) bool, by its name; those of chance zero are absent."""

_BRANCH = 15


@dataclass(frozen=True)
class ConditionsConfig:
    """Share of clips that have a condition.

    Attributes
    ----------
    hum, whine, beeps, alarm, fan : float
        Added to the microphone: mains hum or buzz with its harmonics, a steady tone of 100 Hz to
        7 kHz, beeps, an alarm of two tones or a sweep, a fan's noise and tones.
    offset : float
        A constant offset of up to 0.2 and movement below 20 Hz, in the microphone.
    keyboard : float
        Strokes of a keyboard beside the microphone; needs sources whose names begin with
        "keyboard".
    media, singing : float
        The far end plays music with speech over it, or with a voice that is held as if it sang;
        need music.
    same_talker : float
        The far end is the near talker, at another moment.
    quick_answer : float
        The near talker starts within 50 ms of the far end's stop.
    faint_talker : float
        The talker is 15 to 25 dB below the echo.
    whisper, child : float
        The near talker whispers; has a child's pitch and formants.
    small_loudspeaker : float
        No bass, and driven to its limit.
    moving_path : float
        The echo path never rests.
    jitter : float
        Playback whose clock wanders by some samples.
    agc, suppressor : float
        The device's own automatic gain; its own noise suppressor, in the microphone.
    telephone_mic, telephone_ref : float
        A side whose sound was on an 8 kHz telephone line: 300 to 3400 Hz.
    """

    hum: float = 0.0
    whine: float = 0.0
    beeps: float = 0.0
    alarm: float = 0.0
    fan: float = 0.0
    offset: float = 0.0
    keyboard: float = 0.0
    media: float = 0.0
    singing: float = 0.0
    same_talker: float = 0.0
    quick_answer: float = 0.0
    faint_talker: float = 0.0
    whisper: float = 0.0
    child: float = 0.0
    small_loudspeaker: float = 0.0
    moving_path: float = 0.0
    jitter: float = 0.0
    agc: float = 0.0
    suppressor: float = 0.0
    telephone_mic: float = 0.0
    telephone_ref: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no chance."""
        for name in CONDITIONS:
            chance = getattr(self, name)
            if not 0.0 <= chance <= 1.0:
                raise ArgumentError(f"conditions.{name}: {chance:g}, expected a chance of 0 to 1")


class Drawn(NamedTuple):
    """Conditions of a batch, and what their details are drawn from."""

    bank: SoundBank
    marks: Marks
    details: Draw


CONDITIONS = tuple(field.name for field in fields(ConditionsConfig))
"""Names of all conditions."""

NEAR_ONLY = ("hum", "whine", "beeps", "alarm", "fan", "offset", "keyboard", "whisper", "child")
"""Those that need no far end to be heard."""


def draw_marks(config: ConditionsConfig, draw: Draw, clips: int) -> tuple[Marks, Draw]:
    """Draw which clips have which condition; also return the `Draw` their details come from."""
    branch = draw.branch(_BRANCH)
    chances = {name: getattr(config, name) for name in CONDITIONS}
    return {
        name: branch.chance(chance, clips, 1) for name, chance in chances.items() if chance > 0
    }, branch
