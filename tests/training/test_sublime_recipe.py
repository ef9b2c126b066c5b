"""Sublime through the shared training: batches, losses, phases, whole runs, both tracks, files."""

from __future__ import annotations

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
from voxhop.export.sublime import read_sublime
from voxhop.reference import Sublime
from voxhop.reference.memory import Memory
from voxhop.reference.overlap import periodic_window
from voxhop.reference.sublime.config import FRONTEND, SublimeConfig
from voxhop.training.config import load_config, to_toml
from voxhop.training.draw import Draw
from voxhop.training.losses.discriminators import DiscriminatorConfig, Discriminators
from voxhop.training.losses.spectra import (
    SpectralLosses,
    Texture,
    cepstrum_basis,
    own_spectrum,
)
from voxhop.training.recipes import recipe_of
from voxhop.training.run.loop import Trainer
from voxhop.training.sounds.bank import DataConfig, load_bank
from voxhop.training.sounds.rooms import RoomConfig
from voxhop.training.state import read_log
from voxhop.training.sublime.clips import SublimeDataConfig, draw_batch
from voxhop.training.sublime.judge import perplexity
from voxhop.training.sublime.objective import AnnealingConfig, CodecObjective, aligned, usage
from voxhop.training.sublime.shape import SublimeShape
from voxhop.training.sublime.start import fit_encoder

if TYPE_CHECKING:
    from pathlib import Path

RATE = 24000


@pytest.fixture(scope="module")
def tiny(corpus_folder: Path, cache: Path) -> str:
    return f"""
recipe = "sublime"
seed = 5
device = "cpu"
threads = 1
minutes = 0.0
encoder_rate = 0.1
[data]
folder = "{corpus_folder}"
cache = "{cache}"
[model]
width = 16
first = [12, 8]
encoder = [[1, 16, 8]]
vocoder = [[1, 16, 16]]
query_dim = 4
features = 2
frontend_width = 8
frontend_fast = [[1, 8, 8]]
frontend_slow = [[1, 8, 8]]
[rooms]
count = 3
[validation]
per_scenario = 2
seconds = 1.0
every_share = 0.5
[optimizer]
rate = 5e-3
warmup_steps = 5
[discriminators]
periods = [3]
period_maps = 2
windows = [256]
magnitude_windows = [128]
maps = 4
"""


PHASES = """
[[phases]]
share = 0.7
clips = 2
seconds = 0.5
[[phases]]
share = 0.3
clips = 2
seconds = 0.5
adversarial = true
"""


def written(folder: Path, text: str, **values: object) -> Path:
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in values.items()]
    (folder / "run.toml").write_text("\n".join([*lines, text]))
    return folder / "run.toml"


@pytest.fixture(scope="module")
def config(tiny: str, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("sublime")
    return load_config(
        written(folder, tiny + PHASES, audio_seconds=20.0, output=str(folder / "out"))
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    folder = tmp_path_factory.mktemp("run")
    path = written(folder, tiny + PHASES, audio_seconds=60.0)
    assert main(["train", str(path), "--output", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def wide_bank(corpus_folder: Path, cache: Path):
    data = DataConfig(folder=str(corpus_folder), cache=str(cache))
    return load_bank(data, "train", RoomConfig(count=3), seed=5, sample_rate=RATE)


def drawn(bank, *, key=1, clips=16, dropped=0.5, **changes):
    config = SublimeDataConfig(**changes)
    return draw_batch(bank, config, Draw(key), clips=clips, samples=12000, dropped=dropped)


def test_the_default_shape_is_the_published_one():
    assert SublimeShape(phase_offsets=0).config == SublimeConfig()
    assert SublimeShape().config == SublimeConfig(phase_offsets=37)
    assert SublimeShape(sharpness=(0.3, 0.1)).config.sharpness == (0.3, 0.1)
    full = SublimeShape(frontend=True).config
    assert (full.fe, full.fe_stack_after) == (FRONTEND, 3)


def test_batches(wide_bank):
    one, two, other = (drawn(wide_bank, key=k) for k in (1, 1, 2))
    assert torch.equal(one.noisy, two.noisy)
    assert torch.equal(one.both, two.both)
    assert not torch.equal(one.noisy, other.noisy)
    clean = drawn(wide_bank, clean=1.0)
    assert torch.equal(clean.noisy, clean.target)
    noisy = drawn(wide_bank, clean=0.0)
    assert (noisy.noisy != noisy.target).any(1).all()
    assert not drawn(wide_bank, dropped=1.0).both.any()
    assert drawn(wide_bank, dropped=0.0).both.all()


def test_narrow_clips_hold_nothing_above_their_edge_and_should_come_back_so(wide_bank):
    batch = drawn(wide_bank, clean=0.0, narrow=1.0, edges_hz=(3000.0,))
    for sound in (batch.noisy, batch.target):
        power = torch.fft.rfft(sound).abs().square()
        assert power[:, 1501:].sum() < 1e-6 * power.sum()
        assert power[:, 1000:1500].sum() > 1e-6 * power.sum()


def test_temperatures_fall_as_published_after_a_warm_start():
    annealing = AnnealingConfig(start=0.5, first=0.02, second=0.01, last=1.3e-7)
    assert annealing.temperature(0.0) == 0.5
    assert annealing.temperature(0.1) == pytest.approx(0.02)
    assert annealing.temperature(0.16) == pytest.approx(0.015)
    assert annealing.temperature(0.22) == pytest.approx(0.01)
    assert annealing.temperature(0.61) == pytest.approx((0.01 * 1.3e-7) ** 0.5)
    assert annealing.temperature(1.0) == pytest.approx(1.3e-7)
    heats = [annealing.temperature(i / 200) for i in range(201)]
    assert heats == sorted(heats, reverse=True)
    for changes in ({"first": 0.6}, {"last": 0.0}, {"floor": 0.0}, {"warm": 0.9}):
        with pytest.raises(ArgumentError, match="annealing"):
            AnnealingConfig(**changes)


def test_the_temperature_spans_the_phases_without_discriminators(config):
    trainer = Trainer(config)
    first, second = config.phases

    def options(phase, share):
        return trainer.recipe.options(trainer.progress, phase, share)

    assert options(first, 0.0) == {"temperature": 0.05, "adversarial": False, "frozen": False}
    assert options(first, 0.35)["temperature"] == config.annealing.temperature(0.5)
    assert options(second, 0.8)["adversarial"]
    assert options(second, 0.8)["frozen"]


def test_distances_see_level_and_colour():
    losses = SpectralLosses(RATE)
    generator = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(2, 12000, generator=generator)
    mel, mfcc = losses(sound, sound)
    assert (float(mel), float(mfcc)) == (0.0, 0.0)
    mel, mfcc = losses(10 * sound, sound)
    assert 1.0 < float(mel) < 1.2  # one decade, and a little of the magnitudes themselves
    # A level is the first cepstral coefficient alone: sqrt(mels) of a decade, over 13.
    expected = sum(m**0.5 for m in (80, 160, 320)) / 3 / 13
    assert float(mfcc) == pytest.approx(expected, rel=0.01)
    assert torch.allclose(cepstrum_basis(40) @ cepstrum_basis(40).T, torch.eye(13), atol=1e-6)
    shifted, _ = losses(torch.roll(sound, 480, 1), sound)
    assert float(shifted) > 0.05


def test_output_and_target_lie_on_each_other(config):
    """A frame's sound is a frame late."""
    model = Trainer(config).objective.model
    target = torch.arange(4800.0)[None]
    sound = torch.cat([torch.full((1, 480), -1.0), target[:, :4320]], 1)
    found, wanted = aligned(sound, target, model)
    assert torch.equal(found, wanted)
    assert found.shape == (1, 4320)


def test_codes_in_use():
    codes = torch.tensor([[[0, 1], [1, 1]], [[2, 1], [3, 1]]])  # (B, T, G)
    assert usage(codes, 4).tolist() == [1.0, 0.25]
    assert perplexity(codes, 4).tolist() == pytest.approx([4.0, 1.0])


def test_discriminators_and_who_made_the_sound_learn_apart():
    torch.manual_seed(0)
    config = DiscriminatorConfig(
        periods=(3,), period_maps=2, windows=(128,), magnitude_windows=(128,), maps=4
    )
    judges = Discriminators(config)
    target = 0.1 * torch.randn(2, 2400)
    found = (0.1 * torch.randn(2, 2400)).requires_grad_()
    own, fooled, matching = judges(found, target)
    parameters = list(judges.parameters())
    assert torch.autograd.grad(own, found, retain_graph=True, allow_unused=True) == (None,)
    for loss in (fooled, matching):
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        assert all(g is None for g in gradients)
        assert torch.autograd.grad(loss, found, retain_graph=True)[0].abs().max() > 0
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(own, parameters))
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        judges(found, 0.1 * torch.sin(target * 40))[0].backward()
        optimizer.step()
    with torch.no_grad():
        assert float(judges(found, 0.1 * torch.sin(target * 40))[0]) < 0.7 * float(own)


def test_discriminators_in_bf16_judge_the_same_and_leave_the_codec_as_it_is(config):
    trainer = Trainer(config)
    batch = trainer.draw_clips(1, config.phases[-1])

    def step():
        return trainer.objective(batch, temperature=0.0, adversarial=True, frozen=True)

    assert_bf16_learns_the_same(trainer.objective, step)
    exact, _ = gradient(step(), trainer.objective)
    with torch.autocast("cpu", torch.bfloat16):
        lower = {name: float(value.detach()) for name, value in step().items()}
    judged = {"judges", "adversarial", "matching"}
    assert {name for name in exact if exact[name] != lower[name]} == judged | {"loss"}


def changed(trainer, step):
    """Return the names of tensors that a step changes."""
    before = {k: v.clone() for k, v in trainer.objective.state_dict().items()}
    step()
    after = trainer.objective.state_dict()
    return {k for k, v in after.items() if not torch.equal(v, before[k])}


def test_what_learns_in_which_phase(config):
    trainer = Trainer(config)
    first = changed(trainer, lambda: trainer._step(0.3))
    assert {name.split(".")[1] for name in first} == {"enc", "vq", "voc"}
    assert "model.vq.key" in first
    second = changed(trainer, lambda: trainer._step(0.9))
    assert {".".join(n.split(".")[:2]) for n in second if n[:6] == "model."} == {
        "model.vq",
        "model.voc",
    }
    assert "model.vq.key" not in second
    assert "model.vq.value" in second
    assert any(name.startswith("judges.every.2") for name in second)


@pytest.mark.parametrize(
    ("kinds", "partial"),
    [
        ("frozen = true", False),
        ("adversarial = true", False),
        ("frozen = true\nadversarial = true", False),
        ("frozen = true|adversarial = true", True),
        ("frozen = true|", True),
        ("|", False),
    ],
)
def test_a_frozen_encoder_stays_as_it_is(tiny, tmp_path, kinds, partial):
    phases = "".join(
        f"[[phases]]\nshare = {1 / len(kinds.split('|'))}\nclips = 2\nseconds = 0.5\n{kind}\n"
        for kind in kinds.split("|")
    )
    path = written(tmp_path, tiny + phases, audio_seconds=20.0, output=str(tmp_path / "out"))
    trainer = Trainer(load_config(path))
    assert trainer.recipe.partial is partial
    kept = all("=" in kind for kind in kinds.split("|"))  # no phase trains it
    assert trainer.objective.model.vq.key.requires_grad is not kept
    if not kinds.startswith("|"):
        names = changed(trainer, lambda: trainer._step(0.1))
        parts = {name for name in names if name.startswith("model.")}
        assert all(name.startswith(("model.voc.", "model.vq.value")) for name in parts)
        assert {"model.vq.value", "model.voc.out.bias"} <= parts
        assert any(n.startswith("judges.") for n in names) == ("adversarial" in kinds.split("|")[0])


def test_dropping_b_is_what_one_kbit_hears(config):
    trainer = Trainer(config)
    model = trainer.objective.model
    batch = trainer.draw_clips(3, config.phases[0])
    low = batch._replace(both=torch.zeros(2, dtype=torch.bool))
    with torch.no_grad():
        terms = trainer.objective(low, temperature=1e-7, adversarial=False)
        codes, _ = model.encode(batch.noisy)
        sound, target = aligned(model.decode(codes[..., :4])[0], batch.target, model)
        mel, _ = trainer.objective.spectral(sound, target)
    assert float(terms["mel"]) == pytest.approx(float(mel), rel=1e-4)
    assert float(terms["temperature"]) == pytest.approx(1e-7)


def test_nothing_learns_of_sharpness(config):
    trainer = Trainer(config)
    model = trainer.objective.model
    batch = trainer.draw_clips(3, config.phases[0])
    codes, _ = model.encode(batch.noisy)
    losses, sounds = [], []
    for sharpness in ((0.0, 0.0), (0.5, 0.5)):
        model.config = replace(model.config, sharpness=sharpness)
        with torch.no_grad():
            losses.append(float(trainer.objective(batch, temperature=0.05)["loss"]))
            sounds.append(model.decode(codes)[0])
    assert losses[0] == losses[1]
    assert not torch.allclose(*sounds, rtol=0.1)


def test_a_run_learns_and_says_what(finished: Path):
    records = read_log(finished / "log.jsonl")
    steps = [r for r in records if r["kind"] == "train"]
    assert steps[0]["temperature"] == pytest.approx(0.05)
    assert steps[-1]["temperature"] < 0.006
    assert steps[-1]["judges"] > 0
    looks = [r for r in records if r["kind"] == "valid"]
    assert {"clean_6", "clean_1", "noisy_6", "noisy_1", "usage", "perplexity"} <= set(looks[0])
    assert looks[-1]["score"] > looks[0]["score"]
    assert looks[-1]["clean_6"] < 0.85 * looks[0]["clean_6"]
    assert (finished / "curves.png").stat().st_size > 10_000


def test_a_new_codec_begins_as_a_quantiser_that_works(config, wide_bank):
    recipe = recipe_of(config)
    torch.manual_seed(1)
    objective = recipe.objective(recipe.model())
    recipe.begin(objective, wide_bank, {name for name, _ in objective.model.named_parameters()})
    model, batch = objective.model, drawn(wide_bank, clips=32, clean=1.0)
    with torch.no_grad():
        codes, _ = model.encode(batch.noisy, part="encoder")
        assert perplexity(codes, model.vq.size).min() > 8
        features, _ = model.mel(batch.target)
        level = features.mean(1)[:, 0::2].flatten()  # a code frame's newer half
        told = {}
        for groups in (model.vq.groups_a, model.vq.groups):
            z = model.vq.lookup(codes[..., :groups]).flatten(0, 1)[: len(level)]
            told[groups] = told_by(z, level)
        assert told[model.vq.groups_a] > 0.8
        assert told[model.vq.groups] > told[model.vq.groups_a] - 0.01
        said = model.voc.spectrum(model.vq.lookup(codes), Memory(None))[:, 0].mean()
        frames = batch.target.unfold(1, 960, 480) * model.voc.window
        wanted = torch.fft.rfft(frames, norm="ortho").abs().clamp_min(1e-4).log().mean()
        assert abs(said - wanted) < 1


def told_by(given, wanted):
    """Return the share of the variance of `wanted` that is linear in `given`."""
    given = torch.nn.functional.pad(given, (0, 1), value=1.0)
    best = given @ torch.linalg.lstsq(given, wanted[:, None]).solution
    return float(1 - (wanted[:, None] - best).var() / wanted.var())


def test_a_new_encoder_passes_on_what_it_hears(wide_bank):
    torch.manual_seed(2)
    model = Sublime(SublimeShape(frontend=True).config)
    heard = drawn(wide_bank, clips=16).noisy
    for network in (model.enc, model.fe):
        fit_encoder(model, network, heard)
    with torch.no_grad():
        features, _ = model.mel(heard)
        mean, spread = features.mean((0, 2)), features.std((0, 2))
        scaled = ((features - mean[:, None]) / spread[:, None]).transpose(1, 2)
        for network, least in ((model.enc, 0.97), (model.fe, 0.97)):
            kept = []
            handle = network.norm.register_forward_hook(lambda *a, kept=kept: kept.append(a[2]))
            network(features)
            handle.remove()
            newer = scaled[:, 0 : 2 * kept[0].shape[1] : 2].flatten(0, 1)
            inner = torch.nn.functional.pad(kept[0].flatten(0, 1), (0, 1), value=1.0)
            best = inner @ torch.linalg.lstsq(inner, newer, driver="gelsd").solution
            assert 1 - (newer - best).var() / newer.var() > least
            blocks = [network.get_submodule(str(i)) for i in range(network.blocks)]
            assert not any(block.ff2.weight.any() for block in blocks)  # nothing is added yet


@pytest.mark.parametrize("new", [(), ("voc.norm.weight",), ("fe.0.conv.bias", "fe.norm.weight")])
def test_what_a_model_goes_on_with_is_left_as_it_is(tiny, wide_bank, tmp_path, new):
    text = tiny.replace("[model]", "[model]\nfrontend = true")
    config = load_config(written(tmp_path, text, audio_seconds=1.0))
    recipe = recipe_of(config)
    model = recipe.model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recipe.begin(recipe.objective(model), wide_bank, set(new))
    changed = {n.partition(".")[0] for n, v in model.state_dict().items() if (v != before[n]).any()}
    assert changed == ({"fe"} if "fe.norm.weight" in new else set())


def test_encoder_and_keys_learn_slower(config):
    trainer = Trainer(config)
    slow = {
        id(p) for g in trainer.optimizer.param_groups if g["factor"] == 0.1 for p in g["params"]
    }
    named = trainer.objective.named_parameters()
    names = {name for name, parameter in named if id(parameter) in slow}
    assert "model.vq.key" in names
    assert all(name.startswith(("model.enc.", "model.vq.key")) for name in names)
    assert len(names) == 1 + len(list(trainer.objective.model.enc.parameters()))


def test_the_right_spectrum_has_no_distance(wide_bank):
    target, hop = drawn(wide_bank).target, 480
    window = periodic_window("sqrt_hann_periodic", 2 * hop).float()
    padded = torch.nn.functional.pad(target, (hop, hop))
    right = torch.fft.rfft(padded.unfold(1, 2 * hop, hop) * window, norm="ortho")
    right = right[..., :-1].transpose(1, 2)
    turned = right * torch.exp(1j * torch.rand(right.shape[0], 1, right.shape[2]))
    exact = torch.stack((right.abs().log(), turned.angle()), 1)
    magnitude, delay = own_spectrum(exact, target, window)
    assert magnitude < 1e-5
    assert delay < 1e-2  # where there is nothing to be heard, rounding decides on the phase
    louder, _ = own_spectrum(exact + torch.tensor([0.7, 0.0])[:, None, None], target, window)
    assert 0.3 < louder < 0.7 + 1e-5  # what stays below the floor does not count
    late = torch.arange(hop)[:, None] * 2 * torch.pi * 10 / (2 * hop)
    moved = exact - torch.stack((0 * late, late))
    _, delay = own_spectrum(moved, target, window)
    assert delay == pytest.approx(2 * torch.pi * 10 / (2 * hop), rel=0.2)


def test_delays_count_where_phases_are_heard_as_they_are(config):
    model = Trainer(config).objective.model
    F = model.config.hop_length
    told = (model.voc.phase_offsets == 0).all(0)
    assert 0 < int(told.sum()) < F
    spectrum = torch.randn(1, 2, F, 9, generator=torch.Generator().manual_seed(1))
    other = spectrum.clone()
    other[:, 1, ~told] += torch.randn(1, int((~told).sum()), 9)
    target = 0.1 * torch.randn(1, 8 * F, generator=torch.Generator().manual_seed(2))
    one, two = (own_spectrum(s, target, model.voc.window, told)[1] for s in (spectrum, other))
    assert one == two
    everywhere = own_spectrum(other, target, model.voc.window)[1]
    assert everywhere != own_spectrum(spectrum, target, model.voc.window)[1]


def test_texture_is_how_uneven_levels_are_and_not_where():
    n = 24000
    noise = torch.randn(1, n, generator=torch.Generator().manual_seed(1))
    other = torch.randn(1, n, generator=torch.Generator().manual_seed(2))
    pulses = torch.zeros(1, n)
    pulses[:, ::160] = 1.0  # 150 Hz
    moved = pulses.roll(70, 1)
    texture = Texture()
    assert texture(noise, noise) == 0
    assert texture(0.3 * pulses, pulses) < 0.1  # quieter is no less even
    assert texture(moved, pulses) < 0.2 * texture(noise, pulses)
    assert texture(other, noise) < 0.25 * texture(noise, pulses)
    # The spread of the logarithm of an exponential's root, pi / sqrt(24), is what noise has.
    spread = texture.spread(noise, 512)[:, 6:-6, 4:-4]
    assert spread.mean() == pytest.approx(0.64, rel=0.1)
    smooth = (0.5 * pulses + 0.02 * noise).requires_grad_()
    texture(smooth, pulses).backward()
    assert float(smooth.grad.abs().sum()) > 0


def test_texture_counts_in_runs_that_want_it(config):
    trainer = Trainer(config)
    clips = trainer.draw_clips(1, config.phases[0])
    model, losses = trainer.objective.model, config.loss
    found = []
    for weight in (0.0, 1.0):
        objective = CodecObjective(
            model, replace(losses, texture=weight), floor=0.2, discriminators=None
        )
        with torch.no_grad():
            terms = objective(clips, temperature=0.05)
        found.append({name: float(value) for name, value in terms.items()})
    assert "texture" not in found[0]
    assert found[1]["loss"] == pytest.approx(found[0]["loss"] + found[1]["texture"], rel=1e-5)
    assert found[1]["texture"] > 0


def test_short_windows_can_be_left_out():
    scales = SpectralLosses(RATE, shortest=256).scales
    assert [scale.n_fft for scale in scales] == [256, 512, 1024, 2048]


def test_files_of_a_run_code_speech(finished: Path, wide_bank):
    reference = read_sublime(finished / "voxhop-sublime-f32.gguf")
    sound = drawn(wide_bank, clips=1).target[0].numpy()
    with torch.no_grad():
        scores, _ = reference.scores(torch.from_numpy(sound)[None])
    best, second = scores[0].topk(2).values.unbind(-1)
    clear = (best - second).numpy() > 1e-4
    with voxhop.CodecEncoder(finished / "voxhop-sublime-f32.gguf") as encoder:
        codes = encoder.push(sound)
    assert (codes == scores[0].argmax(-1).numpy())[clear].all()
    data = voxhop.encode(sound, sample_rate=RATE, model=finished / "voxhop-sublime.gguf")
    found, _ = voxhop.decode(data, model=finished / "voxhop-sublime.gguf")
    assert np.abs(found).max() > 1e-3


def test_a_run_goes_on_where_it_stopped(tiny: str, tmp_path: Path):
    def run(folder, *, stop_at=None):
        folder.mkdir(exist_ok=True)
        path = written(folder, tiny + PHASES, audio_seconds=12.0, output=str(folder / "out"))
        trainer = Trainer(load_config(path))
        if stop_at is not None:
            step = trainer._step

            def stopping(share):
                if trainer.progress.step + 1 >= stop_at:
                    trainer._ask_to_stop()
                return step(share)

            trainer._step = stopping
        trainer.run()
        return trainer.objective.state_dict()

    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", stop_at=5)
    again = run(tmp_path / "cut")
    assert whole.keys() == again.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), name


def test_the_card_says_what_it_is(finished: Path, tmp_path: Path):
    line = ["export", str(finished / "best.pt"), "--output", str(tmp_path), "--card"]
    assert main(line) == 0
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "A speech codec of 6 and 1 kbit/s at 24 kHz" in card
    assert "share of codes in use: 0." in card
    assert "mel distance of clean speech at 6 kbit/s: " in card


@pytest.fixture(scope="module")
def second_track(finished: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("second")
    text = tiny.replace("[model]", "[model]\nfrontend = true")
    text += "[[phases]]\nshare = 1.0\nclips = 2\nseconds = 1.0\n"
    path = written(
        folder,
        text,
        audio_seconds=80.0,
        track=2,
        output=str(folder / "out"),
        initial=str(finished / "voxhop-sublime-f32.gguf"),
    )
    return path, load_config(path)


def test_the_front_end_learns_the_codes_of_clean_speech_a_frame_later(second_track):
    trainer = Trainer(second_track[1])
    batch = trainer.draw_clips(0, second_track[1].phases[0])
    model = trainer.objective.model
    with torch.no_grad():
        terms = trainer.objective(batch)
        mel, _ = model.mel(batch.noisy)
        logits, _ = model.fe(mel)
        codes, _ = model.encode(batch.target, part="encoder")
    log_p = logits.view(*codes.shape, 32).log_softmax(-1)[:, 1:]
    said = log_p.gather(-1, codes[:, :-1, :, None].long())
    assert float(terms["loss"]) == pytest.approx(-float(said.mean()), rel=1e-4)
    names = changed(trainer, lambda: trainer._step(0.5))
    assert {name.split(".")[1] for name in names} == {"fe"}


def test_the_second_track_runs_and_its_file_enhances(second_track, wide_bank):
    path, config = second_track
    assert main(["train", str(path)]) == 0
    folder = path.parent / "out"
    records = read_log(folder / "log.jsonl")
    steps = [r for r in records if r["kind"] == "train"]
    assert steps[-1]["loss"] < 0.95 * steps[0]["loss"]
    assert [r for r in records if r["kind"] == "valid"][-1]["right"] > 1 / 32
    with voxhop.CodecEncoder(folder / "voxhop-sublime.gguf", enhance=True) as encoder:
        assert encoder.push(drawn(wide_bank).noisy[0].numpy()).shape == (24, 24)
    assert config.model.config.parts == ("encoder", "frontend", "decoder")


def test_a_configuration_comes_back(config, tmp_path: Path):
    (tmp_path / "again.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "again.toml") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("track = 2", "frontend"),
        ("track = 3", "track"),
        ('precision = "bf16"', "precision: 'bf16', expected 'f32' where nothing is adversarial"),
        ("[annealing]\nlast = 1.0", "annealing"),
        ("[model]\nwidht = 3", "widht"),
    ],
)
def test_bad_configurations(tmp_path: Path, text: str, message: str):
    (tmp_path / "bad.toml").write_text(f'recipe = "sublime"\n{text}')
    with pytest.raises(ArgumentError, match=message):
        load_config(tmp_path / "bad.toml")


def test_the_second_track_needs_a_codec(tmp_path: Path, tiny: str):
    text = tiny.replace("[model]", "[model]\nfrontend = true")
    path = written(tmp_path, text, audio_seconds=1.0, track=2, output=str(tmp_path / "out"))
    with pytest.raises(ArgumentError, match="initial: empty"):
        Trainer(load_config(path))
