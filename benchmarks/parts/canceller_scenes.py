"""Echo paths for the linear canceller: still, changed, jumping, moving, bent; speech and music.

Talkers, music and rooms are those of a training corpus (`voxhop.training`), of the validation
split, so that nothing measured here was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import fftconvolve

from voxhop.training.sounds.corpus import SAMPLE_RATE, active_rms, load_streams
from voxhop.training.sounds.rooms import (
    LOUDSPEAKER,
    MOVED,
    PEAK_SAMPLE,
    TALKER,
    RoomConfig,
    cached_rooms,
)

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from voxhop.training.sounds.corpus import Streams

    Array = npt.NDArray[Any]

LEVEL = 0.05  # active RMS of loudspeaker signal, echo and talker: -26 dBFS
NOISE_DB = -60.0  # of the microphone's own noise against the echo
DELAY_S = 0.1
JUMP_S = 0.05
RT60_S = 0.3
TALKS_FROM_S = 2.5
CHANGES_AT_S = 5.0
MOVE_PERIOD_S = 2.0
DRIVE = 3.0  # of the tanh loudspeaker
ROOM_SEED = 5


@dataclass(frozen=True)
class Scenes:
    """Clips of one kind, (clips, samples) float64 each; the microphone hears echo + near."""

    far: Array
    echo: Array
    near: Array


def make_scenes(
    data: Path, cache: Path, *, clips: int, seconds: float, seed: int
) -> dict[str, Any]:
    """Draw scenes of every kind.

    Parameters
    ----------
    data, cache
        Corpus, and the folder for its packed samples and the rooms.
    clips
        Of each kind; clip i of every kind has the same room and, but for music, talkers.
    seconds
        Length of a clip.
    seed
        Of everything drawn.

    Returns
    -------
    dict
        `Scenes` by the name of their kind.
    """
    streams = load_streams(data, "valid", cache=cache)
    rooms = draw_rooms(clips, cache)
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[Array, Array, Array]]] = {}
    for index in range(clips):
        for name, scene in _clip(streams, rooms[index], index, round(seconds * SAMPLE_RATE), rng):
            found.setdefault(name, []).append(scene)
    return {
        name: Scenes(*(np.stack(part) for part in zip(*parts, strict=True)))
        for name, parts in found.items()
    }


def _clip(
    streams: dict[str, Streams], room: Array, index: int, n: int, rng: np.random.Generator
) -> list[tuple[str, tuple[Array, Array, Array]]]:
    time = np.arange(n) / SAMPLE_RATE
    noise = LEVEL * 10 ** (NOISE_DB / 20) * rng.standard_normal(n)

    far = levelled(crop(streams["speech"], 7 * index, n, rng))
    still = echo_of(far, room[LOUDSPEAKER])
    moved = echo_of(far, room[MOVED])
    late = np.roll(moved, round(JUMP_S * SAMPLE_RATE))
    talker = fftconvolve(crop(streams["speech"], 7 * index + 3, n, rng), room[TALKER])[:n]
    talker = levelled(talker) * (time > TALKS_FROM_S)
    bent = echo_of(np.tanh(DRIVE * far / np.abs(far).max()), room[LOUDSPEAKER])
    music = levelled(crop(streams["music"], index, n, rng))
    changed = np.clip((time - CHANGES_AT_S) / 0.02, 0, 1)
    there = 0.5 - 0.5 * np.cos(2 * np.pi * time / MOVE_PERIOD_S)

    def between(a: Array, b: Array, share: Array) -> Array:
        return a * (1 - share) + b * share

    moving = between(still, moved, there)
    louder = 10**0.5
    return [
        ("speech", (far, still, noise)),
        ("music", (music, echo_of(music, room[LOUDSPEAKER]), noise)),
        ("bent loudspeaker", (far, bent, noise)),
        ("moving", (far, moving, noise)),
        ("change", (far, between(still, moved, changed), noise)),
        ("jump of 50 ms", (far, between(still, late, changed), noise)),
        ("double talk, 0 dB", (far, still, noise + talker)),
        ("double talk, talker 10 dB below", (far, still, noise + talker / louder)),
        ("double talk, talker 10 dB above", (far, still, noise + talker * louder)),
        ("the same, moving", (far, moving, noise + talker * louder)),
    ]


def draw_rooms(count: int, cache: Path) -> Array:
    """Return the responses of so many rooms, (rooms, places, taps), of `voxhop.training.sounds`."""
    config = RoomConfig(count=count, rt60_s=(RT60_S, RT60_S))
    return np.asarray(cached_rooms(config, seed=ROOM_SEED, folder=cache)[:, :, PEAK_SAMPLE:])


def echo_of(far: Array, response: Array) -> Array:
    """Return the echo of a signal through a linear path, after `DELAY_S` and at `LEVEL`."""
    silence = np.zeros(round(DELAY_S * SAMPLE_RATE))
    heard: Array = np.concatenate((silence, fftconvolve(far, response)))[: len(far)]
    return levelled(heard)


def crop(streams: Streams, source: int, n: int, rng: np.random.Generator) -> Array:
    """Return `n` samples of a source of the corpus from a place that is drawn, in [-1, 1]."""
    which = source % len(streams.lengths)
    length = int(streams.lengths[which])
    index = (int(rng.integers(length)) + np.arange(n)) % length
    return np.asarray(streams.samples[streams.starts[which] + index], np.float64) / 32768


def levelled(x: Array) -> Array:
    """Return a signal whose active parts have the RMS `LEVEL`."""
    return x * (LEVEL / active_rms(x.astype(np.float32)))
