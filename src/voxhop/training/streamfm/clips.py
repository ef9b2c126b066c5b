"""What Stream.FM trains on: clips at 16 kHz and what a task leaves of them.

Every draw comes from one seeded `Draw`, the start of the flow and its time included, so that a
step is a pure function of its key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch

from voxhop.stream.level import NOMINAL_PEAK
from voxhop.training.simulation.acoustics import decibels
from voxhop.training.simulation.degrade import degrade, resampled
from voxhop.training.sublime.objective import aligned

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.reference.streamfm.config import StreamFMConfig
    from voxhop.reference.sublime import Sublime
    from voxhop.training.draw import Draw
    from voxhop.training.simulation.degrade import DegradationConfig
    from voxhop.training.sounds.bank import SoundBank

# What of the simulation a task keeps; every other damage is left out. The operators of phase
# retrieval and Mel vocoding are the model's own.
_SIMULATED: Final[dict[str, tuple[str, ...]]] = {
    "bwe": (),
    "codec_pf": (),
    "stft_pr": (),
    "melvoc": (),
    "derev": ("noise", "reverberation"),
    "se": ("noise", "reverberation", "clipping"),
}
CODEC_KBPS: Final = (6, 1)
_CODEC_FRAMES: Final = 3
_DAMAGES: Final = ("noise", "reverberation", "clipping", "packet_loss")


@dataclass(frozen=True)
class DamageConfig:
    """What is done to clips beside the simulation of noise and rooms.

    Attributes
    ----------
    band_hz : tuple of float
        Bandwidth extension: where the band of a clip ends, drawn; 3300 to 4000 is what 8 kHz
        sampling leaves.
    edge_hz : tuple of float
        Width of the slope below that end.
    whole : float
        Bandwidth extension: share of clips that keep their band, so that the model leaves
        alone what is whole.
    codec : str
        Post-filter: the model file of the codec whose sound it gets.
    kbps : tuple of int
        Post-filter: rates of the codec, drawn per clip.
    peak_db : tuple of float
        Peak of what the model gets around -6 dBFS; a level follower is not exact.
    """

    band_hz: tuple[float, float] = (3300.0, 4000.0)
    edge_hz: tuple[float, float] = (50.0, 500.0)
    whole: float = 0.1
    codec: str = ""
    kbps: tuple[int, ...] = (6, 1)
    peak_db: tuple[float, float] = (-6.0, 4.0)


class Restoring(NamedTuple):
    """A batch of clips, float32.

    Attributes
    ----------
    given, target : Tensor, (clips, samples)
        What the model gets and should return, before the task's own operator.
    noise : Tensor, (clips, frames, 2, bins)
        Unit noise of the flow: real and imaginary parts of variance 1/2 each.
    tau : Tensor, (clips)
        Times of the flow in [0, 1).
    sample_rate : int
        Hz.
    """

    given: Tensor
    target: Tensor
    noise: Tensor
    tau: Tensor
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length of a clip."""
        return self.given.shape[1] / self.sample_rate


def draw_restoring(
    bank: SoundBank,
    simulation: DegradationConfig,
    damage: DamageConfig,
    draw: Draw,
    model: StreamFMConfig,
    *,
    clips: int,
    seconds: float,
    codec: Sublime | None = None,
) -> Restoring:
    """Draw one batch.

    Parameters
    ----------
    bank : SoundBank
        At the model's rate, or the codec's, on the device to compute on.
    simulation : DegradationConfig
        Noise and rooms, of which a task keeps its own.
    damage : DamageConfig
        The rest.
    draw : Draw
        Source of randomness on the same device; equal keys give equal clips.
    model : StreamFMConfig
        Task and sizes.
    clips : int
        Size of the batch.
    seconds : float
        Length of a clip, cut to whole hops.
    codec : Sublime, optional
        Of a post-filter, on the same device.
    """
    kept = _SIMULATED[model.task]
    left_out: dict[str, Any] = dict.fromkeys(set(_DAMAGES) - set(kept), 0.0)
    simulation = replace(simulation, **left_out)
    samples = max(1, int(seconds * model.sample_rate) // model.hop_length) * model.hop_length
    if codec is None:
        batch = degrade(
            bank, simulation, draw, clips=clips, samples=samples, sample_rate=model.sample_rate
        )
        given, target = batch.noisy, batch.target
    else:
        given, target = _coded(
            bank, simulation, damage, draw, codec, clips=clips, seconds=samples / model.sample_rate
        )
        given, target = (resampled(x, samples) for x in (given, target))
    if model.task == "bwe":
        given = _narrowed(given, damage, draw, model.sample_rate)
    peak = NOMINAL_PEAK * decibels(draw.uniform(*damage.peak_db, clips, 1))
    gain = peak / given.abs().amax(1, keepdim=True).clamp(min=1e-4)
    noise = draw.normal(clips, samples // model.hop_length, 2, model.bins) * 0.5**0.5
    tau = draw.uniform(0, 1, clips)
    return Restoring(given * gain, target * gain, noise, tau, model.sample_rate)


@torch.no_grad()
def _coded(
    bank: SoundBank,
    simulation: DegradationConfig,
    damage: DamageConfig,
    draw: Draw,
    codec: Sublime,
    *,
    clips: int,
    seconds: float,
) -> tuple[Tensor, Tensor]:
    """Draw clips at the codec's rate and send them through it, each at one of its rates."""
    c = codec.config
    samples = round(seconds * c.sample_rate)
    # The codec is done with a sample a few frames after it came.
    frames = -(-samples // c.hop_length) + _CODEC_FRAMES
    batch = degrade(
        bank,
        simulation,
        draw,
        clips=clips,
        samples=frames * c.hop_length,
        sample_rate=c.sample_rate,
    )
    codes, _ = codec.encode(batch.target)
    choice = draw.uniform(0, len(damage.kbps), clips).long()
    given = torch.empty_like(batch.target[:, :samples])
    for i, kbps in enumerate(damage.kbps):
        mine = choice == i
        if mine.any():
            heard = codes[mine][..., : c.n_groups if kbps == CODEC_KBPS[0] else c.n_groups_a]
            sound, _ = aligned(codec.decode(heard)[0], batch.target[mine], codec)
            given[mine] = sound[:, :samples]
    return given, batch.target[:, :samples]


def _narrowed(audio: Tensor, damage: DamageConfig, draw: Draw, rate: int) -> Tensor:
    """Cut the band of clips off where it is drawn to end."""
    clips, samples = audio.shape
    spectrum = torch.fft.rfft(audio)
    hertz = torch.linspace(0, rate / 2, spectrum.shape[1], device=audio.device)
    end = draw.uniform(*damage.band_hz, clips, 1)
    edge = draw.uniform(*damage.edge_hz, clips, 1)
    slope = ((end - hertz) / edge).clamp(0, 1)
    band = torch.where(draw.chance(damage.whole, clips, 1), 1.0, slope.square() * (3 - 2 * slope))
    return torch.fft.irfft(spectrum * band, samples)
