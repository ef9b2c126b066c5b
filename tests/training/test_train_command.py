"""``voxhop train`` from the outside, and the files it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
pytest.importorskip("gguf", reason="training needs the [train] extra")
pytest.importorskip("matplotlib", reason="training needs the [train] extra")
import torch

from voxhop.cli import main
from voxhop.errors import ArgumentError
from voxhop.export import read_gguf
from voxhop.training.release.plots import plot_curves
from voxhop.training.run.loop import LOG
from voxhop.training.run.start import TEMPERATURE, load_model, read_weights
from voxhop.training.state import read_log


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_toml: str) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.toml").write_text(
        f'output = "{folder / "other"}"\nminutes = 0.0\naudio_seconds = 60.0\n{tiny_toml}'
    )
    assert main(["train", str(folder / "run.toml"), "--output", str(folder / "out")]) == 0
    return folder


def test_options_overrule_the_file(finished: Path) -> None:
    assert not (finished / "other").exists()
    assert (finished / "out" / LOG).exists()


def test_model_files_compute_what_was_trained(finished: Path) -> None:
    trained = load_model(finished / "out" / "best.pt")
    generator = torch.Generator().manual_seed(1)
    mic = 0.1 * torch.randn(1, 8192, generator=generator)
    ref = 0.1 * torch.randn(1, 8192, generator=generator)
    with torch.no_grad():
        wanted = trained(mic, ref)[0].audio
        for name, limit in (("voxhop-localvqe-f32", 1e-9), ("voxhop-localvqe", 1e-4)):
            got = read_gguf(finished / "out" / f"{name}.gguf")(mic, ref)[0].audio
            error = float((got - wanted).square().sum() / wanted.square().sum())
            assert error < limit, name


def test_exported_weights_come_back_as_trained(finished: Path) -> None:
    one = read_weights(finished / "out" / "best.pt")
    two = read_weights(finished / "out" / "voxhop-localvqe-f32.gguf")
    assert float(two["align.temperature"]) == pytest.approx(TEMPERATURE)
    for name in ("align.conv.1.weight", "align.conv.1.bias", "dec1.deconv.conv.weight"):
        assert torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-7), name


def test_a_running_checkpoint_gives_its_averaged_weights(finished: Path) -> None:
    content = torch.load(finished / "out" / "last.pt", weights_only=True)
    weights = read_weights(finished / "out" / "last.pt")
    name = "dec1.deconv.conv.weight"
    assert torch.equal(weights[name], content["average"][f"model.{name}"])
    assert not torch.equal(weights[name], content["objective"][f"model.{name}"])
    assert set(weights) == set(read_weights(finished / "out" / "best.pt"))


def test_log_tells_speed_eta_and_anchors(finished: Path) -> None:
    records = read_log(finished / "out" / LOG)
    kinds = [record["kind"] for record in records]
    assert kinds.count("anchor") == 4
    assert kinds.count("valid") >= 4
    last = [record for record in records if record["kind"] == "train"][-1]
    assert last["eta_s"] >= 0
    terms = {"spectral": 1.0, "log": 0.002, "delay": 0.1, "si_sdr": 0.002, "deep": 1.0}
    weighted = sum(weight * last[name] for name, weight in terms.items())
    assert last["loss"] == pytest.approx(weighted, rel=1e-4)


def test_curves_are_a_picture_of_the_log(finished: Path, tmp_path: Path) -> None:
    assert (finished / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"kind": "start", "step": 0}) + "\n")
    with pytest.raises(ArgumentError, match="no training step"):
        plot_curves(log, tmp_path / "c.png")


def test_cases_are_written_without_training(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(finished / "run.toml"), "--cases", str(tmp_path / "cases")]
    assert main([*arguments, "--seed", "4", "--json"]) == 0
    folders = json.loads(capsys.readouterr().out)["cases"]
    assert len(folders) == 60
    assert {json.loads((Path(f) / "meta.json").read_text())["seed"] for f in folders} == {4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no configuration file and no --data"),
        (["absent.toml"], "absent.toml"),
        (["--data", "absent"], "absent: not a folder"),
    ],
)
def test_mistakes_end_with_a_line_on_stderr(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err
