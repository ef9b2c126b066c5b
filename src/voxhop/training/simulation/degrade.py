"""What SEFlow trains on: speech at any rate with noise, reverberation, clipping, lost packets.

Every draw comes from one seeded `Draw`; every step acts on (clips, samples) tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from voxhop.training.simulation import acoustics as ac
from voxhop.training.simulation.noises import draw_noise
from voxhop.training.simulation.talkers import draw_gate
from voxhop.training.sounds.rooms import LOUDSPEAKER, TALKER

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.simulation.teacher import Teacher
    from voxhop.training.sounds.bank import SoundBank

BANK_RATES = (16000, 24000, 48000)
"""Rates that recordings are packed at; a clip is made at the next one and resampled."""

PACKET_S = 0.010
_LONGEST_RUN = 10  # packets
_RECORDED_HZ = 11000.0
"""Where the bandwidth of recorded noise is taken to end: Opus files at 24 kHz."""

_VOICE_RANGE_DB = 40.0


@dataclass(frozen=True)
class DegradationConfig:
    """Chances and ranges; each degradation is drawn for itself.

    Attributes
    ----------
    noise, reverberation, clipping, packet_loss : float
        Share of clips with each.
    noise_in_room : float
        Share of noises that pass a room of their own.
    noise_variety : float
        Share of recorded noises that are changed in speed and colour, and joined; a small
        collection of recordings is learnt by heart otherwise.
    taught, taught_below_db : float
        Share of clips with noise louder than so many dB below the speech whose target is what a
        `Teacher` makes of the target and the noise.
    snr_db : tuple of float
        Speech to noise, active levels.
    level_dbfs : tuple of float
        Active level of the speech.
    silence : float
        Share of clips in which the talker falls silent for a part.
    early_s : float
        Part of the room response after its peak that stays in the target.
    clip_quantile : tuple of float
        Quantile of the magnitude that clipping flattens at.
    loss_begins, loss_goes_on : float
        Chances per packet of 10 ms that a good one is followed by a lost one, and a lost one
        by another; runs end after a number drawn from 1 to 10.
    """

    noise: float = 1.0
    reverberation: float = 0.5
    clipping: float = 0.3
    packet_loss: float = 0.3
    noise_in_room: float = 0.5
    noise_variety: float = 0.0
    taught: float = 0.0
    taught_below_db: float = 12.0
    snr_db: tuple[float, float] = (-5.0, 20.0)
    level_dbfs: tuple[float, float] = (-38.0, -18.0)
    silence: float = 0.2
    early_s: float = 0.05
    clip_quantile: tuple[float, float] = (0.85, 0.98)
    loss_begins: float = 0.05
    loss_goes_on: float = 0.95


class Degraded(NamedTuple):
    """A batch at one rate. Audio is float32 within [-1, 1], (clips, samples).

    Attributes
    ----------
    noisy, target : Tensor
        What the network gets and should return.
    lost : Tensor of bool, shape (clips, samples)
        Samples of lost packets, zero in `noisy`.
    sample_rate : int
        Hz.
    """

    noisy: Tensor
    target: Tensor
    lost: Tensor
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length of a clip."""
        return self.noisy.shape[1] / self.sample_rate


def bank_rate(sample_rate: int) -> int:
    """Return the rate of the recordings that clips of a rate are made of."""
    return next(rate for rate in BANK_RATES if rate >= sample_rate)


def degrade(
    bank: SoundBank,
    config: DegradationConfig,
    draw: Draw,
    *,
    clips: int,
    samples: int,
    sample_rate: int,
    teacher: Teacher | None = None,
) -> Degraded:
    """Draw one batch.

    Parameters
    ----------
    bank : SoundBank
        At the rate `bank_rate` names, on the device to compute on.
    config : DegradationConfig
        Chances and ranges.
    draw : Draw
        Source of randomness on the same device; equal keys give equal clips.
    clips, samples : int
        Size of the batch.
    sample_rate : int
        Hz of the batch, at most the bank's.
    teacher
        Who gives some clips their target, where `config` wants that.
    """
    length = math.ceil(samples * bank.sample_rate / sample_rate)
    speech, target = _speech(bank, config, draw, clips, length)
    noise = _noise(bank, config, draw, clips, length)
    rate = bank.sample_rate
    level = ac.decibels(draw.uniform(*config.level_dbfs, clips, 1))
    snr_db = draw.uniform(*config.snr_db, clips, 1)
    there = draw.chance(config.noise, clips, 1)
    below = ac.decibels(-snr_db) * there
    gain = level / ac.active_level(speech, rate)
    noise = noise * (level * below / ac.active_level(noise, rate))
    noisy, target = speech * gain + noise, target * gain
    noisy, target = (resampled(x, samples) for x in (noisy, target))
    fit = (0.98 / noisy.abs().amax(1, keepdim=True).clamp(min=1e-6)).clamp(max=1.0)
    noisy, target = noisy * fit, target * fit
    noisy = _clipped(config, draw, noisy)
    lost = _lost(config, draw, clips, samples, sample_rate)
    if teacher is not None:
        taught = draw.chance(config.taught, clips, 1) & there & (snr_db < config.taught_below_db)
        taught, heard = taught[:, 0], target + fit * resampled(noise, samples)
        target[taught] = teacher.clean(heard[taught], sample_rate)
    return Degraded(noisy.masked_fill(lost, 0.0), target, lost, sample_rate)


def voice_labels(target: Tensor, hop: int) -> Tensor:
    """Frames of `target` (clips, T*hop) within 40 dB of a clip's loudest: (clips, T) bool."""
    hops = target.reshape(len(target), -1, hop).square().sum(-1)
    power = hops + functional.pad(hops, (1, 0))[:, :-1]
    loudest = power.amax(1, keepdim=True)
    return (power > loudest * 10 ** (-_VOICE_RANGE_DB / 10)) & (loudest > 0)


def _speech(
    bank: SoundBank, config: DegradationConfig, draw: Draw, clips: int, samples: int
) -> tuple[Tensor, Tensor]:
    """Crop talkers; return them as the microphone hears them, and as it should."""
    rate = bank.sample_rate
    who = draw.choice(bank.speech.weights, clips)
    dry = ac.crop(bank.speech, who, draw.uniform(0, 1, clips), samples)
    dry = dry * draw_gate(draw, config.silence, clips, samples, rate)
    room = _responses(bank, draw, clips, TALKER)
    length = ac.fft_length(samples + room.shape[-1])
    bins = length // 2 + 1
    colour = ac.random_equaliser(draw, clips, bins, rate=rate)
    colour = torch.where(draw.chance(0.35, clips, 1), colour, torch.ones_like(colour))
    spectrum = torch.fft.rfft(dry, length) * colour
    inside = draw.chance(config.reverberation, clips, 1)

    def heard(response: Tensor) -> Tensor:
        through = torch.where(inside, torch.fft.rfft(response, length), 1.0)
        return torch.fft.irfft(spectrum * through, length)[:, :samples]

    return heard(room), heard(ac.early_part(room, config.early_s, rate))


def _noise(
    bank: SoundBank, config: DegradationConfig, draw: Draw, clips: int, samples: int
) -> Tensor:
    noise = draw_noise(bank, draw, clips, samples, variety=config.noise_variety)
    if bank.sample_rate > 2 * _RECORDED_HZ:
        noise = noise + _above_recordings(draw, noise, bank.sample_rate)
    room = _responses(bank, draw, clips, LOUDSPEAKER)
    length = ac.fft_length(samples + room.shape[-1])
    inside = draw.chance(config.noise_in_room, clips, 1)
    through = torch.where(inside, torch.fft.rfft(room, length), 1.0)
    return torch.fft.irfft(torch.fft.rfft(noise, length) * through, length)[:, :samples]


def _responses(bank: SoundBank, draw: Draw, clips: int, path: int) -> Tensor:
    which = draw.choice(torch.ones(len(bank.rooms), device=draw.device), clips)
    shaped = ac.shape_responses(draw, bank.rooms[which], bank.sample_rate)[:, path]
    # Energy 1, so that far talkers are not louder.
    return shaped / shaped.square().sum(1, keepdim=True).sqrt().clamp(min=1e-6)


def _above_recordings(draw: Draw, noise: Tensor, rate: int) -> Tensor:
    """Continue recorded noise above what its files hold, (clips, samples).

    Gaussian, as dense as the octave below ends, -10 to +6 dB, falling, and as loud over time
    as the recording is.
    """
    clips, samples = noise.shape
    spectrum = torch.fft.rfft(noise)
    hertz = torch.linspace(0, rate / 2, spectrum.shape[1], device=noise.device)
    edge = (hertz > 0.8 * _RECORDED_HZ) & (hertz < _RECORDED_HZ)
    density = spectrum[:, edge].abs().square().mean(1, keepdim=True).sqrt()
    slope = draw.uniform(-2.0, 0.0, clips, 1)
    shape = (hertz.clamp(min=_RECORDED_HZ) / _RECORDED_HZ) ** slope
    shape = shape * (hertz >= _RECORDED_HZ) * density * ac.decibels(draw.uniform(-10, 6, clips, 1))
    white = torch.fft.rfft(draw.normal(clips, samples)) / math.sqrt(samples)
    frame = rate // 50
    power = functional.avg_pool1d(noise.square()[:, None], frame, frame, ceil_mode=True)
    envelope = functional.interpolate(power.sqrt(), samples, mode="linear")[:, 0]
    envelope = envelope / envelope.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)
    return torch.fft.irfft(white * shape, samples) * envelope


def resampled(audio: Tensor, samples: int) -> Tensor:
    """Bring whole clips to `samples` by cutting their spectrum."""
    if audio.shape[1] == samples:
        return audio
    spectrum = torch.fft.rfft(audio)[:, : samples // 2 + 1]
    return torch.fft.irfft(spectrum, samples) * (samples / audio.shape[1])


def _clipped(config: DegradationConfig, draw: Draw, audio: Tensor) -> Tensor:
    """Flatten some clips at a quantile of their magnitude."""
    clips = len(audio)
    place = (draw.uniform(*config.clip_quantile, clips, 1) * audio.shape[1]).long()
    chosen = draw.chance(config.clipping, clips, 1)
    if not config.clipping:
        return audio
    ordered = audio.abs().sort(1).values
    limit = ordered.gather(1, place.clamp(max=audio.shape[1] - 1))
    flat = torch.minimum(torch.maximum(audio, -limit), limit)
    return torch.where(chosen, flat, audio)


def _lost(
    config: DegradationConfig, draw: Draw, clips: int, samples: int, sample_rate: int
) -> Tensor:
    """Draw which samples lie in lost packets, (clips, samples) bool."""
    packet = round(PACKET_S * sample_rate)
    count = -(-samples // packet)
    chances = draw.uniform(0, 1, count, clips)
    longest = draw.uniform(1, _LONGEST_RUN + 1, clips).long()
    chosen = draw.chance(config.packet_loss, clips, 1)
    if not config.packet_loss:
        return torch.zeros(clips, samples, dtype=torch.bool, device=draw.device)
    run = torch.zeros_like(longest)
    runs = []
    for chance in chances:
        goes_on = (run > 0) & (run < longest) & (chance < config.loss_goes_on)
        begins = (run == 0) & (chance < config.loss_begins)
        run = (run + 1) * (goes_on | begins)
        runs.append(run)
    lost = torch.stack(runs, 1) > 0
    lost = lost & chosen
    return lost.repeat_interleave(packet, 1)[:, :samples]
