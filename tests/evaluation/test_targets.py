"""The quality page: what must be reached, and whether it is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from voxhop.evaluation import Results
from voxhop.evaluation.plan import SystemRow
from voxhop.evaluation.runner import ClipScore

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SHORT, LONG = "farend, delay < 240 ms", "farend, delay >= 240 ms"
DELAYS = {"delay_right_1s": 95.0, "delay_right_03s": 90.0}
# Exactly what must be reached, no more.
JUST = {
    ("unprocessed", "doubletalk"): {"si_sdr": -2.0},
    ("unprocessed", "nearend"): {"aecmos_deg": 2.5},
    ("unprocessed", "noise"): {"dnsmos_ovrl": 1.25, "pesq": 1.25},
    ("unprocessed", "reverb"): {"dnsmos_ovrl": 2.0},
    ("m", SHORT): {
        "aecmos_echo": 4.4,
        "erle": 26.0,
        "delay_right_1s": 95.0,
        "delay_right_03s": 90.0,
    },
    ("m", LONG): {
        "aecmos_echo": 4.4,
        "erle": 23.0,
        "delay_right_1s": 95.0,
        "delay_right_03s": 90.0,
    },
    ("m (no comfort noise)", SHORT): {"erle": 46.0},
    ("m", "doubletalk"): {
        "aecmos_echo": 4.35,
        "aecmos_deg": 3.2,
        "estoi": 0.66,
        "pesq": 1.7,
        "si_sdr": 7.5,
    },
    ("m", "nearend"): {"aecmos_deg": 3.23, "dnsmos_ovrl": 3.0},
    ("m", "noise"): {"dnsmos_ovrl": 2.5, "pesq": 1.75},
    ("m", "reverb"): {"dnsmos_ovrl": 2.81},
    ("m (no reference)", "nearend"): {"dnsmos_ovrl": 3.04},
    ("m (no reference)", "noise"): {"dnsmos_ovrl": 2.0},
    ("m (no reference)", "reverb"): {"dnsmos_ovrl": 2.4},
    ("m (unheard reference)", "nearend"): {"dnsmos_ovrl": 3.0},
    ("m (unheard reference)", "noise"): {"dnsmos_ovrl": 2.04},
    ("m (unheard reference)", "reverb"): {"dnsmos_ovrl": 2.4},
    ("s", "doubletalk"): {"aecmos_echo": 4.16, "aecmos_deg": 3.3, "si_sdr": -9.0},
    ("s", "noise"): {"pesq": 1.7},
    ("s", SHORT): {"dnsmos_ovrl": 1.0, "aecmos_echo": 4.4},
}


@pytest.fixture
def targets(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("parts.targets")


def results(changes=None):
    scores = {key: dict(value) for key, value in JUST.items()}
    for (system, group, measure), value in (changes or {}).items():
        scores[system, group][measure] = value
    clips = []
    for (system, group), found in scores.items():
        scenario = group.split(",")[0]
        for key in ("delay_right_1s", "delay_right_03s"):
            if key in found:
                found[f"{key}_hops"] = 100.0
        clips.append(ClipScore(system, group, scenario, tuple({scenario, group}), found, 0.0))
    names = dict.fromkeys(system for system, _ in scores)
    rows = tuple(SystemRow(name, name, 0, lag_measured=False, fingerprint="") for name in names)
    return Results("whole", (), {}, rows, (), tuple(clips))


def missed(found):
    return [target.what for target in found if target.must_met is False]


def test_what_is_just_reached_is_met(targets):
    found = targets.model_targets(targets.Means(results()), "m", None)
    assert missed(found) == []
    unknown = [target.what for target in found if target.must_met is None]
    assert unknown == ["real recordings of double talk: AECMOS echo and degradation, DNSMOS OVRL"]
    assert [target.what for target in found if target.goal_met] == []
    assert len(found) == 13


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({("m", SHORT, "aecmos_echo"): 4.38}, "far-end single talk: AECMOS echo"),
        ({("m (no comfort noise)", SHORT, "erle"): 45.9}, "far-end single talk: ERLE without"),
        ({("m", "doubletalk", "aecmos_deg"): 3.19}, "double talk: AECMOS echo and degradation"),
        ({("m", "doubletalk", "aecmos_echo"): 4.34}, "double talk: AECMOS echo and degradation"),
        ({("m", "doubletalk", "estoi"): 0.65}, "double talk: ESTOI and PESQ"),
        ({("m", "doubletalk", "pesq"): 1.69}, "double talk: ESTOI and PESQ"),
        ({("m", "doubletalk", "si_sdr"): 7.4}, "double talk: SI-SDR over unprocessed"),
        ({("m", LONG, "erle"): 22.9}, "far-end ERLE, delay below / from 240 ms"),
        ({("m", "nearend", "aecmos_deg"): 3.22}, "near-end single talk: degradation"),
        ({("m", "noise", "dnsmos_ovrl"): 2.49}, "noise: DNSMOS OVRL over unprocessed"),
        ({("m", "noise", "pesq"): 1.74}, "noise: PESQ over unprocessed"),
        ({("m", "reverb", "dnsmos_ovrl"): 2.8}, "reverberation: DNSMOS OVRL over unprocessed"),
        ({("m (no reference)", "reverb", "dnsmos_ovrl"): 2.46}, "no reference against"),
        ({("m (no reference)", "noise", "dnsmos_ovrl"): 1.98}, "no reference against"),
        ({("m", LONG, "delay_right_1s"): 94.9}, "delay within one bin"),
    ],
)
def test_a_little_less_is_missed_and_nothing_else_is(targets, changes, what):
    (name,) = missed(targets.model_targets(targets.Means(results(changes)), "m", None))
    assert name.startswith(what)


def test_what_was_not_measured_is_neither_met_nor_missed(targets):
    changes = {("m", "doubletalk", "si_sdr"): None}
    found = targets.model_targets(targets.Means(results(changes)), "m", None)
    (row,) = [target for target in found if target.what.startswith("double talk: SI-SDR")]
    assert row.must_met is None
    assert "not measured" in targets.target_table([row])


def test_real_recordings_are_judged_on_their_own(targets):
    found = {"aecmos_echo": 4.3, "aecmos_deg": 4.0}
    for ovrl, reached in ((2.95, True), (2.94, False)):
        scores = {**found, "dnsmos_ovrl": ovrl}
        changes = {("m", "doubletalk", key): value for key, value in scores.items()}
        real = targets.Means(results(changes))
        row = targets.model_targets(targets.Means(results()), "m", real)[11]
        assert row.found == f"4.30, 4.00 and {ovrl:.2f}"
        assert (row.must_met, row.goal_met) == (reached, False)


def test_the_small_model_is_held_to_its_worst_fall(targets):
    """0.19 in double talk; far-end DNSMOS, which praises echo, and SI-SDR do not count."""
    cost, quality = targets.small_targets(targets.Means(results()), "m", "s", 0.25)
    assert (cost.must_met, quality.must_met) == (True, True)
    assert quality.found == "at most 0.19 (doubletalk, aecmos_echo)"
    worse = results({("s", "noise", "pesq"): 1.54})
    cost, quality = targets.small_targets(targets.Means(worse), "m", "s", 0.251)
    assert (cost.must_met, quality.must_met) == (False, False)
    assert quality.found == "at most 0.21 (noise, pesq)"


@pytest.mark.parametrize("name", ["quality.py", "compression_study.py"])
def test_the_programs_of_the_pages_start(name):
    pytest.importorskip("gguf", reason="extra [torch]")
    command = [sys.executable, str(BENCHMARKS / name), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--write" in done.stdout


def test_a_page_keeps_the_notes_of_people(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    keep_notes = importlib.import_module("parts.kept_page").keep_notes
    page = tmp_path / "page.md"
    page.write_text("# Old\n\nOld.\n\n## Notes\n\nMine.\n\nStill mine.\n\n## Rest\n\nOld.\n")
    new = keep_notes(page, "# New\n\nNew.\n\n## Targets\n\nRows.\n\n## Rest\n\nNew.\n")
    notes = "## Notes\n\nMine.\n\nStill mine.\n\n"
    assert new == f"# New\n\nNew.\n\n{notes}## Targets\n\nRows.\n\n## Rest\n\nNew.\n"
    page.write_text(new)
    assert keep_notes(page, "# A\n\n## B\n") == f"# A\n\n{notes}## B\n"
    assert keep_notes(tmp_path / "none.md", "# A\n") == "# A\n"
