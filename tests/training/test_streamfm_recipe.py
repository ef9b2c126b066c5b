"""Stream.FM through the shared training: clips, flow matching, predictor, norms, files."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
pytest.importorskip("gguf", reason="training needs the [train] extra")
pytest.importorskip("matplotlib", reason="training needs the [train] extra")
import torch
from sublime_shapes import SHAPES

import voxhop
from gradients import assert_bf16_learns_the_same, gradient
from voxhop.cli import main
from voxhop.errors import ArgumentError
from voxhop.export.sublime import write_sublime
from voxhop.reference import StreamFM, StreamFMConfig, random_sublime
from voxhop.reference.decouple import decouple, decoupled_state
from voxhop.stream.level import NOMINAL_PEAK
from voxhop.training.config import load_config, to_toml
from voxhop.training.draw import Draw
from voxhop.training.losses.discriminators import DiscriminatorConfig
from voxhop.training.run.loop import Trainer
from voxhop.training.run.start import initial_model, load_model, read_weights
from voxhop.training.simulation.degrade import DegradationConfig
from voxhop.training.state import read_log
from voxhop.training.streamfm.clips import DamageConfig, draw_restoring
from voxhop.training.streamfm.judge import log_spectral_distance
from voxhop.training.streamfm.objective import (
    StreamFMObjective,
    fit_spread,
    measure_sigma,
    norms_of,
    settle_norms,
    sigmas,
    spectra,
    unit_noise,
)

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"nf": 4, "n_fft": 256}


@pytest.fixture(scope="module")
def tiny(corpus_folder: Path, cache: Path) -> str:
    return f"""
recipe = "streamfm"
seed = 5
device = "cpu"
threads = 1
sigma_clips = 8
settling_batches = 2
[data]
folder = "{corpus_folder}"
cache = "{cache}"
[model]
task = "bwe"
nf = 4
n_fft = 256
default_solver = "euler2"
[rooms]
count = 6
[validation]
per_scenario = 2
seconds = 0.3
every_share = 1.0
[optimizer]
rate = 2e-3
warmup_steps = 2
clip_norm = 3.0
weight_decay = 0.0
[[phases]]
share = 1.0
clips = 2
seconds = 0.5
"""


def read(folder: Path, text: str):
    (folder / "run.toml").write_text(text)
    return load_config(folder / "run.toml")


@pytest.fixture
def config(tiny: str, tmp_path: Path):
    return read(tmp_path, f'output = "{tmp_path / "out"}"\naudio_seconds = 8.0\n{tiny}')


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.toml").write_text(f"minutes = 0.0\naudio_seconds = 12.0\n{tiny}")
    assert main(["train", str(folder / "run.toml"), "--output", str(folder / "out")]) == 0
    return folder / "out"


def drawn(bank, task, *, damage=None, codec=None, clips=8, key=1, seconds=1.0, **simulation):
    return draw_restoring(
        bank,
        DegradationConfig(**simulation),
        damage or DamageConfig(),
        Draw(key),
        StreamFMConfig(task=task, **SMALL),
        clips=clips,
        seconds=seconds,
        codec=codec,
    )


def band_power(audio, low, high):
    spectrum = torch.fft.rfft(audio).abs().square()
    hertz = torch.linspace(0, 8000, spectrum.shape[1])
    return spectrum[:, (hertz >= low) & (hertz < high)].sum(1)


def test_narrow_clips_end_where_they_are_drawn_to(bank):
    narrow = DamageConfig(band_hz=(3500, 3500), edge_hz=(200, 200), whole=0.0)
    batch = drawn(bank, "bwe", damage=narrow)
    kept = band_power(batch.given, 0, 3300) / band_power(batch.target, 0, 3300)
    assert torch.allclose(kept, torch.ones(8), atol=1e-3)
    assert (band_power(batch.given, 3500, 8000) < 1e-8 * band_power(batch.given, 0, 3500)).all()
    assert (band_power(batch.target, 3500, 8000) > 0).all()
    whole = drawn(bank, "bwe", damage=DamageConfig(whole=1.0))
    assert torch.allclose(whole.given, whole.target, atol=1e-5)


@pytest.mark.parametrize("task", ["bwe", "stft_pr", "derev", "se"])
def test_the_peak_is_near_what_a_follower_gives(bank, task):
    peaks = drawn(bank, task).given.abs().amax(1)
    assert (peaks >= NOMINAL_PEAK * 10 ** (-6 / 20) * 0.999).all()
    assert (peaks <= NOMINAL_PEAK * 10 ** (4 / 20) * 1.001).all()


def test_a_task_keeps_its_own_damage(bank):
    assert torch.equal(*drawn(bank, "stft_pr", noise=1.0, clipping=1.0)[:2])
    assert not torch.allclose(*drawn(bank, "se", snr_db=(0, 0), reverberation=0.0)[:2], atol=1e-3)
    assert torch.equal(*drawn(bank, "derev", noise=0.0, reverberation=0.0, clipping=1.0)[:2])


class Echo:
    """A codec that gives back what it got, as late as Sublime does."""

    config = SimpleNamespace(sample_rate=16000, hop_length=480, n_groups=480, n_groups_a=240)

    def encode(self, audio):
        return audio.unflatten(1, (-1, 480)), None

    def decode(self, codes):
        whole = torch.nn.functional.pad(codes, (0, 480 - codes.shape[2])).flatten(1)
        return torch.nn.functional.pad(whole, (480, 0))[:, : whole.shape[1]], None


def test_a_post_filter_hears_the_codec_sample_aligned_at_both_rates(bank):
    def heard(*kbps, clips=8):
        batch = drawn(bank, "codec_pf", damage=DamageConfig(kbps=kbps), codec=Echo(), clips=clips)
        return (batch.given - batch.target).abs().amax(1) < 1e-6

    assert heard(6).all()
    assert not heard(1).any()
    some = heard(6, 1, clips=16)
    assert some.any()
    assert not some.all()


def test_a_run_of_a_post_filter(tiny, tmp_path):
    path = tmp_path / "codec.gguf"
    write_sublime(random_sublime(SHAPES["small"], 3), path)
    task = tiny.replace("[model]", '[model]\ntask = "codec_pf"').replace('task = "bwe"\n', "")
    text = f'audio_seconds = 1.0\noutput = "{tmp_path}"\n{task}[damage]\ncodec = "{path}"\n'
    trainer = Trainer(read(tmp_path, text))
    batch = trainer.draw_clips(0, trainer.config.phases[0])
    assert batch.given.shape == batch.target.shape == (2, 62 * 128)
    assert not torch.allclose(batch.given, batch.target, atol=1e-3)
    before = copy.deepcopy(trainer.objective.state_dict())
    trainer._step(0.3)
    after = trainer.objective.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


def test_the_same_key_gives_the_same_batch(bank):
    one, two, other = (drawn(bank, "bwe", key=k) for k in (1, 1, 2))
    for a, b, c in zip(one[:4], two[:4], other[:4], strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert one.noise.square().mean() == pytest.approx(0.5, abs=0.01)


def objective_of(task="bwe", *, predictor=False, seed=0):
    torch.manual_seed(seed)
    return StreamFMObjective(StreamFM(StreamFMConfig(task=task, predictor=predictor, **SMALL)))


def test_a_perfect_velocity_has_no_error(bank, monkeypatch):
    """At any time the true velocity is the difference of the two ends of the path."""
    objective, batch = objective_of("derev"), drawn(bank, "derev")
    y, x = spectra(objective.model, batch)
    z = torch.view_as_complex(batch.noise.permute(0, 3, 1, 2).contiguous())
    wanted = (x - y) + (0.001 - objective.model.config.sigma_y) * z
    seen = {}

    def velocity(state, base, condition, tau, _):
        seen.update(state=state, base=base, condition=condition, tau=tau)
        return wanted, {}

    monkeypatch.setattr(objective.model, "velocity", velocity)
    assert float(objective(batch)["loss"]) < 1e-10
    start = y + objective.model.config.sigma_y * z
    expected = start + seen["tau"][:, None, None] * wanted
    assert torch.allclose(seen["state"], expected, atol=1e-5)
    assert torch.equal(seen["condition"], y)


def test_noise_is_measured_where_the_band_is_missing(bank):
    model = objective_of().model
    narrow = DamageConfig(band_hz=(3500, 3500), whole=0.0)
    measure_sigma(model, [drawn(bank, "bwe", damage=narrow, key=k) for k in range(4)])
    sigma_y, sigma_x = (s.flatten() for s in sigmas(model, torch.zeros(1, 128, 1)))
    assert torch.allclose(sigma_y, 3000 * sigma_x)
    lower, upper = sigma_y[:40], sigma_y[72:120]  # to 2.5 kHz, from 4.5 kHz on
    assert float(lower.max()) == pytest.approx(0.02, abs=1e-4)
    assert float(upper.min()) > 2 * float(lower.max())
    y, x = spectra(model, drawn(bank, "bwe", damage=narrow))
    # Three standard deviations of the noise cover what is missing in nearly all clips.
    missing = (y - x)[:, 72:120].abs().square().mean(2).sqrt() / x.abs().max()
    assert float((missing <= upper).float().mean()) > 0.9


def test_the_told_spread_follows_what_is_missing(bank):
    model = StreamFM(StreamFMConfig(task="bwe", **SMALL, spread_bands=16, spread_frames=2))
    narrow = DamageConfig(band_hz=(3500, 3500), whole=0.0)
    fit_spread(model, [drawn(bank, "bwe", damage=narrow, key=k) for k in range(4)])
    y, x = spectra(model, drawn(bank, "bwe", damage=narrow, key=9))
    with torch.no_grad():
        sigma, _ = model.start_spread(y)
    assert float(sigma[:, :48].mean()) < 0.01  # to 3 kHz nothing is missing
    missing = (x - y)[:, 64:].abs().square().unflatten(1, (8, -1)).mean(2).sqrt()
    found = sigma[:, 64::8]
    error = (found / missing.clamp(min=0.003)).log()
    same = missing.clamp(min=0.003).log()
    assert float(error.std()) < 0.8 * float((same - same.mean((0, 2), keepdim=True)).std())
    # Causal, and the same in parts.
    first, levels = model.start_spread(y[:, :, :20])
    second, _ = model.start_spread(y[:, :, 20:], levels)
    assert torch.allclose(torch.cat((first, second), 2), sigma, rtol=1e-4)


def test_sound_reaches_what_tells_the_spread(bank):
    torch.manual_seed(0)
    model = StreamFM(StreamFMConfig(task="bwe", **SMALL, spread_bands=16))
    objective, batch = StreamFMObjective(model), drawn(bank, "bwe", clips=2, seconds=0.3)
    objective(batch)["loss"].backward()
    assert model.spread.fc1.weight.grad is None  # less noise would match any flow better
    objective(batch, calls=1, sound=True)["loss"].backward()
    assert float(model.spread.fc1.weight.grad.abs().max()) > 0


def test_settled_norms_are_those_of_the_present_weights(bank):
    """With the statistics of the very batch, the fixed map gives what training gave."""
    objective, batch = objective_of(), drawn(bank, "bwe", clips=4, seconds=0.5)
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        trained = objective.train().flow_error(batch)
        before = objective.eval().flow_error(batch)
        settle_norms(objective.train(), [batch, batch])
        settled = objective.eval().flow_error(batch)
    assert not torch.allclose(before, trained, rtol=1e-2)
    assert torch.allclose(settled, trained, rtol=1e-3)
    assert {norm.momentum for norm in norms_of(objective.model)} == {0.02}


def test_predictor_and_flow_learn_apart(bank):
    objective, batch = objective_of("se", predictor=True), drawn(bank, "se", clips=2, seconds=0.5)

    def moved(**options):
        objective.zero_grad()
        objective(batch, **options)["loss"].backward()
        return {
            name.split(".")[1]
            for name, p in objective.named_parameters()
            if p.grad is not None and float(p.grad.abs().max()) > 0
        }

    statistics = next(norms_of(objective.model.pred)).running_mean
    assert moved(predict=True) == {"pred"}
    learned = statistics.clone()
    assert moved() == {"flow"}
    assert torch.equal(statistics, learned)


def test_the_distance_is_of_levels():
    clean = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    assert float(log_spectral_distance(clean, clean).max()) == 0
    half = log_spectral_distance(0.5 * clean, clean)
    assert torch.allclose(half, torch.tensor(6.02), atol=0.02)


def test_a_run_learns_and_says_what(finished: Path):
    records = read_log(finished / "log.jsonl")
    assert [r["kind"] for r in records[:2]] == ["start", "anchor"]
    assert records[1]["lsd_input"] > 1
    looks = [r for r in records if r["kind"] == "valid" and r["weights"] == "raw"]
    assert looks[-1]["flow"] < looks[0]["flow"]
    assert (finished / "curves.png").stat().st_size > 10_000


def test_files_of_a_run_run_in_the_engine(finished: Path, bank):
    trained = load_model(finished / "best.pt").eval()
    audio = drawn(bank, "bwe", clips=1, seconds=0.4).given
    with torch.no_grad():
        expected = trained(audio, solver="euler4", seed=3)[0][0].numpy()
    with voxhop.load(finished / "voxhop-streamfm-f32.gguf") as model:
        assert model.metadata["streamfm.task"] == "bwe"
        assert [t.shape for t in model.tensors if t.name == "sigma_y"] == [(128,)]
        with model.session(solver="euler4", seed=3) as session:
            hops = audio[0].numpy().reshape(-1, 128)
            found = np.concatenate([session.process_hop(hop) for hop in hops])
    assert np.linalg.norm(found - expected) <= 2e-3 * np.linalg.norm(expected)
    narrow = audio[0].numpy()[::2].copy()
    wide = voxhop.restore(narrow, sample_rate=8000, model=finished / "voxhop-streamfm.gguf")
    assert len(wide) == 2 * len(narrow)


def test_the_card_says_what_the_model_is_and_does(finished: Path, tmp_path: Path):
    command = ["export", str(finished / "best.pt"), "--card", "--output", str(tmp_path)]
    assert main(command) == 0
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "task `bwe`, at 16 kHz, hops of\n8 ms. Stream.FM with 4 channels, solver\n" in card
    figures = torch.load(finished / "best.pt", weights_only=True)["figures"]
    assert f"* log-spectral distance: {figures['lsd']:.2f} dB" in card


def test_a_stopped_run_goes_on_to_the_same_weights(config, tiny, tmp_path):
    def steps(trainer, count):
        for _ in range(count):
            trainer._step(0.5)
        return trainer

    whole = steps(Trainer(config), 4)
    other = read(tmp_path, f'output = "{tmp_path / "half"}"\naudio_seconds = 8.0\n{tiny}')
    steps(Trainer(other), 2).save()
    again = Trainer(other)
    assert again.progress.step == 2
    # The noise per band is of the recordings alone, and measured before the first step only.
    assert torch.equal(again.objective.model.sigma_y, whole.objective.model.sigma_y)
    for name, value in steps(again, 2).objective.state_dict().items():
        assert torch.equal(value, whole.objective.state_dict()[name]), name


def test_rank_nine_loses_nothing_and_lower_ranks_the_least():
    torch.manual_seed(3)
    dense = StreamFM(StreamFMConfig(**SMALL)).double()
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        audio = torch.randn(1, 12 * 128, dtype=torch.float64)
        expected = dense.eval()(audio, solver="euler1")[0]
    errors = []
    for rank in (9, 6, 3, 1):
        cut = decouple(dense, rank).double()
        cut.load_state_dict(decoupled_state(dense.state_dict(), cut.state_dict()))
        with torch.no_grad():
            errors.append(float((cut.eval()(audio, solver="euler1")[0] - expected).norm()))
    assert errors[0] < 1e-9 * float(expected.norm())
    assert errors == sorted(errors)
    assert errors[1] > 1e-4 * float(expected.norm())
    # What is kept of a kernel is what singular values say.
    path = "flow.mid0.conv0"
    cut = decoupled_state(dense.state_dict(), decouple(dense, 2).state_dict())
    depthwise = cut[f"{path}.dw.weight"].reshape(8, 2, 9)
    point = cut[f"{path}.pw.weight"].reshape(8, 8, 2).permute(1, 0, 2)
    whole = dense.state_dict()[f"{path}.weight"].permute(1, 0, 2, 3).reshape(8, 8, 9)
    lost = (point @ depthwise - whole).square().sum((1, 2))
    assert torch.allclose(lost, torch.linalg.svdvals(whole)[:, 2:].square().sum(1))
    with pytest.raises(ArgumentError, match="expected a dense one"):
        decouple(decouple(dense, 2), 2)
    with pytest.raises(ArgumentError, match="rank: 10"):
        decouple(dense, 10)


def test_a_run_decouples_the_dense_weights_it_starts_from(finished, tiny, tmp_path):
    text = tiny.replace("nf = 4", "nf = 4\ndecoupled_rank = 3")
    start = f'initial = "{finished / "best.pt"}"\naudio_seconds = 8.0\noutput = "{tmp_path}"'
    model = initial_model(read(tmp_path, f"{start}\n{text}"))
    dense = load_model(finished / "best.pt")
    expected = decouple(dense, 3).state_dict()
    assert all(torch.equal(v, expected[n]) for n, v in model.state_dict().items())


def test_few_calls_learn_what_more_of_them_give(bank):
    """On weights whose velocity turns with time, so that one step is not enough."""
    torch.manual_seed(4)
    model = StreamFM(StreamFMConfig(task="derev", **SMALL))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn_like(weight) * (1.5 / weight[0].numel()) ** 0.5)
    objective = StreamFMObjective(model, (copy.deepcopy(model), "euler4"))
    batch = drawn(bank, "derev", clips=1, seconds=0.2)
    first = {n: v.clone() for n, v in objective.state_dict().items()}
    assert not any("teacher" in name for name in first)
    assert float(objective(batch, calls=4)["loss"].detach()) < 1e-10
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    distances = []
    for _ in range(15):
        optimizer.zero_grad()
        distance = objective(batch, calls=1)["loss"]
        distance.backward()
        optimizer.step()
        distances.append(float(distance.detach()))
    assert distances[0] > 1e-3
    assert distances[-1] < 0.7 * distances[0]
    for name, value in objective.state_dict().items():
        if "running" in name or name.endswith(("sigma_y", "freqs")):
            assert torch.equal(value, first[name]), name
    teacher = objective.teacher[0].state_dict()
    assert all(torch.equal(v, first[f"model.{n}"]) for n, v in teacher.items())


def test_calls_learn_by_their_sound(bank):
    objective = objective_of(seed=4)
    with torch.no_grad():
        for weight in objective.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    batch = drawn(bank, "bwe", clips=2, seconds=0.3)
    optimizer = torch.optim.Adam(objective.parameters(), lr=5e-3)
    found = []
    for _ in range(20):
        optimizer.zero_grad()
        terms = objective(batch, calls=2, sound=True)
        terms["loss"].backward()
        optimizer.step()
        found.append(float(terms["mel"].detach()))
    assert found[-1] < 0.97 * found[0]


def test_convolutions_in_bf16_learn_the_same(bank):
    objective = objective_of(seed=4)
    with torch.no_grad():
        for weight in objective.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    batch = drawn(bank, "bwe", clips=2, seconds=0.3)

    assert_bf16_learns_the_same(
        objective, lambda: objective(batch, calls=1, sound=True, settled=True)
    )


def test_a_file_of_what_learned_by_its_sound_has_that_solver_alone(finished, tiny, tmp_path):
    start = f'initial = "{finished / "best.pt"}"\naudio_seconds = 4.0\noutput = "{tmp_path}"'
    (tmp_path / "run.toml").write_text(f"{start}\n{tiny}calls = 2\nsound = true\n")
    assert main(["train", str(tmp_path / "run.toml")]) == 0
    with voxhop.load(tmp_path / "voxhop-streamfm.gguf") as model:
        assert next(o.choices for o in model.options if o.name == "solver") == ("euler2",)


def test_what_sounds_right_has_no_loss(bank, monkeypatch):
    objective, batch = objective_of("derev"), drawn(bank, "derev", clips=2)
    y, x = spectra(objective.model, batch)
    start = y + objective.model.config.sigma_y * unit_noise(batch)
    monkeypatch.setattr(objective.model, "velocity", lambda *_: (x - start, {}))
    terms = objective(batch, calls=2, sound=True)
    assert float(terms["distance"]) < 1e-10
    assert float(terms["levels"]) < 1e-3
    weights = {"keep": 0.5, "levels": 0.2, "texture": 0.3}
    off = StreamFMObjective(objective.model, **weights)(batch, calls=1, sound=True)
    sum_of_terms = off["mel"] + sum(
        weight * off[term]
        for term, weight in (("distance", 0.5), ("levels", 0.2), ("texture", 0.3))
    )
    assert float(off["loss"]) == pytest.approx(float(sum_of_terms))
    assert float(terms["mel"]) < 1e-3
    monkeypatch.setattr(objective.model, "velocity", lambda *_: (1.1 * x - start, {}))
    assert float(objective(batch, calls=2, sound=True)["mel"]) > 1e-2


def test_discriminators_judge_the_sound(bank):
    torch.manual_seed(2)
    model = StreamFM(StreamFMConfig(task="bwe", **SMALL))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    sizes = DiscriminatorConfig(periods=(), windows=(), magnitude_windows=(256,), maps=4)
    objective = StreamFMObjective(model, adversarial=0.3, discriminators=sizes)
    batch = drawn(bank, "bwe", clips=2, seconds=0.3)

    def gradients(*, adversarial):
        terms = objective(batch, calls=1, sound=True, settled=True, adversarial=adversarial)
        return gradient(terms, objective.model, objective.judges)

    plain, alone, none = gradients(adversarial=False)
    judged, together, theirs = gradients(adversarial=True)
    won = 0.3 * (judged["adversarial"] + judged["matching"])
    assert judged["loss"] == pytest.approx(plain["loss"] + won + judged["judges"], rel=1e-5)
    assert not len(none)
    assert all(p.grad.abs().sum() > 0 for p in objective.judges.parameters())
    assert theirs.norm() > 0
    assert (together - alone).norm() > 0.01 * alone.norm()
    objective.adversarial = 0.0  # nothing of what judges learn from reaches the model
    assert torch.allclose(gradients(adversarial=True)[1], alone, rtol=1e-4, atol=1e-6)


def test_a_run_against_discriminators(finished, tiny, tmp_path):
    start = f'initial = "{finished / "best.pt"}"\naudio_seconds = 6.0\noutput = "{tmp_path}"'
    sizes = "[discriminators]\nperiods = []\nwindows = []\nmagnitude_windows = [256]\nmaps = 4\n"
    text = f"{start}\n{tiny}calls = 2\nsound = true\nadversarial = true\n{sizes}"
    (tmp_path / "run.toml").write_text(text)
    assert main(["train", str(tmp_path / "run.toml")]) == 0
    steps = [r for r in read_log(tmp_path / "log.jsonl") if r["kind"] == "train"]
    assert steps[-1]["judges"] > 0
    with voxhop.load(tmp_path / "voxhop-streamfm.gguf") as model:
        assert model.info.architecture == "streamfm"


def test_settled_norms_keep_their_statistics(bank):
    objective, batch = objective_of(), drawn(bank, "bwe", clips=2, seconds=0.3)
    statistics = [norm.running_var.clone() for norm in norms_of(objective.model)]
    kept = objective(batch, settled=True)["loss"]
    again = (norm.running_var for norm in norms_of(objective.model))
    assert all(torch.equal(a, b) for a, b in zip(again, statistics, strict=True))
    assert float(kept.detach()) == float(objective.eval().flow_error(batch).mean().detach())
    objective.train()(batch)
    again = (norm.running_var for norm in norms_of(objective.model))
    assert not any(torch.equal(a, b) for a, b in zip(again, statistics, strict=True))


def test_times_of_the_flow_lie_below_the_latest(tiny, tmp_path):
    text = f'latest = 0.3\naudio_seconds = 1.0\noutput = "{tmp_path}"\n{tiny}'
    trainer = Trainer(read(tmp_path, text))
    times = torch.cat([trainer.draw_clips(k, trainer.config.phases[0]).tau for k in range(20)])
    assert 0.2 < float(times.max()) < 0.3


def test_a_run_distils_the_weights_it_starts_from(finished, tiny, tmp_path):
    start = f'initial = "{finished / "best.pt"}"\naudio_seconds = 8.0\noutput = "{tmp_path}"'
    config = read(tmp_path, f'{start}\nteacher_solver = "euler4"\n{tiny}calls = 1\n')
    trainer = Trainer(config)
    trainer._step(0.3)
    best = load_model(finished / "best.pt").state_dict()
    teacher = trainer.objective.teacher[0].state_dict()
    assert all(torch.equal(value, best[name]) for name, value in teacher.items())
    pupil = trainer.objective.model.state_dict()
    assert any(not torch.equal(value, best[name]) for name, value in pupil.items())
    wrong = read(tmp_path, f'{start}\nteacher_solver = "heun"\n{tiny}calls = 1\n')
    with pytest.raises(ArgumentError, match="teacher_solver: 'heun'"):
        Trainer(wrong)


def test_a_run_learns_a_tableau_alone(finished, tiny, tmp_path):
    start = f'initial = "{finished / "best.pt"}"\naudio_seconds = 12.0\noutput = "{tmp_path}"'
    own = tiny.replace('"euler2"', '"learned"\nlearned_from = "ralston3"')
    (tmp_path / "run.toml").write_text(f"{start}\n{own}tableau = true\n")
    assert main(["train", str(tmp_path / "run.toml")]) == 0
    last, first = load_model(tmp_path / "last.pt"), load_model(finished / "best.pt")
    for name, value in first.state_dict().items():
        assert torch.equal(value, last.state_dict()[name]), name
    before = initial_model(load_config(tmp_path / "run.toml")).solvers()["learned"]
    assert before.stages == 3
    assert last.solvers()["learned"] != before
    trained = load_model(tmp_path / "best.pt")
    with voxhop.load(tmp_path / "voxhop-streamfm-f32.gguf") as model:
        assert model.metadata["streamfm.solver.default"] == "learned"
        with model.session(seed=3) as session:
            sound = session.process_hop(np.full(128, 0.1, np.float32))
    again = load_model(tmp_path / "voxhop-streamfm-f32.gguf")
    assert again.learned is None
    with torch.no_grad():
        expected = trained.eval()(torch.full((1, 128), 0.1), seed=3)[0][0].numpy()
    assert np.allclose(sound, expected, atol=1e-5)


def test_a_model_file_trains_on_with_settled_norms_alone(finished: Path, tiny, tmp_path):
    path = finished / "voxhop-streamfm-f32.gguf"
    start = f'initial = "{path}"\naudio_seconds = 8.0\noutput = "{tmp_path}"'
    with pytest.raises(ArgumentError, match="norms are folded"):
        initial_model(read(tmp_path, f"{start}\n{tiny}"))
    model = initial_model(read(tmp_path, f"{start}\n{tiny}settled = true\n")).eval()
    audio = torch.randn(1, 12 * 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = load_model(path)(audio, seed=1)[0]
        assert torch.allclose(model(audio, seed=1)[0], expected, atol=1e-6)
        trained = load_model(finished / "best.pt").eval()(audio, seed=1)[0]
    assert torch.allclose(expected, trained, atol=1e-5)
    assert any(name.endswith("running_mean") for name in read_weights(finished / "best.pt"))


def test_a_configuration_comes_back(config, tmp_path: Path):
    (tmp_path / "again.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "again.toml") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\ntask = 'se'\npredictor = true", "predict"),
        ("[[phases]]\npredict = true", "predict"),
        ("precision = 'f16'", "precision"),
        ("[[phases]]\ncalls = 2", "calls"),
        ("initial = 'x.pt'\n[[phases]]\nshare = 0.5\ncalls = 2\n[[phases]]\nshare = 0.5", "calls"),
        ("settling_batches = 0", "settling_batches"),
        ("latest = 0.0", "latest"),
        ("keep = -1.0", "keep"),
        ("levels = -1.0", "levels"),
        ("texture = -1.0", "texture"),
        ("adversarial = -1.0", "adversarial"),
        ("[[phases]]\nadversarial = true", "phases: adversarial"),
        ("[[phases]]\nsound = true", "sound"),
        ("[[phases]]\ncalls = 2\nsound = true", "default_solver: 'euler5'"),
        ("[[phases]]\ntableau = true", "tableau"),
        ("[model]\nlearned_from = 'ralston2'", "tableau"),
        ("initial = 'x.pt'\n[[phases]]\ntableau = true", "learned_from"),
        ("[model]\ntask = 'codec_pf'", "damage.codec"),
        ("[damage]\ncodec = 'x.gguf'", "damage.codec"),
        ("[damage]\nkbps = [9]", "damage.kbps"),
        ("[damage]\nloudness = 3", "loudness"),
        ("[simulation]\ntaught = 0.5", "simulation.taught: 0.5, expected 0"),
    ],
)
def test_bad_configurations(tmp_path: Path, text: str, message: str):
    with pytest.raises(ArgumentError, match=message):
        read(tmp_path, f'recipe = "streamfm"\n{text}')
