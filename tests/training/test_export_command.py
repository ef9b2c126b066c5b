"""Model files of a run that is not over, and their card."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")

import voxhop
from voxhop.cli import main
from voxhop.training.config import load_config, to_toml
from voxhop.training.release.card import CardNotes
from voxhop.training.release.publish import publish_with_card
from voxhop.training.run.loop import Trainer
from voxhop.training.run.start import read_weights
from voxhop.training.state import read_log

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tiny_toml: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after two steps and its first validation, like one that goes on."""
    folder = tmp_path_factory.mktemp("run")
    toml = folder / "run.toml"
    toml.write_text(f'output = "{folder}"\nname = "tiny"\naudio_seconds = 4.0\n{tiny_toml}')
    trainer = Trainer(load_config(toml))
    trainer._referee.anchors(trainer._emit)
    trainer._look()
    for _ in range(2):
        trainer._emit({"kind": "train", **trainer._step(0.0), "rate": 1e-3})
    trainer.save()
    return folder


@pytest.mark.parametrize("checkpoint", ["best.pt", "last.pt"])
def test_a_checkpoint_becomes_a_model_with_its_weights(
    run: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(run / checkpoint), "--output", str(tmp_path / "new"), "--json"]
    assert main(arguments) == 0
    files = json.loads(capsys.readouterr().out)
    assert files["model"] == str(tmp_path / "new" / "tiny.gguf")
    with voxhop.load(files["model"]) as model:
        assert model.info.name == "tiny"
        assert model.metadata["general.license"] == "apache-2.0"
        assert {t.type for t in model.tensors if len(t.shape) == 4} == {"f16"}
    one, two = read_weights(run / checkpoint), read_weights(tmp_path / "new" / "tiny-f32.gguf")
    for name in ("align.conv.1.weight", "dec1.deconv.conv.weight"):
        assert torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-7), name
    name = "dec1.deconv.conv.weight"
    both = [read_weights(run / f"{kind}.pt")[name] for kind in ("best", "last")]
    assert not torch.equal(*both)  # two steps lie between them


def test_files_lie_beside_the_checkpoint_under_the_name_that_is_asked_for(run: Path) -> None:
    assert main(["export", str(run / "best.pt"), "--name", "other", "--card"]) == 0
    with voxhop.load(run / "other.gguf") as model:
        card = (run / "MODEL_CARD.md").read_text()
        assert model.info.name == "other"
        assert model.metadata["voxhop.model_card"] == card
        assert f"{model.info.macs_per_hop / 1e6:.1f} million multiply-accumulates" in card
    assert card.startswith("# other\n")
    assert "**Audio seen:** 0 s (0.0 h) of simulated clips, raw weights, from random" in card


def test_a_card_of_the_last_weights_has_their_figures(run: Path, tmp_path: Path) -> None:
    publish_with_card(run / "last.pt", tmp_path)
    card = (tmp_path / "MODEL_CARD.md").read_text()
    last = [r for r in read_log(run / "log.jsonl") if r["kind"] == "valid"][-1]
    assert last["weights"] == "ema"
    seen = torch.load(run / "last.pt", weights_only=True)["progress"]["audio_seconds"]
    assert seen > 0
    assert f"**Audio seen:** {seen:,.0f} s" in card
    assert "averaged weights, from random" in card
    assert "the averaged weights at its end" in card
    assert f"* far-end suppression: {last['fe_suppression']:.1f} dB\n" in card


def test_a_card_has_the_latest_figures_of_averaged_weights(run: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    shutil.copy(run / "last.pt", later)
    first = [r for r in read_log(run / "log.jsonl") if r["kind"] == "valid"][-1]
    records = [first, {**first, "fe_suppression": 77.7}, {**first, "weights": "raw"}]
    (later / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    publish_with_card(later / "last.pt", later)
    assert "* far-end suppression: 77.7 dB\n" in (later / "MODEL_CARD.md").read_text()


def test_the_card_tells_what_is_known(run: Path, tmp_path: Path) -> None:
    figures = torch.load(run / "best.pt", weights_only=True)["figures"]
    means = [
        {"system": "unprocessed", "group": "noise", "means": {"pesq": {"mean": 1.404}}},
        {"system": "tiny", "group": "noise", "means": {"pesq": {"mean": 1.9951}}},
    ]
    results = {"means": means, "clips": [{"case": "a"}, {"case": "a"}, {"case": "b"}]}
    notes = CardNotes("Two tones.", ["Tones only.", "No words."], "Made before.")
    publish_with_card(run / "best.pt", tmp_path, notes=notes, results=results)
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert f"* far-end suppression: {figures['fe_suppression']:.1f} dB\n" in card
    assert "`voxhop eval`, 2 cases" in card
    assert "| noise, PESQ | 1.40 | 2.00 |" in card
    assert "SI-SDR dB" not in card
    assert "* **Recordings:** Two tones.\n* **History:** Made before.\n" in card
    assert "comfort noise" not in card
    assert card.endswith("## Limits\n\n* Tones only.\n* No words.\n")


def test_one_command_puts_a_run_into_the_package(run: Path, tmp_path: Path) -> None:
    weights = tmp_path / "src" / "voxhop" / "weights"
    weights.mkdir(parents=True)
    command = [sys.executable, str(ROOT / "tools" / "release_model.py"), str(run / "best.pt")]
    told = ["--name", "mine", "--limit", "Hums."]
    subprocess.run([*command, "--root", str(tmp_path), *told], check=True)
    folder = tmp_path / "models" / "mine"
    kept = {"MODEL_CARD.md", "config.toml", "curves.png", "log.jsonl", "mine-f32.gguf"}
    assert {path.name for path in folder.iterdir()} == kept
    with voxhop.load(weights / "mine.gguf") as model:
        assert model.metadata["voxhop.model_card"] == (folder / "MODEL_CARD.md").read_text()
    assert "## Limits\n\n* Hums.\n* " in (folder / "MODEL_CARD.md").read_text()
    config, own = load_config(folder / "config.toml"), load_config(run / "run.toml")
    assert config.data.folder == "data"
    assert config == replace(own, name="mine", output="runs/mine", data=config.data)
    for path in folder.glob("*.*[lmd]"):
        assert str(run) not in path.read_text(), path
    assert len(read_log(folder / "log.jsonl")) == len(read_log(run / "log.jsonl"))


def test_weights_that_nobody_should_use_yet_stay_out_of_the_package(
    run: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "tools" / "release_model.py"), str(run / "best.pt")]
    subprocess.run([*command, "--root", str(tmp_path), "--kept-apart"], check=True)
    assert not (tmp_path / "src").exists()
    (kept,) = (tmp_path / "models").rglob("*.gguf")
    assert kept.name.endswith("-f32.gguf")
    assert "it is in no package" in kept.with_name("MODEL_CARD.md").read_text()


def test_what_is_kept_of_a_post_filter_names_no_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    kept_config = importlib.import_module("release_model").kept_config
    path = tmp_path / "run.toml"
    path.write_text(
        'recipe = "streamfm"\ninitial = "/mine/last.pt"\n[model]\ntask = "codec_pf"\n'
        '[damage]\ncodec = "/mine/voxhop-sublime-f32.gguf"\n'
    )
    kept = kept_config(load_config(path), "filter")
    assert kept.damage.codec == "models/voxhop-sublime/voxhop-sublime-f32.gguf"
    assert (ROOT / kept.damage.codec).exists()
    assert "/mine" not in to_toml(kept)


def test_mistakes_are_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.pt").write_text("no checkpoint")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "plain.pt")
    cases = [
        ([str(tmp_path / "none.pt")], 2, "none.pt: no such file"),
        ([str(tmp_path / "text.pt")], 1, "text.pt: not a readable checkpoint"),
        ([str(tmp_path / "plain.pt")], 2, "holds no configuration, expected a best.pt or last.pt"),
        ([str(run / "best.pt"), "--name", "a/b"], 2, "--name 'a/b': a path, expected a name"),
    ]
    for arguments, code, message in cases:
        assert main(["export", *arguments]) == code
        assert message in capsys.readouterr().err
