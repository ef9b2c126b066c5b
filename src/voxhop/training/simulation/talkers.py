"""Who talks and what the far end plays, before any room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from voxhop.training.simulation import acoustics as ac
from voxhop.training.sounds.corpus import SAMPLE_RATE
from voxhop.training.sounds.voices import raised, stretched, whispered

if TYPE_CHECKING:
    from torch import Tensor

    from voxhop.training.draw import Draw
    from voxhop.training.simulation.conditions import Drawn, Marks
    from voxhop.training.simulation.simulate import SimulationConfig
    from voxhop.training.sounds.bank import SoundBank

_ANSWER_S = 0.05
_TURN_SHARE = (0.3, 0.6)  # of a clip: where the far end stops
_CHILD = (1.2, 1.5)  # pitch and formants against a grown-up's
_HELD = (1.6, 2.5)  # how much longer than spoken


def draw_talkers(
    config: SimulationConfig, draw: Draw, extra: Drawn, *, clips: int, samples: int
) -> tuple[Tensor, Tensor]:
    """Crop a near and a far talker; some far ends are music.

    Never the same talker, but where marked.

    Parameters
    ----------
    config, draw
        As for `simulate`.
    extra
        Conditions of the clips, and the bank.
    clips, samples
        Number and length.

    Returns
    -------
    near, far : Tensor, (clips, samples)
    """
    bank, marks, details = extra
    speech = bank.speech
    near_id = draw.choice(speech.weights, clips)
    far_id = draw.choice(speech.weights, clips)
    far_id = torch.where(far_id == near_id, (far_id + 1) % len(speech.weights), far_id)
    moment = draw.uniform(0, 1, clips)
    near = ac.crop(speech, near_id, moment, samples)
    far = ac.crop(speech, far_id, draw.uniform(0, 1, clips), samples)
    if bank.music is not None:
        music_id = draw.choice(bank.music.weights, clips)
        music = ac.crop(bank.music, music_id, draw.uniform(0, 1, clips), samples)
        far = torch.where(draw.chance(config.music, clips, 1), music, far)
    if "same_talker" in marks:
        again = ac.crop(speech, near_id, (moment + 0.5) % 1.0, samples)
        far = torch.where(marks["same_talker"], again, far)
    far = _programme(bank, marks, details, far)
    near = _voice(marks, details, near)
    hiss = ac.coloured_noise(draw, clips, samples)
    hiss_db = draw.uniform(-45.0, -15.0, clips, 1)
    hiss = hiss * ac.active_level(far) / ac.active_level(hiss) * ac.decibels(hiss_db)
    far = far + hiss * draw.chance(0.15, clips, 1)
    near = near * draw_gate(draw, config.near_gate, clips, samples)
    far = far * draw_gate(draw, config.far_gate, clips, samples)
    near = near * rise(draw.uniform(*config.near_start_s, clips, 1), samples)
    return _turns(marks, details, near, far)


def _programme(bank: SoundBank, marks: Marks, details: Draw, far: Tensor) -> Tensor:
    """Put music under the far end's speech, or under a voice that is held as if it sang."""
    clips, samples = far.shape
    if bank.music is None:
        return far
    for name in ("media", "singing"):
        if name not in marks:
            continue
        which = details.choice(bank.music.weights, clips)
        music = ac.crop(bank.music, which, details.uniform(0, 1, clips), samples)
        above_db = details.uniform(0.0, 12.0, clips, 1) - (6.0 if name == "singing" else 0.0)
        voice = ac.crop(
            bank.speech,
            details.choice(bank.speech.weights, clips),
            details.uniform(0, 1, clips),
            samples,
        )
        factors = details.uniform(*_HELD, clips)
        if name == "singing":
            for row in torch.nonzero(marks[name][:, 0])[:, 0].tolist():
                part = slice(row, row + 1)
                voice[part] = stretched(voice[part], float(factors[row]))[:, :samples]
        both = music / ac.active_level(music) + voice * ac.decibels(above_db) / ac.active_level(
            voice
        )
        far = torch.where(marks[name], both * ac.active_level(far), far)
    return far


def _voice(marks: Marks, details: Draw, near: Tensor) -> Tensor:
    """Make some near talkers whisper, and some children."""
    clips, samples = near.shape
    level = ac.active_level(near)
    if "whisper" in marks:
        breath = whispered(near, details.normal(clips, samples))
        near = torch.where(marks["whisper"], breath / ac.active_level(breath) * level, near)
    if "child" in marks:
        factors = details.uniform(*_CHILD, clips)
        for row in torch.nonzero(marks["child"][:, 0])[:, 0].tolist():
            part = slice(row, row + 1)
            small = raised(near[part], float(factors[row]))
            near[part] = small / ac.active_level(small) * level[part]
    return near


def _turns(marks: Marks, details: Draw, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """Let some near talkers begin within 50 ms of the far end's stop."""
    if "quick_answer" not in marks:
        return near, far
    clips, samples = near.shape
    stop = details.uniform(*_TURN_SHARE, clips, 1) * samples / SAMPLE_RATE
    start = stop + details.uniform(-_ANSWER_S, _ANSWER_S, clips, 1)
    turned = marks["quick_answer"]
    fresh = rise(start, samples) * torch.roll(near, samples // 2, 1)
    return torch.where(turned, fresh, near), torch.where(
        turned, far * (1 - rise(stop, samples)), far
    )


def draw_gate(
    draw: Draw, chance: float, clips: int, samples: int, rate: int = SAMPLE_RATE
) -> Tensor:
    """Silence a part of some clips: a lead-in, or a gap of 20 to 50 % anywhere.

    At least half of every clip stays, so no promised talker vanishes.
    """
    lead_in = draw.chance(0.5, clips, 1)
    length = draw.uniform(0.2, 0.5, clips, 1) * samples
    start = draw.uniform(0.0, 1.0, clips, 1) * (samples - length)
    start = torch.where(lead_in, -0.01 * rate * torch.ones_like(start), start)
    steps = torch.arange(samples, device=draw.device)
    fade = 0.01 * rate
    inside = torch.minimum(steps - start, start + length - steps)
    gain = 1 - (inside / fade).clamp(0, 1)
    return torch.where(draw.chance(chance, clips, 1), gain, torch.ones_like(gain))


def rise(start_s: Tensor, samples: int) -> Tensor:
    """Zero before `start_s`, one after, with a fade of 10 ms that ends there."""
    steps = torch.arange(samples, device=start_s.device) + 1
    return (1 + (steps - start_s * SAMPLE_RATE) / (0.01 * SAMPLE_RATE)).clamp(0, 1)
