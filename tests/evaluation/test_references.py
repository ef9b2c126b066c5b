"""Which reference a system is given, and the rows without one."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from case_sets import RATE, make_set, speech, write_case

import voxhop
from voxhop.errors import ArgumentError
from voxhop.evaluation import Settings, build, evaluate, load_cases, load_clip, summarise
from voxhop.evaluation.runner import run_aligned

NEAR, FAR = speech(2.0, 2), speech(2.0, 1)


class Louder:
    """The reference, or twice the microphone where there is none."""

    def __init__(self) -> None:
        self.name, self.delay_samples, self.fingerprint = "louder", 0, "louder"

    def process(self, mic, ref, sample_rate):
        del sample_rate
        return 2 * mic if ref is None else ref.copy()


@pytest.fixture
def cases(tmp_path):
    """A double-talk case, and a noisy one with a far end that is not heard."""
    folder = make_set(tmp_path / "cases", seconds=2.0, scenarios=("doubletalk",))
    signals = {"mic": NEAR, "target": NEAR, "unheard": FAR}
    write_case(folder, "noise-9", "noise", signals)
    return folder


def through(reference, case):
    return run_aligned(build(f"{__name__}:Louder,ref={reference}"), 0, case)[0]


def test_each_reference_is_what_its_name_says(cases):
    talk, noise = load_cases(cases)
    clip = load_clip(talk)
    assert np.array_equal(through("given", talk), clip.ref)
    assert np.array_equal(through("given", noise), 2 * NEAR)  # that case has none
    assert np.array_equal(through("none", talk), 2 * clip.mic)
    assert not through("silent", talk).any()
    assert not through("silent", noise).any()
    assert np.array_equal(through("unheard", noise), FAR)


def test_no_reference_is_a_silent_one_to_the_engine_and_not_the_given_one(cases):
    talk = load_cases(cases)[0]
    given, none, silent = (
        run_aligned(build(f"voxhop,ref={ref}"), 256, talk)[0] for ref in ("given", "none", "silent")
    )
    assert np.array_equal(none, silent)
    assert np.abs(given - none).max() > 1e-3


def test_names_and_fingerprints_tell_references_apart():
    systems = [build(f"voxhop,ref={ref}") for ref in ("given", "none", "silent", "unheard")]
    assert [system.name for system in systems] == [
        voxhop.DEFAULT_MODEL,
        f"{voxhop.DEFAULT_MODEL} (no reference)",
        f"{voxhop.DEFAULT_MODEL} (silent reference)",
        f"{voxhop.DEFAULT_MODEL} (unheard reference)",
    ]
    assert len({system.fingerprint for system in systems}) == 4
    assert build("voxhop,ref=none,label=mine").name == "mine (no reference)"
    with pytest.raises(ArgumentError, match="ref 'mine', expected one of given, none, silent"):
        build("voxhop,ref=mine")


def run(cases, tmp_path, *systems, **options):
    settings = Settings(
        folder=cases,
        systems=systems,
        work=tmp_path / "work",
        families=("si_sdr", "erle"),
        **options,
    )
    return evaluate(settings)


def test_without_ref_adds_rows_for_models_only(cases, tmp_path):
    results = run(cases, tmp_path, "unprocessed", "voxhop", without_ref=True)
    none, unheard = (f"{voxhop.DEFAULT_MODEL} ({kind} reference)" for kind in ("no", "unheard"))
    assert [row.name for row in results.systems] == [
        "unprocessed",
        voxhop.DEFAULT_MODEL,
        none,
        unheard,
    ]
    rows = {(row.system, row.group) for row in summarise(results)}
    assert (none, "doubletalk") in rows
    assert (none, "noise") in rows
    assert (unheard, "noise") in rows
    assert (unheard, "doubletalk") not in rows  # somebody else plays there already
    assert len(results.clips) == 2 + 2 + 2 + 1


def test_without_an_unheard_far_end_there_is_no_row_for_it(tmp_path):
    cases = make_set(tmp_path / "cases", seconds=1.0, scenarios=("noise",))
    results = run(cases, tmp_path, "voxhop", without_ref=True)
    assert [row.name for row in results.systems] == [
        voxhop.DEFAULT_MODEL,
        f"{voxhop.DEFAULT_MODEL} (no reference)",
    ]
    with pytest.raises(ArgumentError, match=r"voxhop,ref=unheard.*no case has an unheard\.wav"):
        run(cases, tmp_path, "voxhop,ref=unheard")


def test_the_unheard_far_end_belongs_to_the_identity_of_a_case(cases):
    before = load_cases(cases)[1]
    digest = before.digest()
    soundfile.write(before.unheard, NEAR, RATE, subtype="FLOAT")
    assert load_cases(cases)[1].digest() != digest
