"""What the simulation promises, checked on its signals from the outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.training.draw import Draw
from voxhop.training.simulation.acoustics import active_level, delayed
from voxhop.training.simulation.simulate import Scenario, SimulationConfig, draw_scenarios, simulate

SAMPLES = 32000
CONFIG = SimulationConfig()
QUIET = replace(CONFIG, snr_db=(45, 50), quiet_snr_db=(45, 50), clipping=0, altered_reference=0)


def make(bank, config, scenario, *, clips=6, seed=1, samples=SAMPLES):
    which = torch.full((clips,), int(scenario))
    return simulate(bank, config, Draw(seed), samples=samples, scenario=which)


def lag_of(mic: np.ndarray, ref: np.ndarray, longest: int = 9000) -> int:
    """Peak of the phase-transform cross-correlation: no part of the simulation."""
    n = 1 << 17
    cross = np.fft.rfft(mic, n) * np.conj(np.fft.rfft(ref, n))
    return int(np.argmax(np.fft.irfft(cross / (np.abs(cross) + 1e-9), n)[:longest]))


def decibels(x) -> float:
    return 20 * float(torch.log10(x))


@pytest.mark.parametrize("seed", range(4))
def test_delay_label_is_the_measured_lag(bank, seed: int) -> None:
    steady = replace(QUIET, path_change=0, drift=0, far_gate=0)
    clips = make(bank, steady, Scenario.FAR_END, seed=seed)
    errors = []
    for mic, ref, label in zip(clips.mic, clips.ref, clips.delay_frames, strict=True):
        assert (label == label[0]).all()
        errors.append(abs(lag_of(mic.numpy(), ref.numpy()) - 256 * float(label[0])))
    # A loudspeaker's or cabinet's group delay moves a peak by some samples at most.
    assert np.median(errors) <= 2
    assert max(errors) <= 40


def test_delays_cover_the_whole_range(bank) -> None:
    clips = make(bank, replace(CONFIG, drift=0), Scenario.FAR_END, clips=64)
    first = clips.delay_frames[:, 0] * 256
    assert first.min() < 0.06 * 16000
    assert 0.42 * 16000 < first.max() <= 0.48 * 16000 + 41


def test_path_change_moves_the_echo_and_the_label(bank) -> None:
    config = replace(
        QUIET, path_change=1, delay_jump=1, jump_s=(0.05, 0.09), drift=0, far_gate=0,
        delay_s=(0.0, 0.48),
    )  # fmt: skip
    clips = make(bank, config, Scenario.FAR_END, samples=64000, seed=8)
    moved = 0
    for index in range(len(clips.mic)):
        change = int(clips.change_sample[index])
        assert 0.3 * 64000 <= change <= 0.7 * 64000
        frames = clips.delay_frames[index]
        before, after = float(frames[0]), float(frames[-1])
        assert float(frames[change // 256]) == before
        assert float(frames[change // 256 + 1]) == after
        # Well after the change, the measured lag is the new one.
        late = slice(change + 9000, None)
        mic = np.r_[np.zeros(9000), clips.mic[index, late].numpy()]
        ref = clips.ref[index, change:].numpy()
        moved += abs(lag_of(mic, ref) - 256 * after) < 60
        assert after >= before
    assert moved >= 4


def test_drift_accumulates(bank) -> None:
    config = replace(CONFIG, drift=1, drift_ppm=100, path_change=0, delay_s=(0.1, 0.2))
    clips = make(bank, config, Scenario.FAR_END, clips=32, samples=160000)
    change = 256 * (clips.delay_frames[:, -1] - clips.delay_frames[:, 0])
    assert 8 < float(change.abs().max()) <= 16.0
    assert float(change.min()) < 0 < float(change.max())


def test_each_scenario_holds_what_it_promises(bank) -> None:
    far = make(bank, CONFIG, Scenario.FAR_END)
    assert (far.target == 0).all()
    assert (far.near == 0).all()
    assert far.delay_valid.float().mean() > 0.3
    for scenario in (Scenario.NEAR_END, Scenario.NOISE):
        clips = make(bank, CONFIG, scenario)
        assert (clips.ref == 0).all()
        assert not clips.delay_valid.any()
        assert (clips.change_sample == -1).all()
    assert (make(bank, CONFIG, Scenario.NOISE).target == 0).all()
    phones = make(bank, QUIET, Scenario.HEADPHONES)
    assert (active_level(phones.ref) > 10 ** (-40 / 20)).all()
    leak = (phones.mic - phones.near).square().mean(1) / phones.near.square().mean(1)
    assert (leak < 1e-3).all()


@pytest.mark.parametrize("scenario", [Scenario.DOUBLE_TALK, Scenario.NEAR_END])
def test_a_promised_near_talker_is_heard(bank, scenario: Scenario) -> None:
    clips = make(bank, CONFIG, scenario, clips=48)
    assert (active_level(clips.target) > 10 ** (-55 / 20)).all()


def test_near_to_echo_ratio_is_within_its_range(bank) -> None:
    config = replace(QUIET, near_to_echo_db=(6.0, 6.0), path_change=0, near_gate=0, far_gate=0)
    clips = make(bank, config, Scenario.DOUBLE_TALK)
    echo = clips.mic - clips.near
    ratio = active_level(clips.near) / active_level(echo)
    for value in ratio:
        assert decibels(value) == pytest.approx(6.0, abs=0.3)


def test_target_is_the_dry_head_of_the_reverberant_near_end(bank) -> None:
    clips = make(bank, replace(QUIET, near_gate=0), Scenario.NEAR_END)
    product = (clips.target * clips.near).sum(1)
    alike = product / (clips.target.norm(dim=1) * clips.near.norm(dim=1))
    assert (alike > 0.5).all()
    assert (clips.target != clips.near).any(dim=1).all()
    whole = make(bank, replace(QUIET, near_gate=0, early_s=10.0), Scenario.NEAR_END)
    assert torch.allclose(whole.target, whole.near, atol=1e-5)


def test_clipping_flattens_the_microphone_only(bank) -> None:
    clips = make(bank, replace(QUIET, clipping=1.0), Scenario.NEAR_END, clips=4)
    for mic, near in zip(clips.mic, clips.near, strict=True):
        top = mic.abs().max()
        assert int((mic.abs() >= top * 0.9999).sum()) > 5
        assert near.abs().max() > top


def test_audio_stays_within_full_scale(bank) -> None:
    for seed in range(3):
        clips = make(bank, CONFIG, Scenario.DOUBLE_TALK, clips=16, seed=seed)
        for audio in (clips.mic, clips.ref):
            assert torch.isfinite(audio).all()
            assert audio.abs().max() <= 1.0


def test_equal_keys_give_equal_bits_and_other_keys_do_not(bank) -> None:
    def batch(*key: int):
        draw = Draw(*key)
        return simulate(bank, CONFIG, draw, samples=8192, scenario=draw_scenarios(CONFIG, draw, 8))

    one, same = batch(1, 2, 3), batch(1, 2, 3)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    for key in ((1, 2, 4), (1, 3, 3), (2, 2, 3), (2, 1, 3)):
        assert not torch.equal(one.mic, batch(*key).mic)


def test_scenario_weights_are_followed() -> None:
    drawn = draw_scenarios(CONFIG, Draw(1), 20000)
    shares = torch.bincount(drawn, minlength=5) / 20000
    assert torch.allclose(shares, torch.tensor(CONFIG.scenarios), atol=0.015)


def test_fractional_delay_moves_a_band_limited_signal() -> None:
    time = torch.arange(4000) / 16000
    wave = torch.sin(2 * torch.pi * 440 * time)[None]
    late = delayed(wave, torch.full((1, 1), 100.5))
    wanted = torch.sin(2 * torch.pi * 440 * (time - 100.5 / 16000))
    assert torch.allclose(late[0, 110:], wanted[110:], atol=1e-4)
    assert (late[0, :99] == 0).all()
    assert torch.equal(delayed(wave, torch.full((1, 1), 7.0))[0, 7:], wave[0, :-7])
