"""Running systems over cases: alignment, resuming, processes, errors, tables."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from case_sets import RATE, make_set, speech, write_case

from voxhop.errors import ArgumentError, VoxhopError
from voxhop.evaluation import (
    ClipScore,
    Results,
    Settings,
    as_json,
    build,
    evaluate,
    markdown,
    summarise,
)
from voxhop.evaluation.cases import Case
from voxhop.evaluation.plan import SystemRow
from voxhop.evaluation.scoring import MEASURES, late_start
from voxhop.evaluation.summary import Mean, Row, is_best
from voxhop.evaluation.systems import BUILT_IN
from voxhop.evaluation.worst import worst_clips

PLAIN = ("si_sdr", "erle", "blind_erle")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Let worker processes import the systems of case_sets too."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", ":".join([here, *sys.path]))


@pytest.fixture
def cases(tmp_path):
    return make_set(tmp_path / "cases")


def settings(cases, tmp_path, *systems, **options):
    options.setdefault("families", PLAIN)
    return Settings(folder=cases, systems=systems, work=tmp_path / "work", **options)


def scores_of(results, system):
    return {clip.case_id: clip.scores for clip in results.clips if clip.system == system}


@pytest.mark.parametrize("declared", ["true", "false"])
def test_a_late_system_scores_as_if_it_were_not(cases, tmp_path, declared):
    late = f"case_sets:LateCopy,late=300,declared={declared}"
    results = evaluate(settings(cases, tmp_path, "unprocessed", late))
    assert [row.lag_samples for row in results.systems] == [0, 300]
    assert results.systems[1].lag_measured == (declared == "false")
    assert scores_of(results, "late copy") == scores_of(results, "unprocessed")


def test_what_applies_is_scored_and_nothing_else(cases, tmp_path):
    half = "case_sets:LateCopy,gain=0.5,name=half"
    results = evaluate(settings(cases, tmp_path, "unprocessed", half))
    plain, halved = scores_of(results, "unprocessed"), scores_of(results, "half")
    assert set(plain["farend-0"]) == {"erle", "blind_erle"}
    assert set(plain["doubletalk-0"]) == {"si_sdr", "si_sdr_reverberant", "erle", "blind_erle"}
    assert set(plain["noise-0"]) == {"si_sdr", "si_sdr_reverberant"}
    assert plain["farend-0"]["erle"] == 0.0
    assert halved["farend-0"]["erle"] == pytest.approx(6.0206, abs=1e-3)
    assert halved["noise-0"]["si_sdr"] == pytest.approx(plain["noise-0"]["si_sdr"], abs=1e-3)


def test_finished_clips_are_never_done_twice(cases, tmp_path):
    log = tmp_path / "log"

    def run(**options):
        log.write_text("")
        specification = f"case_sets:LateCopy,log={log},late=0"
        return evaluate(settings(cases, tmp_path, specification, **options)), log.read_text()

    first, calls = run()
    assert calls.count("call") == 3
    second, calls = run()
    assert (second, calls) == (first, "")
    _, calls = run(fresh=True)
    assert calls.count("call") == 3
    soundfile.write(cases / "noise-0" / "target.wav", speech(3.0, 50), RATE, subtype="FLOAT")
    _, calls = run()
    assert calls.count("call") == 1


def test_a_damaged_result_is_made_again(cases, tmp_path):
    wanted = settings(cases, tmp_path, "unprocessed")
    before = evaluate(wanted)
    for path in (tmp_path / "work").glob("*.json"):
        path.write_text("{")
    assert scores_of(evaluate(wanted), "unprocessed") == scores_of(before, "unprocessed")


def test_processes_change_nothing(cases, tmp_path):
    systems = ("unprocessed", "case_sets:LateCopy,late=7,gain=0.3")
    alone = as_json(evaluate(settings(cases, tmp_path / "a", *systems)))
    together = as_json(evaluate(settings(cases, tmp_path / "b", *systems, jobs=2)))
    assert alone["clips"] == together["clips"]
    assert alone["means"] == together["means"]


def test_an_interrupted_run_goes_on_where_it_stopped(cases, tmp_path):
    log = tmp_path / "log"
    wanted = settings(cases, tmp_path, f"case_sets:LateCopy,log={log}")

    def stop_after_two(done, _total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(wanted, progress=stop_after_two)
    assert log.read_text().count("call") == 2
    evaluate(wanted)
    assert log.read_text().count("call") == 3


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "raises: doubletalk-0: out of luck"),
        ("short", r"short: doubletalk-0: output \(47999,\), expected \(48000,\)"),
        ("nan", "doubletalk-0: the output holds samples that are not finite"),
    ],
)
def test_a_broken_system_is_named_with_the_case(cases, tmp_path, how, message):
    with pytest.raises(VoxhopError, match=message):
        evaluate(settings(cases, tmp_path, f"case_sets:Broken,how={how}"))


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("nothing", f"not one of {', '.join(BUILT_IN)}, nor module:factory"),
        ("unprocessed,loud", "'loud', expected key=value"),
        ("unprocessed,loud=1", "loud"),
        ("no_such_module:x", "no_such_module"),
        ("case_sets:Missing", "Missing"),
        ("case_sets:nothing", "has no 'name'"),
    ],
)
def test_a_wrong_specification_is_explained(specification, message):
    with pytest.raises(ArgumentError, match=message):
        build(specification)


def test_options_are_read_as_what_they_look_like():
    system = build("case_sets:LateCopy,late=12,declared=false,gain=0.25,label=mine too")
    assert system.name == "mine too"
    assert system.delay_samples is None
    out = system.process(np.ones(20, np.float32), None, RATE)
    assert out.tolist() == [0.0] * 12 + [0.25] * 8


def test_two_rows_of_one_name_are_refused(cases, tmp_path):
    with pytest.raises(ArgumentError, match="two systems are called 'unprocessed'"):
        evaluate(settings(cases, tmp_path, "unprocessed", "case_sets:LateCopy,name=unprocessed"))


def test_a_set_without_clean_speech_cannot_tell_a_lag(tmp_path):
    write_case(tmp_path / "cases", "x", "nearend", {"mic": speech(1.0, 1)})
    with pytest.raises(ArgumentError, match="no clean speech"):
        evaluate(settings(tmp_path / "cases", tmp_path, "case_sets:LateCopy,declared=false"))


def row(system, group, **means):
    return Row(system, group, 1, {key: Mean(value, 0.0, 1) for key, value in means.items()})


@pytest.mark.parametrize(
    ("group", "key", "values", "best"),
    [
        ("noise", "dnsmos_ovrl", (1.0, 2.0, 1.5), [False, True, False]),
        ("noise", "dnsmos_ovrl", (1.0, 1.999, 2.001), [False, True, True]),
        ("noise", "dnsmos_ovrl", (2.0, 2.0, 2.0), [False, False, False]),
        ("farend, path change", "dnsmos_ovrl", (1.0, 2.0, 1.5), [False, False, False]),
        ("farend", "aecmos_echo", (1.0, 2.0, 1.5), [False, True, False]),
    ],
)
def test_the_best_of_a_column(group, key, values, best):
    rows = [row(str(i), group, **{key: value}) for i, value in enumerate(values)]
    measure = next(measure for measure in MEASURES if measure.key == key)
    assert [is_best(r, rows, measure) for r in rows] == best


def test_the_worst_clip_of_every_scenario_comes_first():
    """Noisy clips, whose scores are low anyhow, would crowd out double talk."""
    scores = [
        ("noise-1", "noise", {"dnsmos_ovrl": 1.1}),
        ("noise-2", "noise", {"dnsmos_ovrl": 1.0}),
        ("farend-1", "farend", {"aecmos_echo": 3.0, "dnsmos_ovrl": 0.5}),
        ("talk-1", "doubletalk", {"aecmos_echo": 4.0, "aecmos_deg": 2.5}),
        ("talk-2", "doubletalk", {"aecmos_echo": 2.6, "aecmos_deg": 4.0}),
        ("near-1", "nearend", {"aecmos_deg": 2.0}),
    ]
    clips = tuple(ClipScore("x", case, kind, (kind,), found, 0.0) for case, kind, found in scores)
    row = SystemRow("x", "x", 0, lag_measured=False, fingerprint="x")
    results = Results("whole", (), {}, (row,), (), clips)
    worst = worst_clips(results, "x", 5)
    assert worst == [
        ("talk-1", "aecmos_deg", 2.5),
        ("farend-1", "aecmos_echo", 3.0),
        ("near-1", "aecmos_deg", 2.0),
        ("noise-2", "dnsmos_ovrl", 1.0),
        ("talk-2", "aecmos_echo", 2.6),
    ]
    with pytest.raises(ArgumentError, match="no system 'y' in the results; there are: x"):
        worst_clips(results, "y", 5)


def test_a_missing_scoring_package_is_named_before_anything_runs(cases, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "speechmos", None)
    with pytest.raises(ArgumentError, match=r"speechmos .* pip install 'voxhop\[eval\]'"):
        evaluate(settings(cases, tmp_path, "unprocessed", families=("aecmos",)))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("talk", "seconds", "rate_from_s", "challenge", "expected_s"),
    [
        ("farend", 10, 0.0, False, 0.0),
        ("farend", 10, 0.0, True, 5.0),
        ("farend", 10, 3.0, True, 3.0),
        ("doubletalk", 30, 0.0, True, 22.5),
        ("doubletalk", 10, 0.0, True, 0.0),
        ("nearend", 30, 0.0, True, 0.0),
        ("noise", 10, 2.0, False, 2.0),
    ],
)
def test_the_rated_part(talk, seconds, rate_from_s, challenge, expected_s):
    case = Case("x", talk, Path("x"), rate_from_s=rate_from_s)
    assert late_start(case, seconds * RATE, challenge=challenge) == expected_s * RATE


def test_the_tables_hold_the_means(tmp_path):
    cases = make_set(tmp_path / "cases")
    far, quiet = speech(3.0, 1), 1e-5 * speech(3.0, 1)  # below the floor: its own ERLE
    write_case(cases, "farend-1", "farend", {"mic": quiet, "ref": far}, delay_ms=400.0)
    half = "case_sets:LateCopy,gain=0.5,name=half"
    results = evaluate(settings(cases, tmp_path, "unprocessed", half))
    rows = {(row.system, row.group): row for row in summarise(results)}
    clips = scores_of(results, "half")
    both = rows["half", "farend"]
    assert both.count == 2
    assert clips["farend-0"]["erle"] == pytest.approx(6.0206, abs=1e-3)
    assert clips["farend-1"]["erle"] == 0.0
    assert both.means["erle"].mean == pytest.approx(6.0206 / 2, abs=1e-3)
    assert rows["half", "farend, delay >= 240 ms"].means["erle"].count == 1
    lines = markdown(results).splitlines()
    start = lines.index("## farend (2 clips)")
    assert lines[start + 4 : start + 6] == [
        "| unprocessed | 0.0 | 0.0 |",
        "| half | **3.0** | **3.0** |",
    ]
