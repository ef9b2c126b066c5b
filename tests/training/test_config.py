"""Configuration files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")

from voxhop.errors import ArgumentError
from voxhop.training.config import Phase, TrainingConfig, from_table, load_config, to_table, to_toml

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*(ROOT / "configs").glob("*.toml"), *(ROOT / "models").glob("*/config.toml")])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_files_load_and_survive_a_round_trip(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    assert from_table(TrainingConfig, to_table(config), where="copy") == config
    copy = tmp_path / "copy.toml"
    copy.write_text(to_toml(config))
    assert load_config(copy) == config


def test_a_model_of_few_words_keeps_the_recipes_defaults(tmp_path: Path) -> None:
    """What a run does not say of its model is the recipe's, whatever else it says."""
    path = tmp_path / "run.toml"
    path.write_text('recipe = "seflow"\n[model]\ntime_window = 63\n')
    model = load_config(path).model
    assert (model.depth, model.n_heads, model.head_dim, model.time_window) == (6, 4, 16, 63)
    assert model.encoder_rms_eps == 400.0
    assert model == replace(load_config(ROOT / "configs" / "seflow.toml").model, time_window=63)
    path.write_text('recipe = "seflow"\nrates = [8000]\n[model]\nsample_rates = [8000]\n')
    assert load_config(path).model.n_bands == 22


def test_there_are_shipped_files() -> None:
    assert SHIPPED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minuts = 3", "unknown key 'minuts'"),
        ("[loss]\ndeeep = 1.0", "loss: unknown key 'deeep'"),
        ('minutes = "long"', "minutes: 'long', expected float"),
        ("seed = true", "seed: True, expected int"),
        ('precision = "f8"', "precision: 'f8', expected one of"),
        ("data = 3", "data: 3, expected a table"),
        ("[optimizer]\nbetas = [0.9]", "betas: 1 values, expected 2"),
        ("[model]\nd_max = 0", "d_max"),
        ("minutes = 0", "expected a budget"),
        ("[[phases]]\nshare = 0.4", "shares sum to 0.4"),
        ("x = [", "x.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError) as caught:
        load_config(path)
    assert message in str(caught.value)


def test_phases_follow_the_budget() -> None:
    short, long = Phase(share=0.25, clips=4), Phase(share=0.75, seconds=4.0)
    config = TrainingConfig(phases=(short, long))
    assert config.phase_at(0.0) == config.phase_at(0.2499) == short
    assert config.phase_at(0.25) == config.phase_at(1.0) == long
