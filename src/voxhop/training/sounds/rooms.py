"""Banks of room responses by the image method, cached on disk.

A room is three responses into one microphone: the talker, the loudspeaker, and the
loudspeaker after it (or the microphone) has been moved. All are trimmed so that the
strongest path lies at `PEAK_SAMPLE`, so the delay label of an echo is exact.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLE_RATE = 16000
PEAK_SAMPLE = 40
"""Samples before the strongest path: room for the fractional-delay filter's ramp."""

PATHS = 3
TALKER, LOUDSPEAKER, MOVED = range(PATHS)


@dataclass(frozen=True)
class RoomConfig:
    """Ranges the rooms of a bank are drawn from.

    Attributes
    ----------
    count : int
        Rooms in the bank.
    seconds : float
        Length of every response.
    rt60_s : tuple of float
        Smallest and largest reverberation time.
    max_order : int
        Image order; later reflections continue as decaying noise of the same slope.
    coupled : float
        Share of rooms whose loudspeaker sits in the same device as the microphone.
    """

    count: int = 260
    seconds: float = 0.6
    rt60_s: tuple[float, float] = (0.12, 0.9)
    max_order: int = 17
    coupled: float = 0.35


def build_rooms(
    config: RoomConfig, *, seed: int, workers: int = 1, sample_rate: int = SAMPLE_RATE
) -> NDArray[np.float32]:
    """Draw a bank of rooms.

    Parameters
    ----------
    config : RoomConfig
        Ranges.
    seed : int
        Room ``i`` depends on ``(seed, i)`` only, not on the number of workers.
    workers : int
        Processes; 1 computes in this one.
    sample_rate : int
        Hz.

    Returns
    -------
    ndarray of float32, shape (count, 3, samples)
        Responses with a peak of 1 at `PEAK_SAMPLE`: talker, loudspeaker, moved.
    """
    jobs = [(config, seed, index, sample_rate) for index in range(config.count)]
    if workers <= 1:
        rooms = [_room(*job) for job in jobs]
    else:
        with ProcessPoolExecutor(workers) as pool:
            rooms = list(pool.map(_room, *zip(*jobs, strict=True), chunksize=4))
    return np.stack(rooms)


def cached_rooms(
    config: RoomConfig,
    *,
    seed: int,
    folder: Path,
    workers: int = 1,
    sample_rate: int = SAMPLE_RATE,
) -> NDArray[np.float32]:
    """Return `build_rooms` of these arguments, computed once per cache folder.

    The file is written under a temporary name and renamed, so a killed run leaves no
    half bank behind. It holds float16: -66 dB of rounding noise per sample, far below
    any recorded response.
    """
    what = [asdict(config), seed, 1] + [sample_rate] * (sample_rate != SAMPLE_RATE)
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    path = folder / f"rooms-{key}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rooms = build_rooms(config, seed=seed, workers=workers, sample_rate=sample_rate)
        rooms = rooms.astype(np.float16)  # type: ignore[assignment]
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        with partial.open("wb") as file:
            np.save(file, rooms)
        partial.replace(path)
    return np.load(path).astype(np.float32)


def align_peak(response: NDArray[np.float64], samples: int) -> NDArray[np.float32]:
    """Trim or pad a response so that its peak is 1 and lies at `PEAK_SAMPLE`.

    Parameters
    ----------
    response : ndarray, shape (n,)
        Any response with at least one non-zero sample.
    samples : int
        Length of the result.
    """
    peak = int(np.argmax(np.abs(response)))
    if response[peak] == 0:
        raise ValueError("response: all samples are zero, expected a direct path")
    out = np.zeros(samples, np.float32)
    source = response[max(0, peak - PEAK_SAMPLE) :]
    start = max(0, PEAK_SAMPLE - peak)
    length = min(samples - start, len(source))
    out[start : start + length] = source[:length] / response[peak]
    return out


def _room(config: RoomConfig, seed: int, index: int, sample_rate: int) -> NDArray[np.float32]:
    import pyroomacoustics as pra  # noqa: PLC0415 - imported where a bank is built only

    rng = np.random.default_rng([seed, index])
    size = rng.uniform((2.5, 2.2, 2.3), (8.0, 6.0, 3.6))
    rt60 = rng.uniform(*config.rt60_s)
    # Sabine has no solution above a room's limit, or asks for walls that absorb all.
    try:
        absorption, _ = pra.inverse_sabine(rt60, size)
    except ValueError:
        absorption = 0.99
    room = pra.ShoeBox(
        size,
        fs=sample_rate,
        materials=pra.Material(min(max(absorption, 0.02), 0.99)),
        max_order=config.max_order,
    )
    coupled = rng.random() < config.coupled
    microphone = rng.uniform(0.5, size - 0.5)
    for distance in (
        rng.uniform(0.3, 2.5),
        *(rng.uniform(0.06, 0.25, 2) if coupled else rng.uniform(0.25, 2.0, 2)),
    ):
        room.add_source(_place(rng, size, microphone, distance))
    room.add_microphone(microphone)
    room.compute_rir()
    samples = int(config.seconds * sample_rate)
    decay = 6.908 / (rt60 * sample_rate)
    responses = [align_peak(_with_tail(rir, decay, samples, rng), samples) for rir in room.rir[0]]
    return np.stack(responses)


def _place(
    rng: np.random.Generator,
    size: NDArray[np.float64],
    centre: NDArray[np.float64],
    distance: float,
) -> NDArray[np.float64]:
    """Draw a point at this distance, or as near to it as the walls allow."""
    direction = rng.normal(size=3) * (1.0, 1.0, 0.3)
    point = centre + distance * direction / np.linalg.norm(direction)
    return np.clip(point, 0.1, size - 0.1)


def _with_tail(
    response: NDArray[np.float64], decay: float, samples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Continue a response cut by the image order as noise with its own decay per sample.

    The images of order `max_order` end after some 0.15-0.4 s; from three quarters of
    that on they thin out, so the tail is joined there at the level it has there.
    """
    peak = int(np.argmax(np.abs(response)))
    last = int(np.flatnonzero(np.abs(response) > 0)[-1])
    join = peak + max(1, (last - peak) * 3 // 5)
    around = response[max(peak, join - 400) : join + 400]
    level = float(np.sqrt(np.mean(around**2)))
    out = np.zeros(max(samples + peak, join))
    keep = min(len(response), join)
    out[:keep] = response[:keep]
    fading = np.exp(-decay * np.arange(len(out) - join))
    out[join:] += level * fading * rng.normal(size=len(fading))
    return out
