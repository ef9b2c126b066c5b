"""Cases on disk, read as a user would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import soundfile
import torch

from voxhop.evaluation.cases import load_cases
from voxhop.training.simulation.cases import CaseConfig, write_cases
from voxhop.training.simulation.conditions import CONDITIONS
from voxhop.training.simulation.simulate import Scenario, simulate
from voxhop.training.sounds.bank import DataConfig

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = CaseConfig(
    far_end=6, double_talk=3, near_end=2, noise=2, reverberation=2, seconds=5.0, rooms=4
)


@pytest.fixture(scope="module")
def cases(corpus_folder: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    data = DataConfig(folder=str(corpus_folder), cache=str(cache))
    return write_cases(data, tmp_path_factory.mktemp("cases"), CONFIG)


def load(case: Path, name: str) -> np.ndarray:
    audio, rate = soundfile.read(case / f"{name}.wav")
    assert rate == 16000
    return audio


def metas(cases: list[Path]) -> list[dict]:
    return [json.loads((case / "meta.json").read_text()) for case in cases]


def test_numbers_and_scenarios(cases: list[Path]) -> None:
    names = [meta["scenario"] for meta in metas(cases)]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    assert counts == {"farend": 6, "doubletalk": 3, "nearend": 2, "noise": 2, "reverb": 2}
    assert [meta["id"] for meta in metas(cases)] == [case.name for case in cases]


def test_every_third_echo_case_changes_and_half_of_these_jump(cases: list[Path]) -> None:
    far = [meta for meta in metas(cases) if meta["scenario"] == "farend"]
    assert [meta["echo_path_change"] for meta in far] == [False, False, True] * 2
    assert far[2]["delay_ms"] != far[2]["last_delay_ms"]
    assert far[5]["delay_ms"] == far[5]["last_delay_ms"]


def test_files_hold_what_their_names_say(cases: list[Path]) -> None:
    for case, meta in zip(cases, metas(cases), strict=True):
        mic, target, near = (load(case, name) for name in ("mic", "target", "nearend"))
        assert len(mic) == len(target) == len(near) == 5 * 16000 // 256 * 256
        assert np.abs(mic).max() > 0.01
        has_near = meta["scenario"] != "farend"
        assert (np.abs(target).max() > 0.003) == has_near
        if meta["scenario"] in ("noise", "reverb"):
            assert not (case / "ref.wav").exists()
        else:
            loud = np.abs(load(case, "ref")).max() > 0.01
            assert loud == (meta["scenario"] != "nearend")
        if has_near:
            ratio = 10 * np.log10(np.sum(near**2) / np.sum((mic - near) ** 2))
            key = "near_to_echo_db" if meta["scenario"] == "doubletalk" else "snr_db"
            assert ratio == pytest.approx(meta[key], abs=0.3)


def test_what_plays_unheard_leaves_the_microphone_as_it_is(
    cases: list[Path], corpus_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The near end beside headphones is the near end with a silent reference, to the bit."""

    def without_headphones(*args, scenario, **options):
        near = torch.where(scenario == Scenario.HEADPHONES, int(Scenario.NEAR_END), scenario)
        return simulate(*args, scenario=near, **options)

    monkeypatch.setattr("voxhop.training.simulation.cases.simulate", without_headphones)
    data = DataConfig(folder=str(corpus_folder), cache=str(cache))
    silent = write_cases(data, tmp_path, CONFIG)
    for case, other, meta in zip(cases, silent, metas(cases), strict=True):
        has_echo = meta["scenario"] in ("farend", "doubletalk")
        assert (case / "unheard.wav").exists() == (not has_echo)
        if not has_echo:
            assert np.abs(load(case, "unheard")).max() > 0.01
            assert not load(other, "unheard").any()
            for name in ("mic", "target", "nearend"):
                assert np.array_equal(load(case, name), load(other, name))


def test_the_delay_of_every_hop_is_where_the_echo_is(cases: list[Path]) -> None:
    """The microphone of a far-end case correlates with the reference most at that delay."""
    for case, meta in zip(cases, metas(cases), strict=True):
        if meta["scenario"] != "farend" or meta["echo_path_change"]:
            continue
        delays = json.loads((case / "delay.json").read_text())
        assert delays["hop_samples"] == 256
        assert len(delays["delay_samples"]) == len(load(case, "mic")) // 256
        (delay,) = {value for value in delays["delay_samples"] if value is not None}
        mic, ref = np.diff(load(case, "mic")), np.diff(load(case, "ref"))
        size = 2 * len(mic)
        cross = np.fft.irfft(np.conj(np.fft.rfft(ref, size)) * np.fft.rfft(mic, size))
        assert abs(int(np.abs(cross[:10000]).argmax()) - delay) < 256


def test_far_end_is_alone_before_double_talk(cases: list[Path]) -> None:
    for case, meta in zip(cases, metas(cases), strict=True):
        if meta["scenario"] == "doubletalk":
            near = load(case, "nearend")
            assert not near[: int(0.45 * 16000)].any()
            assert near[int(3.6 * 16000) :].any()


def test_a_seed_gives_the_same_files_and_another_gives_others(
    cases: list[Path], corpus_folder: Path, cache: Path, tmp_path: Path
) -> None:
    data = DataConfig(folder=str(corpus_folder), cache=str(cache))
    again = write_cases(data, tmp_path / "same", CONFIG)
    for one, two in zip(cases, again, strict=True):
        assert (one / "mic.wav").read_bytes() == (two / "mic.wav").read_bytes()
    few = CaseConfig(
        far_end=1, double_talk=0, near_end=0, noise=0, reverberation=0, seconds=5.0, rooms=4, seed=1
    )
    (other,) = write_cases(data, tmp_path / "other", few)
    assert (other / "mic.wav").read_bytes() != (cases[0] / "mic.wav").read_bytes()


def test_conditions_have_cases_and_rows_of_their_own(
    corpus_folder: Path, cache: Path, tmp_path: Path
) -> None:
    data = DataConfig(folder=str(corpus_folder), cache=str(cache))
    none = {"far_end": 0, "double_talk": 0, "near_end": 0, "noise": 0, "reverberation": 0}
    config = CaseConfig(**none, seconds=1.5, rooms=2, per_condition=1)
    written = write_cases(data, tmp_path, config)
    found = [meta["condition"] for meta in metas(written)]
    # The corpus has neither music nor a keyboard.
    missing = {"media", "singing", "keyboard"}
    assert found == [name for name in CONDITIONS if name not in missing]
    cases = {case.case_id: case for case in load_cases(tmp_path)}
    groups = {meta["condition"]: cases[meta["id"]].groups for meta in metas(written)}
    assert groups["hum"] == ("nearend, hum",)
    assert groups["jitter"] == ("doubletalk, jitter",)
