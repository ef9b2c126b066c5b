"""Microphone, reference and target signals, drawn for a whole batch at once.

One function for CPU and GPU: every draw comes from one seeded `Draw`, every step acts
on (clips, samples) tensors of the bank's device.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import torch

from voxhop.training.simulation import acoustics as ac
from voxhop.training.simulation import devices
from voxhop.training.simulation.conditions import ConditionsConfig, Drawn, draw_marks
from voxhop.training.simulation.disturbances import disturbances
from voxhop.training.simulation.noises import draw_noise
from voxhop.training.simulation.talkers import draw_talkers
from voxhop.training.sounds.corpus import SAMPLE_RATE, CorpusError
from voxhop.training.sounds.rooms import LOUDSPEAKER, MOVED, PEAK_SAMPLE, TALKER

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.sounds.bank import SoundBank

HOP = 256


class Scenario(IntEnum):
    """Who is heard in a clip."""

    FAR_END = 0
    """Echo and noise, nobody near."""
    DOUBLE_TALK = 1
    """Echo, near end and noise."""
    NEAR_END = 2
    """Near end and noise; the reference is digital silence."""
    HEADPHONES = 3
    """Near end and noise; the reference is active but not in the microphone."""
    NOISE = 4
    """Noise alone, with a silent reference."""


@dataclass(frozen=True)
class SimulationConfig:
    """Chances and ranges of the simulation; levels in dBFS of active frames.

    Attributes
    ----------
    scenarios : tuple of float
        Weights of the five `Scenario` members.
    delay_s : tuple of float
        Bulk delay between reference and loudspeaker.
    path_change : float
        Share of clips whose echo path changes between 30 % and 70 % of the clip.
    delay_jump : float
        Share of path changes that also move the bulk delay.
    jump_s : tuple of float
        Range of that move.
    drift : float
        Share of clips with clock drift.
    drift_ppm : float
        Largest drift, either sign.
    near_gate, far_gate : float
        Share of clips in which that talker falls silent for a part of the clip.
    near_start_s : tuple of float
        The near talker is silent before a time drawn from this range.
    near_dbfs, far_end_dbfs, reference_dbfs : tuple of float
        Level of the near end, of the echo in far-end clips, of the reference.
    near_to_echo_db : tuple of float
        Level ratio in double talk.
    snr_db, quiet_snr_db : tuple of float
        Speech (or echo) to noise; half of the clips draw from each range.
    early_s : float
        Part of the room response after its peak that stays in the target.
    clipping : float
        Share of clips whose microphone clips.
    altered_reference : float
        Share of clips with an equalised reference; riding gain and noise on the
        reference each come in half as many.
    music : float
        Share of far ends that are music, where there is any.
    faint_db : tuple of float
        Level ratio of a faint talker to the echo.
    conditions : ConditionsConfig
        Shares of clips with what is not in every call; all zero.
    """

    scenarios: tuple[float, float, float, float, float] = (0.20, 0.40, 0.30, 0.07, 0.03)
    delay_s: tuple[float, float] = (0.0, 0.48)
    path_change: float = 0.2
    delay_jump: float = 0.6
    jump_s: tuple[float, float] = (-0.030, 0.094)
    drift: float = 0.15
    drift_ppm: float = 100.0
    near_gate: float = 0.35
    far_gate: float = 0.20
    near_start_s: tuple[float, float] = (0.0, 0.0)
    near_dbfs: tuple[float, float] = (-40.0, -18.0)
    far_end_dbfs: tuple[float, float] = (-42.0, -16.0)
    reference_dbfs: tuple[float, float] = (-36.0, -14.0)
    near_to_echo_db: tuple[float, float] = (-12.0, 12.0)
    snr_db: tuple[float, float] = (0.0, 20.0)
    quiet_snr_db: tuple[float, float] = (15.0, 45.0)
    early_s: float = 0.05
    clipping: float = 0.06
    altered_reference: float = 0.3
    music: float = 0.06
    faint_db: tuple[float, float] = (-25.0, -15.0)
    conditions: ConditionsConfig = field(default_factory=ConditionsConfig)


class Clips(NamedTuple):
    """A simulated batch. Audio is float32 at 16 kHz, within [-1, 1].

    Attributes
    ----------
    mic, ref, target : Tensor, shape (clips, samples)
        What the network gets and what it should return: the near end's direct sound
        and first reflections.
    near : Tensor, shape (clips, samples)
        The reverberant near end as it is in `mic`.
    scenario : Tensor of int64, shape (clips,)
        `Scenario`.
    delay_frames : Tensor, shape (clips, frames)
        Delay of the echo behind the reference in hops; fractional.
    delay_valid : Tensor of bool, shape (clips, frames)
        Frames in which the echo is loud enough for its delay to be told.
    change_sample : Tensor of int64, shape (clips,)
        Where the echo path changes; -1 for never.
    """

    mic: Tensor
    ref: Tensor
    target: Tensor
    near: Tensor
    scenario: Tensor
    delay_frames: Tensor
    delay_valid: Tensor
    change_sample: Tensor


class _Echo(NamedTuple):
    audio: Tensor
    delay_samples: Tensor
    change_sample: Tensor


def simulate(
    bank: SoundBank,
    config: SimulationConfig,
    draw: Draw,
    *,
    samples: int,
    scenario: Tensor,
) -> Clips:
    """Draw one batch of clips.

    Parameters
    ----------
    bank : SoundBank
        Sources and rooms on the device to compute on.
    config : SimulationConfig
        Chances and ranges.
    draw : Draw
        Source of randomness on the same device; equal keys give equal clips.
    samples : int
        Length of every clip, a multiple of 256.
    scenario : Tensor of int64, shape (clips,)
        What each clip holds; see `draw_scenarios`.

    Returns
    -------
    Clips
        The batch.
    """
    clips = len(scenario)
    extra = _conditions(bank, config, draw, clips)
    near_speech, far = draw_talkers(config, draw, extra, clips=clips, samples=samples)
    noise = draw_noise(bank, draw, clips, samples)
    which = draw.choice(torch.ones(len(bank.rooms), device=draw.device), clips)
    rooms = ac.shape_responses(draw, bank.rooms[which])

    length = ac.fft_length(samples + rooms.shape[-1])
    bins = length // 2 + 1
    colour = ac.random_equaliser(draw, clips, bins)
    microphone = torch.where(draw.chance(0.35, clips, 1), colour, torch.ones_like(colour))
    far, microphone = _telephones(extra, far, microphone)

    def heard(audio: Tensor, response: Tensor | None = None) -> Tensor:
        spectrum = torch.fft.rfft(audio, length) * microphone[: len(audio)]
        if response is not None:
            spectrum = spectrum * torch.fft.rfft(response, length)
        return torch.fft.irfft(spectrum, length)[:, :samples]

    near = heard(near_speech, rooms[:, TALKER])
    target = heard(near_speech, ac.early_part(rooms[:, TALKER], config.early_s))
    noise = heard(noise)
    echo = _echo(config, draw, extra, far, _Paths(rooms, microphone))
    return _mix(config, draw, extra, scenario, _Parts(near, target, noise, far, echo))


def _conditions(bank: SoundBank, config: SimulationConfig, draw: Draw, clips: int) -> Drawn:
    if config.conditions.keyboard > 0 and bank.keyboard is None:
        raise CorpusError("conditions.keyboard: expected noise sources named keyboard...")
    if max(config.conditions.media, config.conditions.singing) > 0 and bank.music is None:
        raise CorpusError("conditions.media, conditions.singing: expected music")
    return Drawn(bank, *draw_marks(config.conditions, draw, clips))


def _telephones(extra: Drawn, far: Tensor, microphone: Tensor) -> tuple[Tensor, Tensor]:
    """Send far ends and microphones over telephone lines."""
    marks = extra.marks
    if "telephone_ref" in marks:
        line = devices.telephone_line(far.shape[1] // 2 + 1, far.device)
        narrow = torch.fft.irfft(torch.fft.rfft(far) * line, far.shape[1])
        far = torch.where(marks["telephone_ref"], narrow, far)
    if "telephone_mic" in marks:
        line = devices.telephone_line(microphone.shape[1], far.device)
        microphone = torch.where(marks["telephone_mic"], microphone * line, microphone)
    return far, microphone


def draw_scenarios(config: SimulationConfig, draw: Draw, clips: int) -> Tensor:
    """Draw a `Scenario` per clip by the configured weights, (clips,) int64."""
    return draw.choice(torch.tensor(config.scenarios, device=draw.device), clips)


class _Paths(NamedTuple):
    rooms: Tensor
    microphone: Tensor


class _Parts(NamedTuple):
    near: Tensor
    target: Tensor
    noise: Tensor
    far: Tensor
    echo: _Echo


def _echo(config: SimulationConfig, draw: Draw, extra: Drawn, far: Tensor, paths: _Paths) -> _Echo:
    """Play the far end through loudspeaker, delay and room; change the path at times."""
    (rooms, microphone), (_, marks, details) = paths, extra
    clips, samples = far.shape
    bins = microphone.shape[1]
    length = 2 * (bins - 1)
    played = ac.loudspeaker(draw, far)
    if "small_loudspeaker" in marks:
        small = devices.small_loudspeaker(details, far)
        played = torch.where(marks["small_loudspeaker"], small, played)
    cabinet = ac.random_equaliser(draw, clips, bins) * ac.band_limits(
        draw.uniform(80.0, 400.0, clips, 1), draw.uniform(5000.0, 7800.0, clips, 1), bins
    )
    steps = torch.arange(samples, device=far.device)
    first = (draw.uniform(*config.delay_s, clips, 1) * SAMPLE_RATE).round()
    drift = draw.uniform(-1e-6, 1e-6, clips, 1) * config.drift_ppm
    behind = drift * draw.chance(config.drift, clips, 1) * steps
    if "jitter" in marks:
        behind = behind + devices.wander(details, clips, samples) * marks["jitter"]

    change = (draw.uniform(0.3, 0.7, clips, 1) * samples).long()
    changes = draw.chance(config.path_change, clips, 1)
    jump = (draw.uniform(*config.jump_s, clips, 1) * SAMPLE_RATE).round()
    jump = jump * draw.chance(config.delay_jump, clips, 1)
    highest = round(config.delay_s[1] * SAMPLE_RATE)
    second = (first + jump).clamp(0, highest)
    moved_gain = ac.decibels(draw.uniform(-4.0, 4.0, clips, 1))

    def through(path: int, delay: Tensor, rows: Tensor) -> Tensor:
        late = (delay[rows] + behind[rows]).clamp(min=0)
        spectrum = torch.fft.rfft(ac.delayed(played[rows], late), length)
        spectrum = spectrum * torch.fft.rfft(rooms[rows, path], length)
        spectrum = spectrum * (cabinet[rows] * microphone[rows])
        return torch.fft.irfft(spectrum, length)[:, :samples]

    everything = torch.arange(clips, device=far.device)
    audio = through(LOUDSPEAKER, first, everything)
    if "moving_path" in marks:
        rows = torch.nonzero(marks["moving_path"][:, 0])[:, 0]
        share = devices.between_paths(details, clips, samples)[rows]
        if len(rows):
            audio[rows] = torch.lerp(audio[rows], through(MOVED, first, rows), share)
    rows = torch.nonzero(changes[:, 0])[:, 0]
    if len(rows):
        fade = ((steps - change[rows]) / (0.02 * SAMPLE_RATE)).clamp(0, 1)
        audio[rows] = torch.lerp(audio[rows], through(MOVED, second, rows) * moved_gain[rows], fade)
    after = changes & (steps >= change)
    delay = torch.where(after, second, first) + behind + PEAK_SAMPLE
    return _Echo(audio, delay, torch.where(changes, change, -torch.ones_like(change))[:, 0])


def _mix(
    config: SimulationConfig, draw: Draw, extra: Drawn, scenario: Tensor, parts: _Parts
) -> Clips:
    """Set all levels, add the parts each scenario has, and label the delay."""
    clips, (bank, marks, details) = len(scenario), extra
    scene = scenario[:, None]
    has_near = (scene != Scenario.FAR_END) & (scene != Scenario.NOISE)
    has_echo = (scene == Scenario.FAR_END) | (scene == Scenario.DOUBLE_TALK)
    has_ref = has_echo | (scene == Scenario.HEADPHONES)

    near_db = draw.uniform(*config.near_dbfs, clips, 1)
    alone_db = draw.uniform(*config.far_end_dbfs, clips, 1)
    ratio_db = draw.uniform(*config.near_to_echo_db, clips, 1)
    if "faint_talker" in marks:
        faint_db = details.uniform(*config.faint_db, clips, 1)
        ratio_db = torch.where(marks["faint_talker"], faint_db, ratio_db)
    beside_db = near_db - ratio_db
    echo_db = torch.where(scene == Scenario.FAR_END, alone_db, beside_db)
    loud = draw.uniform(*config.snr_db, clips, 1)
    quiet = draw.uniform(*config.quiet_snr_db, clips, 1)
    snr_db = torch.where(draw.chance(0.5, clips, 1), loud, quiet)
    level_db = torch.where(has_near, near_db, alone_db)
    noise_db = level_db - snr_db

    near_gain = ac.decibels(near_db) / ac.active_level(parts.near) * has_near
    near, target = parts.near * near_gain, parts.target * near_gain
    echo = parts.echo.audio / ac.active_level(parts.echo.audio) * ac.decibels(echo_db) * has_echo
    noise = parts.noise / ac.active_level(parts.noise) * ac.decibels(noise_db)
    mic = near + echo + noise
    valid = _audible(echo, near + noise) & has_echo
    mic = mic + disturbances(bank, marks, details, level_db, mic.shape[1])
    if "suppressor" in marks:
        mic = torch.where(marks["suppressor"], devices.device_suppressor(details, mic), mic)
    if "agc" in marks:
        gain = torch.where(marks["agc"], devices.automatic_gain(details, mic), 1.0)
        mic, near, target = mic * gain, near * gain, target * gain

    # Scale down what would overload, then overload a few on purpose.
    peak = mic.abs().amax(1, keepdim=True)
    fit = (0.98 / peak.clamp(min=1e-6)).clamp(max=1.0)
    limit = peak * fit * draw.uniform(0.3, 0.9, clips, 1)
    limit = torch.where(draw.chance(config.clipping, clips, 1), limit, torch.ones_like(limit))
    mic = torch.minimum(torch.maximum(mic * fit, -limit), limit)

    return Clips(
        mic=mic,
        ref=_reference(config, draw, parts.far) * has_ref,
        target=target * fit,
        near=near * fit,
        scenario=scenario,
        delay_frames=parts.echo.delay_samples[:, ::HOP] / HOP,
        delay_valid=valid,
        change_sample=torch.where(has_echo[:, 0], parts.echo.change_sample, -1),
    )


def _reference(config: SimulationConfig, draw: Draw, far: Tensor) -> Tensor:
    """Make what the network is told was played: at its own level, at times altered."""
    clips, samples = far.shape
    share = config.altered_reference
    colour = ac.random_equaliser(draw, clips, samples // 2 + 1)
    colour = torch.where(draw.chance(share, clips, 1), colour, torch.ones_like(colour))
    ref = torch.fft.irfft(torch.fft.rfft(far) * colour, samples)
    ride = ac.slow_modulation(draw, clips, samples, depth_db=4.0)
    ref = ref * torch.where(draw.chance(share / 2, clips, 1), ride, torch.ones_like(ride))
    level = ac.active_level(ref)
    hiss_db = draw.uniform(-45.0, -20.0, clips, 1)
    hiss = draw.normal(clips, samples) * level * ac.decibels(hiss_db)
    ref = ref + hiss * draw.chance(share / 2, clips, 1)
    wanted = ac.decibels(draw.uniform(*config.reference_dbfs, clips, 1))
    return (ref * wanted / level).clamp(-1, 1)


def _audible(echo: Tensor, other: Tensor) -> Tensor:
    """Frames where the echo is above a tenth of all else and within 30 dB of its peak."""
    echo_power, other_power = _frame_power(echo), _frame_power(other)
    loudest = echo_power.amax(1, keepdim=True)
    return (echo_power > 0.1 * other_power) & (echo_power > 1e-3 * loudest)


def _frame_power(audio: Tensor) -> Tensor:
    """Power of the 512-sample frames the network sees, (clips, samples / 256)."""
    hops = audio.reshape(len(audio), -1, HOP).square().sum(-1)
    return hops + torch.nn.functional.pad(hops, (1, 0))[:, :-1]
