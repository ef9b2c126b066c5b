"""What Sublime trains on: speech at its rate, mildly degraded, and two rates of bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from voxhop.training.simulation.degrade import DegradationConfig, degrade
from voxhop.training.sublime.objective import SublimeBatch

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.sounds.bank import SoundBank


@dataclass(frozen=True)
class SublimeDataConfig:
    """Chances and ranges of a batch.

    Attributes
    ----------
    clean : float
        Share of clips that are not degraded at all.
    reverberation : float
        Share of clips in a room.
    snr_db : tuple of float
        Speech to noise of the others, active levels.
    level_dbfs : tuple of float
        Active level of the speech.
    narrow : float
        Share of clips that hold nothing above one of `edges_hz`, and should come back so.
    edges_hz : tuple of float
        See above.
    """

    clean: float = 0.5
    reverberation: float = 0.25
    snr_db: tuple[float, float] = (6.0, 30.0)
    level_dbfs: tuple[float, float] = (-36.0, -12.0)
    narrow: float = 0.2
    edges_hz: tuple[float, ...] = (4000.0, 8000.0)


def draw_batch(
    bank: SoundBank,
    config: SublimeDataConfig,
    draw: Draw,
    *,
    clips: int,
    samples: int,
    dropped: float,
) -> SublimeBatch:
    """Draw one batch at the bank's rate.

    Parameters
    ----------
    bank
        Recordings and rooms.
    config
        Chances and ranges.
    draw
        Source of randomness; equal keys give equal clips.
    clips, samples
        Size of the batch.
    dropped
        Share of clips that only mode A is heard of.
    """
    chances = DegradationConfig(
        noise=1.0,
        reverberation=config.reverberation,
        clipping=0.0,
        packet_loss=0.0,
        snr_db=config.snr_db,
        level_dbfs=config.level_dbfs,
    )
    rate = bank.sample_rate
    batch = degrade(bank, chances, draw, clips=clips, samples=samples, sample_rate=rate)
    clean = draw.chance(config.clean, clips, 1)
    noisy = torch.where(clean, batch.target, batch.noisy)
    edges = torch.tensor(config.edges_hz, device=draw.device)
    edge = edges[draw.choice(torch.ones_like(edges), clips)][:, None]
    edge = torch.where(draw.chance(config.narrow, clips, 1), edge, edge.new_tensor(float(rate)))
    both = ~draw.chance(dropped, clips)
    return SublimeBatch(_cut(noisy, edge, rate), _cut(batch.target, edge, rate), both)


def _cut(audio: Tensor, edge_hz: Tensor, rate: int) -> Tensor:
    """Take away what lies above a frequency per clip, (clips, 1)."""
    spectrum = torch.fft.rfft(audio)
    hertz = torch.linspace(0, rate / 2, spectrum.shape[1], device=audio.device)
    return torch.fft.irfft(spectrum * (hertz <= edge_hz), audio.shape[1])
