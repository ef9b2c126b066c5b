"""Echo of speech in simulated rooms, with delays, drifting clocks, jumps and lost blocks.

Speech is the loudspeaker signal of the cases that ``voxhop train CONFIG --cases FOLDER``
writes; rooms come from the image method (`voxhop.training.sounds.rooms`), whose responses begin
with their strongest path, so the delay of a scene is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from voxhop.training.sounds.rooms import LOUDSPEAKER, PEAK_SAMPLE, RoomConfig, cached_rooms

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]

RATE = 16000
LEVEL = 0.05  # rms of the loudspeaker signal and of its echo, -26 dBFS
NOISE_DB = -20.0  # of the microphone's own noise against the echo
LONGEST_S = 2.0
LEAST_LEVEL = 0.01  # rms: quieter loudspeaker signals are noise or nearly silent
HALF_SINC = 32


@dataclass(frozen=True)
class Scene:
    """One room with one loudspeaker signal.

    Attributes
    ----------
    far, mic
        ``(samples,)`` float32 at 16 kHz.
    delay_s
        Of the strongest path behind the loudspeaker signal at the start.
    ppm
        How much slower than the microphone's the clock of `far` runs.
    jump_at_s, jump_s
        When the delay changes, and by how much; 0 for a scene without a jump.
    """

    far: Array
    mic: Array
    delay_s: float
    ppm: float = 0.0
    jump_at_s: float = 0.0
    jump_s: float = 0.0

    def delay_at(self, time_s: Array) -> Array:
        """Return the delay of the strongest path in seconds."""
        jumped = (time_s >= self.jump_at_s) & (self.jump_s != 0.0)
        return self.delay_s + jumped * self.jump_s + 1e-6 * self.ppm * time_s


def load_speech(cases: Path) -> list[Array]:
    """Return the loudspeaker signals of a case folder that carry sound."""
    found = [soundfile.read(path, dtype="float32")[0] for path in sorted(cases.glob("*/ref.wav"))]
    return [x for x in found if np.sqrt(np.mean(x**2)) > LEAST_LEVEL]


def load_rooms(count: int, seed: int, cache: Path) -> Array:
    """Return responses of loudspeakers, ``(count, samples)``, strongest path first."""
    config = RoomConfig(count=count, rt60_s=(0.15, 0.9))
    return cached_rooms(config, seed=seed, folder=cache)[:, LOUDSPEAKER, PEAK_SAMPLE:]


def make_scene(
    speech: list[Array],
    room: Array,
    rng: np.random.Generator,
    *,
    seconds: float,
    delay_s: float | None = None,
    ppm: float = 0.0,
    jump: tuple[float, float] | None = None,
) -> Scene:
    """Draw one scene.

    Parameters
    ----------
    speech, room
        From `load_speech` and one row of `load_rooms`.
    seconds
        Length.
    delay_s
        0 to 2 s drawn at random when None.
    ppm
        See `Scene`.
    jump
        Time and size of a change of the delay in seconds; its sign is turned where the
        delay would leave the range.
    """
    n = round(seconds * RATE)
    parts: list[Array] = []
    while sum(map(len, parts)) < n:
        parts.append(_level(speech[int(rng.integers(len(speech)))]))
    far = np.concatenate(parts)[:n]
    delay = rng.uniform(0.0, LONGEST_S - 0.02) if delay_s is None else delay_s
    at, size = jump or (0.0, 0.0)
    if not 0.0 <= delay + size <= LONGEST_S:
        size = -size
    heard = _level(_through(room, far))
    late = [_delayed(heard, delay), _delayed(heard, delay + size)]
    mic = np.where(np.arange(n) < at * RATE, late[0], late[1]) if size else late[0]
    mic = drifting(mic, ppm) if ppm else mic
    mic = mic + LEVEL * 10 ** (NOISE_DB / 20) * rng.standard_normal(n)
    exact = round(delay * RATE) / RATE
    return Scene(far.astype(np.float32), mic.astype(np.float32), exact, ppm, at, size)


def drifting(x: Array, ppm: float) -> Array:
    """Return x as a clock hears it that runs `ppm` faster: y(t) = x(t (1 - ppm 1e-6))."""
    position = np.arange(len(x)) * (1.0 - 1e-6 * ppm)
    whole = np.floor(position).astype(int)
    fraction = position - whole
    padded = np.pad(x, (HALF_SINC, HALF_SINC + round(len(x) * 1e-3)))
    y = np.zeros(len(x))
    for tap in range(1 - HALF_SINC, HALF_SINC + 1):
        t = tap - fraction
        window = np.where(np.abs(t) < HALF_SINC, np.cos(np.pi * t / (2 * HALF_SINC)) ** 2, 0.0)
        y += padded[whole + tap + HALF_SINC] * np.sinc(t) * window
    return y


def lost_blocks(n: int, block: int, share: float, rng: np.random.Generator) -> Array:
    """Return ``(blocks,)`` booleans: which blocks of n samples of a reference are lost."""
    return rng.random(-(-n // block)) < share


def _through(room: Array, x: Array) -> Array:
    size = 1 << (len(x) + len(room) - 1).bit_length()
    spectrum = np.fft.rfft(x, size) * np.fft.rfft(room, size)
    return np.fft.irfft(spectrum, size)[: len(x)]


def _level(x: Array) -> Array:
    return LEVEL * x / np.sqrt(np.mean(x**2))


def _delayed(x: Array, seconds: float) -> Array:
    n = round(seconds * RATE)
    return np.concatenate([np.zeros(n), x])[: len(x)]
