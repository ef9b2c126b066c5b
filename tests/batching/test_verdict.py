"""Which results are doubtful."""

import dataclasses
import math
from pathlib import Path

import pytest

import voxhop
from recordings import MODEL
from voxhop.batching.verdict import flags_of


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("verdict") / "out.wav"
    demo = Path(voxhop.__file__).parent / "demo"
    return voxhop.enhance_file(demo / "mic.flac", out, ref=demo / "ref.flac", model=MODEL)


def test_a_good_result_has_no_flags(report):
    assert report.ref_active_s > 3
    assert flags_of(report) == ()


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"level_out_dbfs": -10.0, "level_in_dbfs": -11.5}, "louder"),
        ({"ref_active_s": 2.1, "level_in_dbfs": -60, "level_out_dbfs": -111}, "nothing_left"),
        ({"ref_active_s": 2.1, "level_out_dbfs": -math.inf}, "nothing_left"),
        ({"ref_active_reduction_db": 0.4}, "echo_not_reduced"),
        ({"ref_active_s": 0.0, "ref_active_reduction_db": None}, "reference_silent"),
    ],
)
def test_each_doubt_has_its_flag(report, change, flag):
    assert flags_of(dataclasses.replace(report, **change)) == (flag,)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"failed_hops": 1}, "failed_hops"),
        ({"ref_unrelated": True}, "reference_unrelated"),
        ({"not_helping": True}, "not_helping"),
    ],
)
def test_each_doubt_of_a_stream_has_its_flag(report, change, flag):
    sides = (report.sides[0], dataclasses.replace(report.sides[0], **change))
    assert flags_of(dataclasses.replace(report, sides=sides)) == (flag,)


@pytest.mark.parametrize(
    "change",
    [
        {"level_out_dbfs": -10.0, "level_in_dbfs": -10.9},
        {"level_in_dbfs": -math.inf, "level_out_dbfs": -math.inf},
        {"level_in_dbfs": -75.0, "level_out_dbfs": -math.inf},  # nothing to hear before either
        {"level_out_dbfs": -math.inf, "ref_active_s": 5.0},  # nothing but echo, and it is gone
        {"ref_active_reduction_db": 0.4, "ref_active_s": 1.9},
        {"ref": None, "ref_active_s": 0.0, "ref_active_reduction_db": None},
    ],
)
def test_what_tells_nothing_is_no_doubt(report, change):
    assert flags_of(dataclasses.replace(report, **change)) == ()
