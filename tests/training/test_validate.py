"""Validation figures: what they must not be fooled by."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.training.localvqe.judge import Enhanced, build_clips, constant_gain, run_model, validate
from voxhop.training.simulation.simulate import Scenario, SimulationConfig


@pytest.fixture(scope="module")
def clips(bank):
    return build_clips(bank, SimulationConfig(), per_scenario=3, seconds=3.0, seed=1)


def test_a_volume_knob_gains_nothing(clips) -> None:
    loud, soft = validate(constant_gain(1.0), clips), validate(constant_gain(0.1), clips)
    assert soft["fe_suppression"] == pytest.approx(loud["fe_suppression"] + 20, abs=0.1)
    for name in ("dt_separation", "ne_separation", "hp_separation", "dt_si_sdr_gain"):
        assert soft[name] == pytest.approx(loud[name], abs=0.1)
    assert soft["score"] < loud["score"] - 10
    assert math.isnan(loud["delay_accuracy"])


def test_the_target_itself_scores_far_above_everything(clips) -> None:
    figures = validate(lambda batch: Enhanced(batch.target, None), clips)
    assert figures["fe_suppression"] > 40
    assert figures["dt_level"] == pytest.approx(0, abs=0.1)
    assert figures["dt_si_sdr_gain"] > 40
    assert figures["score"] > 60


def test_muting_is_no_way_to_win(clips) -> None:
    silent = validate(lambda batch: Enhanced(1e-3 * batch.mic, None), clips)
    assert silent["fe_suppression"] > 55
    assert silent["score"] < validate(constant_gain(1.0), clips)["score"]


def test_delay_accuracy_reads_the_alignment(clips) -> None:
    def aligned(batch, offset: int):
        index = (31 - batch.delay_frames.round().long() + offset).clamp(0, 31)
        weights = torch.nn.functional.one_hot(index, 32).float()
        return Enhanced(batch.mic, weights)

    assert validate(lambda b: aligned(b, 0), clips)["delay_accuracy"] == 1.0
    assert validate(lambda b: aligned(b, 3), clips)["delay_accuracy"] < 0.3


def test_model_output_is_in_line_with_the_microphone(clips) -> None:
    model = LocalVQE(
        LocalVQEConfig(
            mic_channels=(2, 4, 4, 4, 4, 4), far_channels=(2, 4, 4), align_hidden=4,
            bottleneck_hidden=6,
        )
    )  # fmt: skip
    model.identity_mask_(0.0)
    batch = clips.scenes[Scenario.NEAR_END]
    out = run_model(model, batch, batch=2)
    assert out.audio.shape == batch.mic.shape
    assert out.align.shape[:2] == (len(batch.mic), batch.mic.shape[1] // 256)
    error = (out.audio - batch.mic).square().sum() / batch.mic.square().sum()
    assert error < 0.01  # the identity mask drops DC and doubles Nyquist, no more


def test_the_fixed_set_is_fixed(bank, clips) -> None:
    again = build_clips(bank, SimulationConfig(), per_scenario=3, seconds=3.0, seed=1)
    other = build_clips(bank, SimulationConfig(), per_scenario=3, seconds=3.0, seed=2)
    for scenario in Scenario:
        assert torch.equal(clips.scenes[scenario].mic, again.scenes[scenario].mic)
        assert not torch.equal(clips.scenes[scenario].mic, other.scenes[scenario].mic)


def test_suppression_after_a_path_change_looks_at_the_second_after_it(clips) -> None:
    assert (clips.change.change_sample >= 0).all()

    def deaf_after_change(batch):
        audio = 0.01 * batch.mic
        for row, change in enumerate(batch.change_sample.tolist()):
            if change >= 0:
                audio[row, change : change + 16000] = batch.mic[row, change : change + 16000]
        return Enhanced(audio, None)

    figures = validate(deaf_after_change, clips)
    assert figures["change_suppression"] == pytest.approx(0, abs=0.1)
    assert validate(constant_gain(0.01), clips)["change_suppression"] == pytest.approx(40, abs=0.5)
