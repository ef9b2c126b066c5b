"""SEFlow through the shared training: degradations, sub-networks, whole runs, files."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
pytest.importorskip("gguf", reason="training needs the [train] extra")
pytest.importorskip("matplotlib", reason="training needs the [train] extra")
import torch

import voxhop
from gradients import assert_bf16_learns_the_same, gradient
from voxhop.cli import main
from voxhop.errors import ArgumentError
from voxhop.export import read_seflow
from voxhop.reference.seflow import Estimate, SEFlow, analysis
from voxhop.reference.seflow.config import SEFlowConfig
from voxhop.training.config import RunConfig, from_table, load_config, to_toml
from voxhop.training.draw import Draw
from voxhop.training.losses.discriminators import DiscriminatorConfig
from voxhop.training.losses.si_sdr import si_sdr
from voxhop.training.run.loop import Trainer
from voxhop.training.run.start import load_model, read_weights
from voxhop.training.seflow.judge import enhanced, heard_distance
from voxhop.training.seflow.objective import prepare
from voxhop.training.simulation.acoustics import active_level
from voxhop.training.simulation.degrade import DegradationConfig, bank_rate, degrade, voice_labels
from voxhop.training.sounds.bank import DataConfig, load_bank
from voxhop.training.sounds.rooms import RoomConfig
from voxhop.training.state import read_log

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = DegradationConfig(
    noise=0, reverberation=0, clipping=0, packet_loss=0, silence=0, level_dbfs=(-20, -20)
)


@pytest.fixture(scope="module")
def tiny(corpus_folder: Path, cache: Path) -> str:
    return f"""
recipe = "seflow"
seed = 5
device = "cpu"
threads = 1
rates = [8000, 16000]
[data]
folder = "{corpus_folder}"
cache = "{cache}"
[model]
depth = 2
n_heads = 2
head_dim = 12
sample_rates = [8000, 16000]
[rooms]
count = 6
[validation]
per_scenario = 2
seconds = 1.0
every_share = 0.5
[optimizer]
rate = 2e-3
warmup_steps = 5
orthogonal = 4.0
[[phases]]
clips = 2
seconds = 1.0
"""


@pytest.fixture(scope="module")
def config(tiny: str, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("seflow")
    (folder / "run.toml").write_text(f'output = "{folder / "out"}"\naudio_seconds = 24.0\n{tiny}')
    return load_config(folder / "run.toml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.toml").write_text(f"minutes = 0.0\naudio_seconds = 80.0\n{tiny}")
    assert main(["train", str(folder / "run.toml"), "--output", str(folder / "out")]) == 0
    return folder / "out"


def wide(corpus_folder: Path, cache: Path, rate: int):
    data = DataConfig(folder=str(corpus_folder), cache=str(cache))
    return load_bank(data, "train", RoomConfig(count=3), seed=3, sample_rate=rate)


def drawn(bank, config, rate, *, clips=6, seconds=1.0, key=1):
    return degrade(
        bank, config, Draw(key), clips=clips, samples=int(seconds * rate), sample_rate=rate
    )


def changed(**chances):
    table = {name: getattr(NOTHING, name) for name in NOTHING.__dataclass_fields__}
    return DegradationConfig(**table | chances)


def test_without_degradations_the_target_comes_in(bank):
    batch = drawn(bank, NOTHING, 16000)
    assert torch.equal(batch.noisy, batch.target)
    assert not batch.lost.any()


def test_the_same_key_gives_the_same_clips(bank):
    one, two, other = (drawn(bank, DegradationConfig(), 8000, key=k) for k in (1, 1, 2))
    assert torch.equal(one.noisy, two.noisy)
    assert not torch.equal(one.noisy, other.noisy)


def test_noise_is_as_loud_as_drawn(bank):
    batch = drawn(bank, changed(noise=1.0, snr_db=(6.0, 6.0)), 16000)
    ratio = active_level(batch.target) / active_level(batch.noisy - batch.target)
    assert torch.allclose(20 * ratio.log10(), torch.tensor(6.0), atol=0.01)


def test_clipping_flattens_both_ways_at_the_quantile(bank):
    batch = drawn(bank, changed(clipping=1.0, clip_quantile=(0.9, 0.9)), 16000)
    peak = batch.noisy.abs().amax(1, keepdim=True)
    flat = (batch.noisy.abs() == peak).float().mean(1)
    assert torch.allclose(flat, torch.tensor(0.1), atol=0.002)
    rest = batch.noisy.abs() < peak
    assert torch.equal(batch.noisy[rest], batch.target[rest])


def test_lost_packets_are_zeros_in_runs_that_end(bank):
    batch = drawn(bank, changed(packet_loss=1.0), 16000, seconds=4.0)
    assert (batch.noisy[batch.lost] == 0).all()
    assert torch.equal(batch.noisy[~batch.lost], batch.target[~batch.lost])
    packets = batch.lost[:, ::160]
    assert torch.equal(packets.repeat_interleave(160, 1), batch.lost)
    assert 0.03 < packets.float().mean() < 0.4
    for row in packets.int().tolist():
        runs = "".join(map(str, row)).split("0")
        assert max(map(len, runs)) <= 10


def test_reverberation_is_in_the_microphone_only(bank):
    batch = drawn(bank, changed(reverberation=1.0), 16000)
    assert not torch.allclose(batch.noisy, batch.target, atol=1e-3)
    correlation = torch.nn.functional.cosine_similarity(batch.noisy, batch.target)
    assert correlation.min() > 0.5


@pytest.mark.parametrize(("rate", "source"), [(8000, 16000), (22050, 24000), (44100, 48000)])
def test_rates_between_those_of_the_recordings(corpus_folder, cache, rate, source):
    assert bank_rate(rate) == source
    bank = wide(corpus_folder, cache, source)
    assert bank.sample_rate == source
    batch = drawn(bank, NOTHING, rate)
    native = drawn(bank, NOTHING, source)
    # The same second of audio, sampled more seldom: what both rates hold is equal.
    bins = 3600 * len(batch.target[0]) // rate
    one, two = (torch.fft.rfft(x.target)[:, :bins] / x.target.shape[1] for x in (batch, native))
    assert (one - two).norm() < 0.05 * two.norm()


def test_recorded_noise_goes_on_above_the_recordings(corpus_folder, cache):
    # Two speakers were recorded at 44.1 kHz or more, and only one at 48 kHz.
    assert len(wide(corpus_folder, cache, 24000).speech.lengths) == 2
    bank = wide(corpus_folder, cache, 48000)
    assert len(bank.speech.lengths) == 4
    config = changed(noise=1.0, snr_db=(0.0, 0.0))
    batch = drawn(bank, config, 48000, clips=16)
    power = torch.fft.rfft(batch.noisy - batch.target).abs().square()
    below, above = power[:, 9000:11000].mean(1), power[:, 12000:14000].mean(1)
    assert (10 * (above / below).log10() > -25).all()


def test_voice_is_where_the_target_is():
    target = torch.zeros(2, 10 * 128)
    target[0, 3 * 128 : 5 * 128] = 0.1
    labels = voice_labels(target, 128)
    assert labels[0].nonzero()[:, 0].tolist() == [3, 4, 5]
    assert not labels[1].any()


def test_every_sub_network_and_window_gets_its_turn(config):
    trainer = Trainer(config)
    seen, rates, windows = set(), [], set()
    for step in range(80):
        trainer.progress.step = step
        options = trainer.recipe.options(trainer.progress, config.phases[0], 0.0)
        seen.add((options["depth"], options["heads"]))
        windows.add(options["window"])
    assert seen == {(b, h) for b in (1, 2) for h in (1, 2)}
    assert windows == {63, 125, 250}
    rates = [trainer.draw_clips(step, config.phases[0]).sample_rate for step in range(3)]
    assert rates == [8000, 16000, 8000]


def test_both_networks_of_a_step_learn(config):
    trainer = Trainer(config)
    clips = trainer.draw_clips(1, config.phases[0])
    terms = trainer.objective(clips, depth=1, heads=1, window=63)
    assert terms["full_linear"] != terms["sub_linear"]
    terms["loss"].backward()
    gradient = trainer.objective.model.enc.bias.grad
    trainer.objective.zero_grad()
    trainer.objective.config = from_table(type(config.loss), {"sub_network": 0.0}, where="test")
    trainer.objective(clips, depth=1, heads=1, window=63)["loss"].backward()
    alone = trainer.objective.model.enc.bias.grad
    d, scale = config.model.head_dim, alone.abs().max()
    assert torch.allclose(gradient[:, d:], alone[:, d:], atol=1e-4 * scale)
    assert not torch.allclose(gradient[:, :d], alone[:, :d], atol=1e-2 * scale)


@pytest.mark.parametrize(("level", "snr"), [(0.003, 20), (0.05, 20), (0.3, 12)])
def test_random_weights_begin_as_what_comes_in(level, snr):
    """Through encoder, untrained blocks and decoder, soft or loud, where bins have a place."""
    shape = {"depth": 2, "n_heads": 4, "head_dim": 16, "sample_rates": (16000,)}
    model = SEFlow(SEFlowConfig(**shape, encoder_rms_eps=400.0))
    prepare(model)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 20 * 256, generator=generator)
    spectrum, _ = analysis(level * noise, 16000)
    with torch.no_grad():
        found = torch.complex(*model.estimate(spectrum, 16000).spectrum).permute(1, 2, 0)
    places = slice(1, 64)  # speech falls off above, and so do the places
    found, expected = found[..., places], spectrum[..., places]
    gain = (found * expected.conj()).real.sum() / found.abs().square().sum()
    assert 0.7 < gain < 1.4
    error = (gain * found - expected).abs().square().sum() / expected.abs().square().sum()
    assert -10 * error.log10() > snr


class Told(torch.nn.Module):
    """Gives what it is told to, as if it were a model."""

    def __init__(self, like, factor) -> None:
        super().__init__()
        self.config, self.factor = like.config, factor

    def estimate(self, spectrum, rate, **sizes):
        del rate, sizes
        found = torch.view_as_real(spectrum).permute(3, 2, 0, 1)
        return Estimate(found * self.factor, None, ())


def test_terms_of_a_known_error(config):
    """Clips that come in as they should, and go out at half: -9 dB of both energies."""
    trainer = Trainer(config)
    clips = trainer.draw_clips(1, config.phases[0])
    sizes = {"depth": 1, "heads": 1, "window": 63}
    clean = clips._replace(noisy=clips.target)
    objective = trainer.objective
    for level in (1.0, 0.01):
        batch = clean._replace(noisy=level * clean.noisy, target=level * clean.target)
        for factor, expected in ((0.5, 1 / 8), (0.0, 1 / 2), (1.0, 0.0)):
            objective.model = Told(trainer.objective.model, factor)
            terms = objective(batch, **sizes)
            error = float(terms["full_error"])
            assert error == pytest.approx(math.log(expected + 1e-3), abs=5e-3), (level, factor)


@pytest.fixture
def flat(config):
    """A clip as loud everywhere as speech is at that frequency, and an objective for it."""
    trainer = Trainer(config)
    clips = trainer.draw_clips(2, config.phases[0])  # of 8 kHz
    generator = torch.Generator().manual_seed(3)
    spectrum = torch.fft.rfft(torch.randn(clips.target.shape, generator=generator))
    hertz = torch.linspace(0, clips.sample_rate / 2, spectrum.shape[1])
    audio = torch.fft.irfft(spectrum / (1 + hertz / 700), clips.target.shape[1])
    audio = 0.05 * audio / audio.std()
    return clips._replace(noisy=audio, target=audio), trainer.objective


def bins_at(like, low, high, factor):
    """Change bins of some frequencies."""
    factors = torch.ones(129, 1, 1)
    factors[round(low / 31.25) : round(high / 31.25)] = factor
    return Told(like, factors)


@pytest.mark.parametrize("factor", [0.1, 2.0])
@pytest.mark.parametrize("term", ["full_linear", "full_compressed"])
def test_bins_count_alike_high_and_low(flat, term, factor):
    """What is wrong at 3 kHz, 14 dB below, counts as it does at 300 Hz."""
    clips, objective = flat
    model = objective.model
    found = []
    for low in (240, 2900):
        objective.model = bins_at(model, low, low + 360, factor)
        found.append(float(objective(clips, depth=1, heads=1, window=63)[term]))
    objective.model = model
    assert found[1] == pytest.approx(found[0], rel=0.35)
    assert found[0] > 0


def test_a_band_that_is_lost_is_one_band(flat):
    """Of 22 bands of 8 kHz one goes out as silence, a narrow and loud or a wide and soft one."""
    clips, objective = flat
    model = objective.model
    edges = model.config.band_edges
    one = math.log(0.5 + 1e-3) / 22 + math.log(1e-3) * 21 / 22
    for band in (4, 20):
        objective.model = bins_at(model, 31.25 * edges[band], 31.25 * edges[band + 1], 0.0)
        error = objective(clips, depth=1, heads=1, window=63)["full_error"]
        assert float(error) == pytest.approx(one, abs=1e-3)
    objective.model = model


def test_lost_speech_counts_more_than_left_noise(flat):
    """Magnitudes to the power 0.3 as far below as above."""
    clips, objective = flat
    model, config = objective.model, objective.config
    found = {}
    for lost in (0.0, 1.0):
        objective.config = replace(config, lost_speech=lost, complex_share=0.0)
        for way, power in (("below", 0.8), ("above", 1.2)):
            objective.model = Told(model, power ** (1 / 0.3))
            term = objective(clips, depth=1, heads=1, window=63)["full_compressed"]
            found[lost, way] = float(term)
    objective.model, objective.config = model, config
    assert found[0.0, "below"] == pytest.approx(found[0.0, "above"], rel=0.02)
    assert found[1.0, "above"] == pytest.approx(found[0.0, "above"], rel=1e-6)
    assert found[1.0, "below"] == pytest.approx(2 * found[0.0, "below"], rel=1e-6)


def test_nobody_speaking_is_no_louder_than_what_comes_in(config):
    """Levels that clips are brought to one by come from what comes in, where nobody speaks."""
    trainer = Trainer(config)
    clips = trainer.draw_clips(1, config.phases[0])
    silent = clips._replace(target=torch.zeros_like(clips.target))
    trainer.objective.model = Told(trainer.objective.model, 1.0)
    terms = trainer.objective(silent, depth=1, heads=1, window=63)
    assert terms["full_linear"] < 20
    assert float(terms["full_error"]) == pytest.approx(0.0, abs=5e-3)


def test_what_is_heard_of_soft_bins(flat):
    """Without what lies above 2 kHz half of what is heard is wrong, whatever SI-SDR says."""
    clips, _ = flat
    rate = clips.sample_rate
    spectrum = torch.fft.rfft(clips.target)
    hertz = torch.linspace(0, rate / 2, spectrum.shape[1])
    dull = torch.fft.irfft(spectrum * (hertz < 2000), clips.target.shape[1])
    silent = torch.zeros_like(dull)
    assert (si_sdr(dull, clips.target) > 7).all()
    least = heard_distance(clips.target, clips.target, rate)
    found, all_ = (heard_distance(x, clips.target, rate) for x in (dull, silent))
    assert torch.allclose(least, torch.tensor(1e-4))
    assert torch.allclose(found / all_, torch.tensor(0.5), atol=0.08)
    louder = heard_distance(10 * dull, 10 * clips.target, rate)
    assert torch.allclose(louder, found, rtol=1e-3)


def test_what_carries_bins_learns_slower(config):
    trainer = Trainer(config)
    rates = {}
    for group in trainer.optimizer.param_groups:
        rates |= {id(p): (group["factor"], group["orthogonal"]) for p in group["params"]}
    model = trainer.objective.model
    assert rates[id(model.enc.weight)] == rates[id(model.dec.fc1_weight)] == (0.5, 0.0)
    assert rates[id(model.blk[0].time.q.weight)] == (1.0, 4.0)
    assert rates[id(model.blk[0].time.q.bias)] == rates[id(model.vad.q)] == (1.0, 0.0)


def test_a_resumed_run_learns_as_its_configuration_says_today(config, tmp_path):
    changes = {"output": str(tmp_path / "out")}
    first = Trainer(replace(config, **changes))
    first._train = lambda: None
    first.run()
    optimizer = replace(config.optimizer, orthogonal=1.5)
    again = Trainer(replace(config, **changes, band_rate=0.25, optimizer=optimizer))
    found = {(g["factor"], g["orthogonal"]) for g in again.optimizer.param_groups}
    assert found == {(0.25, 0.0), (1.0, 0.0), (1.0, 1.5)}
    assert (tmp_path / "out" / "last.pt").exists()


def test_orthogonal_steps_are_refused_where_nothing_takes_them(config):
    other = from_table(RunConfig, {"recipe": "localvqe", "minutes": 1.0}, where="test")
    other = replace(other, optimizer=replace(other.optimizer, orthogonal=2.0), data=config.data)
    with pytest.raises(ArgumentError, match=r"optimizer\.orthogonal: 2, expected 0: localvqe"):
        Trainer(other)


def test_a_run_learns_and_says_what(finished: Path):
    records = read_log(finished / "log.jsonl")
    steps = [r for r in records if r["kind"] == "train"]
    assert steps[-1]["full_linear"] < steps[0]["full_linear"]
    looks = [r for r in records if r["kind"] == "valid"]
    assert {"noise_gain", "reverb_gain", "clipping_gain", "loss_gain", "gain_1_1"} <= set(looks[0])
    assert (finished / "curves.png").stat().st_size > 10_000


def test_files_of_a_run_run_in_the_engine(finished: Path, bank):
    trained = load_model(finished / "best.pt").eval()
    clips = drawn(bank, DegradationConfig(), 16000, clips=1)
    clips = clips._replace(noisy=clips.noisy[:, : 60 * 256])
    with torch.no_grad():
        expected = enhanced(trained, clips, 1, 2)[0].numpy()
    with voxhop.load(finished / "voxhop-seflow.gguf") as model:
        assert model.info.architecture == "seflow"
        with model.session(sample_rate=16000, depth=1, heads=2) as session:
            x = np.concatenate([clips.noisy[0].numpy(), np.zeros(256, "f4")])
            found = np.concatenate([session.process_hop(h) for h in x.reshape(-1, 256)])[256:]
    assert np.linalg.norm(found - expected) <= 5e-3 * np.linalg.norm(expected)


def test_weights_come_back_from_files_as_they_are_trained(finished: Path):
    one, two = (read_weights(finished / n) for n in ("best.pt", "voxhop-seflow-f32.gguf"))
    assert not torch.equal(one["dec.scale"], torch.ones_like(one["dec.scale"]))
    used = set(one) - {"enc.norm"}  # which has values where narrow bands have no bins
    for name in used:
        assert torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-7), name
    assert (read_seflow(finished / "voxhop-seflow-f32.gguf").dec.scale == 1).all()


def test_a_configuration_comes_back(config, tmp_path: Path):
    (tmp_path / "again.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "again.toml") == config


def test_the_card_says_what_the_model_is_and_does(finished: Path, tmp_path: Path):
    command = ["export", str(finished / "best.pt"), "--card", "--output", str(tmp_path)]
    assert main(command) == 0
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "at 8, 16 kHz. SEFlow of depth 2 and 2 heads of\n12: 4 networks in one" in card
    figures = read_weights_figures(finished / "best.pt")
    assert f"in noise at 0 dB SNR: {figures['noise_gain']:+.1f} dB" in card
    assert "s (0.0 h) of simulated clips" in card


def read_weights_figures(path: Path) -> dict[str, float]:
    return torch.load(path, weights_only=True)["figures"]


def test_discriminators_judge_the_full_network(config):
    sizes = DiscriminatorConfig(periods=(), windows=(), magnitude_windows=(256,), maps=4)
    phase = replace(config.phases[0], adversarial=True)
    trainer = Trainer(replace(config, phases=(phase,), discriminators=sizes))
    objective, clips = trainer.objective, trainer.draw_clips(1, config.phases[0])

    def gradients(*, adversarial):
        terms = objective(clips, depth=1, heads=1, window=63, adversarial=adversarial)
        return gradient(terms, objective.model, objective.judges)

    plain, alone, none = gradients(adversarial=False)
    judged, together, theirs = gradients(adversarial=True)
    won = 0.4 * (judged["full_adversarial"] + judged["full_matching"])
    assert judged["loss"] == pytest.approx(plain["loss"] + won + judged["judges"], rel=1e-5)
    assert not len(none)
    assert all(p.grad.abs().sum() > 0 for p in objective.judges.parameters())
    assert theirs.norm() > 0
    assert (together - alone).norm() > 1e-3 * alone.norm()
    # Nothing of what judges learn from reaches the model, whatever the level.
    objective.config = replace(config.loss, adversarial=0.0, matching=0.0)
    assert torch.allclose(gradients(adversarial=True)[1], alone, rtol=1e-4, atol=1e-6)
    objective.config = config.loss
    louder = clips._replace(noisy=4 * clips.noisy, target=4 * clips.target)
    terms = objective(louder, depth=1, heads=1, window=63, adversarial=True)
    assert float(terms["judges"]) == pytest.approx(judged["judges"], rel=1e-2)


def test_a_run_against_discriminators(config, tmp_path):
    sizes = DiscriminatorConfig(periods=(), windows=(), magnitude_windows=(256,), maps=4)
    half = replace(config.phases[0], share=0.5)
    phases = (half, replace(half, adversarial=True))
    run = replace(config, phases=phases, discriminators=sizes, output=str(tmp_path / "out"))
    trainer = Trainer(run)
    assert trainer.recipe.partial
    for share, judged in ((0.2, False), (0.7, True)):
        assert ("judges" in trainer._step(share)) is judged


def test_layers_in_bf16_learn_the_same(config):
    trainer = Trainer(config)
    clips = trainer.draw_clips(1, config.phases[0])
    assert_bf16_learns_the_same(
        trainer.objective, lambda: trainer.objective(clips, depth=1, heads=1, window=63)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('recipe = "tacotron"', "tacotron"),
        ('recipe = "seflow"\nrates = [44100]', "44100"),
        ('recipe = "seflow"\nrates = []', "rates"),
        ('recipe = "seflow"\nprecision = "f16"', "precision"),
        ('recipe = "seflow"\n[model]\nd_max = 3', "d_max"),
    ],
)
def test_bad_configurations(tmp_path: Path, text: str, message: str):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ArgumentError, match=message):
        load_config(tmp_path / "bad.toml")


def test_the_command_names_a_recipe(tmp_path: Path, config, capsys):
    path = tmp_path / "run.toml"
    path.write_text(to_toml(config))
    assert main(["train", str(path), "--recipe", "localvqe"]) != 0
    assert "is of seflow" in capsys.readouterr().err
    assert main(["train", "--data", "nowhere", "--recipe", "other"]) != 0
    assert "expected one of localvqe, seflow, streamfm" in capsys.readouterr().err
