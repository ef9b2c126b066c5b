"""Everything simulation draws from, resident as tensors on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from voxhop.training.sounds.corpus import (
    SAMPLE_RATE,
    CorpusError,
    decode,
    find_responses,
    load_streams,
)
from voxhop.training.sounds.rooms import PATHS, align_peak, cached_rooms

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from voxhop.training.sounds.corpus import Split, Streams
    from voxhop.training.sounds.rooms import RoomConfig


@dataclass(frozen=True)
class Sources:
    """One group of recordings, ready to be cropped.

    Attributes
    ----------
    samples : Tensor of int16, shape (n,)
        All streams, end to end.
    starts, lengths : Tensor of int64, shape (sources,)
        Where each stream lies.
    weights : Tensor of float32, shape (sources,)
        Chance of each source: the square root of its length, a compromise between
        drawing sources evenly (short ones repeat) and by length (one voice rules).
    """

    samples: Tensor
    starts: Tensor
    lengths: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Sources:
        """Return a copy on another device; the same tensors when already there."""
        return Sources(
            self.samples.to(device),
            self.starts.to(device),
            self.lengths.to(device),
            self.weights.to(device),
        )


@dataclass(frozen=True)
class SoundBank:
    """Sources and rooms of one split.

    Attributes
    ----------
    speech, noise : Sources
        Talkers; recorded noise.
    music : Sources or None
        Also played by the far end, when there is any.
    rooms : Tensor of float32, shape (rooms, 3, samples)
        See `voxhop.training.sounds.rooms`.
    sample_rate : int
        Hz, of all of them.
    keyboard : Sources or None
        Noises whose name begins with "keyboard"; they are in `noise`, too.
    """

    speech: Sources
    noise: Sources
    music: Sources | None
    rooms: Tensor
    sample_rate: int = SAMPLE_RATE
    keyboard: Sources | None = None

    def to(self, device: torch.device) -> SoundBank:
        """Return a copy on another device."""
        return replace(
            self,
            speech=self.speech.to(device),
            noise=self.noise.to(device),
            music=self.music.to(device) if self.music else None,
            rooms=self.rooms.to(device),
            keyboard=self.keyboard.to(device) if self.keyboard else None,
        )


@dataclass(frozen=True)
class DataConfig:
    """Where recordings come from.

    Attributes
    ----------
    folder : str
        Recordings in a layout of ``docs/training.md``.
    cache : str
        Folder for packed samples and rooms; made at first use.
    workers : int
        Processes for that first use.
    """

    folder: str = "data"
    cache: str = "cache"
    workers: int = 1


def load_bank(
    data: DataConfig,
    split: Split,
    rooms: RoomConfig,
    *,
    seed: int,
    sample_rate: int = SAMPLE_RATE,
) -> SoundBank:
    """Load (and at first use, pack) one split of a corpus.

    Parameters
    ----------
    data : DataConfig
        Recordings and cache.
    split : {"train", "valid"}
        Speakers, noises and rooms of the two splits are disjoint.
    rooms : RoomConfig
        Simulated rooms; measured ones of ``rir/`` are added to them.
    seed : int
        Seed of the rooms; the valid split draws others.
    sample_rate : int
        Hz, of recordings and rooms.

    Raises
    ------
    CorpusError
        If speech or noise is missing.
    """
    folder, cache = Path(data.folder), Path(data.cache)
    workers = data.workers
    streams = load_streams(folder, split, cache=cache, workers=workers, sample_rate=sample_rate)
    for group in ("speech", "noise"):
        if group not in streams:
            raise CorpusError(f"{folder}: no {group} in the {split} split, expected {group}/")
    room_seed = 2 * seed + (split == "valid")
    bank = cached_rooms(
        rooms, seed=room_seed, folder=cache, workers=workers, sample_rate=sample_rate
    )
    measured = _measured_rooms(find_responses(folder, split), bank, sample_rate)
    return SoundBank(
        speech=_sources(streams["speech"]),
        noise=_sources(streams["noise"]),
        music=_sources(streams["music"]) if "music" in streams else None,
        rooms=torch.from_numpy(np.concatenate([bank, measured])),
        sample_rate=sample_rate,
        keyboard=_named(streams["noise"], "keyboard"),
    )


def _named(streams: Streams, beginning: str) -> Sources | None:
    """Return the sources whose names begin so; they share the samples."""
    chosen = [i for i, name in enumerate(streams.sources) if name.startswith(beginning)]
    if not chosen:
        return None
    return _sources(
        streams._replace(starts=streams.starts[chosen], lengths=streams.lengths[chosen])
    )


def _sources(streams: Streams) -> Sources:
    lengths = torch.from_numpy(streams.lengths)
    return Sources(
        torch.from_numpy(streams.samples),
        torch.from_numpy(streams.starts),
        lengths,
        lengths.float().sqrt(),
    )


def _measured_rooms(
    files: dict[str, list[Path]], simulated: NDArray[np.float32], sample_rate: int
) -> NDArray[np.float32]:
    """Turn measured responses into rooms of three paths.

    Consecutive responses of one room serve as talker, loudspeaker and moved
    loudspeaker. A room with a single response lends it to the talker only and takes
    the loudspeaker paths of a simulated room: an echo path equal to the talker's
    would teach the network that both stand at one spot.
    """
    samples = simulated.shape[-1]
    rooms = []
    for index, name in enumerate(sorted(files)):
        responses = [_response(p, samples, sample_rate) for p in files[name]]
        if len(responses) == 1:
            lent = simulated[index % len(simulated)]
            rooms.append(np.stack([responses[0], lent[1], lent[2]]))
            continue
        for first in range(len(responses)):
            chosen = [responses[(first + k) % len(responses)] for k in range(PATHS)]
            rooms.append(np.stack(chosen))
    return np.stack(rooms) if rooms else np.zeros((0, PATHS, samples), np.float32)


def _response(path: Path, samples: int, sample_rate: int) -> NDArray[np.float32]:
    return align_peak(decode(path, sample_rate).astype(np.float64), samples)
