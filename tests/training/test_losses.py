"""The objective's terms, on cases whose answer is known."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.reference.localvqe.blocks import double_bins
from voxhop.training.localvqe.objective import (
    LossConfig,
    Objective,
    delay_loss,
    limited_si_sdr,
    spread_bins,
)
from voxhop.training.simulation.simulate import Clips, Scenario

SMALL = LocalVQEConfig(
    mic_channels=(2, 4, 4, 4, 4, 4), far_channels=(2, 4, 4), align_hidden=4, bottleneck_hidden=6
)


def clips_of(mic, target, *, delay=3.0):
    frames = mic.shape[1] // 256
    return Clips(
        mic=mic,
        ref=torch.zeros_like(mic),
        target=target,
        near=target,
        scenario=torch.zeros(len(mic), dtype=torch.long),
        delay_frames=torch.full((len(mic), frames), delay),
        delay_valid=torch.ones(len(mic), frames, dtype=torch.bool),
        change_sample=torch.full((len(mic),), -1),
    )


def objective(**weights) -> Objective:
    torch.manual_seed(0)
    model = LocalVQE(SMALL)
    model.identity_mask_(0.0)
    return Objective(model, LossConfig(**weights))


@torch.no_grad()
def score(clips: Clips, over_suppression: float):
    return objective()(clips, over_suppression)


def test_delay_index_counts_from_the_oldest() -> None:
    clips = clips_of(torch.zeros(1, 2560), torch.zeros(1, 2560), delay=3.0)
    right, reversed_ = torch.zeros(1, 10, 32), torch.zeros(1, 10, 32)
    right[..., 31 - 3] = 20.0
    reversed_[..., 3] = 20.0
    assert float(delay_loss(right, clips)) < 1e-4
    assert float(delay_loss(reversed_, clips)) > 10


def test_delay_between_two_frames_wants_both() -> None:
    clips = clips_of(torch.zeros(1, 2560), torch.zeros(1, 2560), delay=3.25)
    both, one = torch.full((1, 10, 32), -30.0), torch.full((1, 10, 32), -30.0)
    both[..., 31 - 3], both[..., 31 - 4] = torch.tensor(0.75).log(), torch.tensor(0.25).log()
    one[..., 31 - 3] = 0.0
    entropy = -(0.75 * torch.tensor(0.75).log() + 0.25 * torch.tensor(0.25).log())
    assert float(delay_loss(both, clips)) == pytest.approx(float(entropy), abs=1e-4)
    assert float(delay_loss(one, clips)) > 2


def test_frames_without_audible_echo_do_not_count() -> None:
    clips = clips_of(torch.zeros(1, 2560), torch.zeros(1, 2560))
    valid = clips.delay_valid.clone()
    valid[:, 5:] = False
    logits = torch.zeros(1, 10, 32)
    logits[:, :5, 28] = 20.0
    logits[:, 5:, 0] = 20.0
    assert float(delay_loss(logits, clips._replace(delay_valid=valid))) < 1e-4


def test_an_exact_output_costs_nothing_and_suppression_costs() -> None:
    audio = 0.1 * torch.randn(2, 8192, generator=torch.Generator().manual_seed(1))
    terms = score(clips_of(audio, audio), 2.0)
    assert float(terms["spectral"]) < 1e-9
    # The identity model removes nothing, so a silent target costs and loses nothing,
    # while a louder target is a loss of near end that the one-sided weight raises.
    echo = score(clips_of(audio, torch.zeros_like(audio)), 2.0)
    assert float(echo["lost"]) < 1e-6
    assert float(echo["spectral"]) > 0.05
    light = score(clips_of(audio, 3 * audio), 0.0)["spectral"]
    heavy = score(clips_of(audio, 3 * audio), 2.0)["spectral"]
    assert float(heavy) > 1.5 * float(light)


def test_loud_and_quiet_clips_weigh_alike() -> None:
    generator = torch.Generator().manual_seed(2)
    audio = 0.3 * torch.randn(1, 8192, generator=generator)
    noise = 0.1 * torch.randn(1, 8192, generator=generator)
    loud = score(clips_of(audio + noise, audio), 1.0)["spectral"]
    quiet = score(clips_of(0.01 * (audio + noise), 0.01 * audio), 1.0)["spectral"]
    assert float(quiet) == pytest.approx(float(loud), rel=1e-3)


@pytest.mark.parametrize("shuffle", ["halves", "interleave"])
@pytest.mark.parametrize("positions", [8, 64, 128])
def test_deep_heads_are_laid_out_as_the_decoders_shuffle(shuffle: str, positions: int) -> None:
    # Follow each position through the decoder's own doublings down to the bins.
    traced = torch.arange(positions, dtype=torch.float32)[None, None, :, None]
    while traced.shape[2] < 256:
        traced = double_bins(traced.expand(-1, -1, -1, 2), shuffle)
    share = 256 // positions
    gains = torch.arange(positions, dtype=torch.float32)[None, None, :, None]
    spread = spread_bins(gains.expand(1, 1, positions, share), shuffle)
    assert torch.equal(spread[0, 0], traced[0, 0, :, 0])


def test_si_sdr_skips_silent_targets_and_is_capped() -> None:
    audio = torch.randn(2, 4000, generator=torch.Generator().manual_seed(3))
    silent = torch.stack([audio[0], torch.zeros(4000)])
    noisy = audio.clone()
    noisy[0] += audio[1] * 0.1
    alone = limited_si_sdr(noisy[:1], audio[:1])
    assert float(limited_si_sdr(noisy, silent)) == pytest.approx(float(alone), abs=1e-4)
    assert float(limited_si_sdr(audio, audio)) == pytest.approx(25.0)
    assert float(limited_si_sdr(0.2 * noisy[:1], audio[:1])) == pytest.approx(
        float(alone), abs=1e-3
    )


def test_alignment_stage_trains_what_it_should() -> None:
    part = objective()
    audio = 0.1 * torch.randn(2, 8192, generator=torch.Generator().manual_seed(4))
    clips = clips_of(audio, audio)._replace(ref=audio)
    part(clips, 1.0, align_only=True)["loss"].backward()
    moved = {n for n, p in part.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(n.startswith("model.align.") for n in moved)
    assert any(n.startswith("model.mic_enc1.") for n in moved)
    assert not any(n.startswith(("model.dec", "model.bottleneck", "heads")) for n in moved)
    assert all(p.grad is not None for p in part.parameters())


@torch.no_grad()
@pytest.mark.parametrize("scenario", list(Scenario))
def test_lost_speech_weighs_by_its_factor_where_there_is_no_echo(scenario) -> None:
    torch.manual_seed(2)
    mic = 0.05 * torch.randn(2, 5120)
    clips = clips_of(mic, 2 * mic)._replace(scenario=torch.full((2,), int(scenario)))
    plain, weighed = (objective(without_echo=factor)(clips, 3.0) for factor in (1.0, 0.25))
    free = objective()(clips, 0.0)
    echo = scenario in (Scenario.FAR_END, Scenario.DOUBLE_TALK)
    share = 1.0 if echo else 0.25
    for term in ("spectral", "deep"):
        expected = free[term] + share * (plain[term] - free[term])
        assert plain[term] > free[term]
        assert torch.isclose(weighed[term], expected, rtol=1e-5)


def test_audible_difference_counts_where_a_talker_is() -> None:
    torch.manual_seed(3)
    clean = 0.05 * torch.randn(2, 8192)
    mic = clean + 0.02 * torch.randn(2, 8192)

    def terms(*scenarios: Scenario, **weights: float) -> dict[str, float]:
        scenario = torch.tensor([int(s) for s in scenarios])
        out = objective(**weights)(clips_of(mic, clean)._replace(scenario=scenario), 1.0)
        return {name: float(value.detach()) for name, value in out.items()}

    near, talk, echo = Scenario.NEAR_END, Scenario.DOUBLE_TALK, Scenario.FAR_END
    heard = terms(near, talk, audible=0.1)
    assert heard["audible"] > 0
    assert terms(echo, Scenario.NOISE, audible=0.1)["audible"] == 0
    # Only the first clip counts.
    one, other = (terms(*pair, audible=0.1)["audible"] for pair in ((near, echo), (echo, near)))
    assert (one + other) / 2 == pytest.approx(heard["audible"], rel=1e-4)
    plain = terms(near, talk)
    assert "audible" not in plain
    assert heard["loss"] - plain["loss"] == pytest.approx(0.1 * heard["audible"], rel=1e-3)
