"""How well a system finds the delay of the echo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from case_sets import RATE, speech, write_case

import voxhop
from voxhop.errors import AudioFileError
from voxhop.evaluation import Settings, build, evaluate, load_cases, load_clip, summarise
from voxhop.evaluation.delays import delay_scores, read_delays
from voxhop.evaluation.systems import FoundDelays

HOP = 256
DEMO = Path(voxhop.__file__).parent / "demo"
NAN = float("nan")


def write_delays(folder, delays, hop=HOP):
    content = {"hop_samples": hop, "delay_samples": delays}
    (folder / "delay.json").write_text(json.dumps(content))


def test_one_bin_off_is_right_and_more_is_not():
    true = np.full(100, 1000.0)
    found = true.copy()
    found[70:80] += 256.0
    found[80:85] += 257.0
    found[85:90] -= 300.0
    scores = delay_scores(found, true, HOP)
    assert scores["delay_right_1s_hops"] == 100 - 62
    assert scores["delay_right_1s"] == pytest.approx(100 * (38 - 10) / 38)
    assert scores["delay_right_03s_hops"] == 100 - 18
    assert scores["delay_right_03s"] == pytest.approx(100 * (82 - 10) / 82)


def test_hops_before_the_start_and_without_an_echo_do_not_count():
    true = np.full(100, 1000.0)
    found = true.copy()
    found[:18] = 0.0  # before 0.3 s
    found[30:62] = 0.0  # before 1 s
    true[90:] = NAN
    found[90:] = 0.0
    scores = delay_scores(found, true, HOP)
    assert scores["delay_right_1s"] == 100.0
    assert scores["delay_right_1s_hops"] == 90 - 62
    assert scores["delay_right_03s"] == pytest.approx(100 * (72 - 32) / 72)


def test_a_clip_without_an_echo_has_no_share():
    scores = delay_scores(np.zeros(80), np.full(80, NAN), HOP)
    assert scores["delay_right_1s"] is None
    assert scores["delay_right_1s_hops"] == 0


def test_another_hop_length_is_taken_over(tmp_path):
    write_delays(tmp_path, [100.0, None, 300.0, 400.0], hop=128)
    assert read_delays(tmp_path / "delay.json", 256).tolist() == [100.0, 300.0]
    fine = read_delays(tmp_path / "delay.json", 64)
    assert fine[[0, 1, 4, 5, 6, 7]].tolist() == [100.0, 100.0, 300.0, 300.0, 400.0, 400.0]
    assert np.isnan(fine[2:4]).all()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"hop_samples": 256}',
        '{"hop_samples": 0, "delay_samples": [1]}',
        '{"hop_samples": 256, "delay_samples": []}',
        '{"hop_samples": 256, "delay_samples": ["late"]}',
        '{"hop_samples": 256, "delay_samples": [[1]]}',
    ],
)
def test_a_bad_file_is_named(tmp_path, content):
    path = tmp_path / "delay.json"
    path.write_text(content)
    with pytest.raises(
        AudioFileError, match=r"delay\.json: expected hop_samples and delay_samples"
    ):
        read_delays(path, HOP)


@pytest.fixture(scope="module")
def talk():
    """Three seconds of the demo's far end, at once and 256 ms late through a short room."""
    ref, rate = soundfile.read(DEMO / "ref.flac", dtype="float32", frames=3 * RATE, start=3200)
    assert rate == RATE
    room = np.zeros(400, np.float32)
    room[[0, 90, 333]] = [0.5, 0.2, -0.1]
    echo = np.convolve(ref, room)[: len(ref)]
    return ref, np.concatenate([np.zeros(4096, np.float32), echo])[: len(ref)].astype(np.float32)


def scored(folder, work, *systems):
    settings = Settings(folder=folder, systems=systems, work=work, families=("delay",))
    results = evaluate(settings)
    return {row.system: row.means for row in summarise(results)}


def test_the_model_s_own_delay_is_scored_against_the_case_s(tmp_path, talk):
    """True delay 16 hops. Told that it is 19, the same delays are wrong."""
    ref, echo = talk
    for name, hops in (("right", 16), ("wrong", 19)):
        folder = tmp_path / name / "x"
        write_case(tmp_path / name, "x", "farend", {"mic": echo, "ref": ref})
        write_delays(folder, [None] * 20 + [hops * 256.0] * 150)
    right = scored(tmp_path / "right", tmp_path / "w1", "voxhop", "unprocessed")
    wrong = scored(tmp_path / "wrong", tmp_path / "w2", "voxhop")
    assert right[voxhop.DEFAULT_MODEL]["delay_right_1s"].mean > 90.0
    assert wrong[voxhop.DEFAULT_MODEL]["delay_right_1s"].mean < 10.0
    assert not right["unprocessed"]


def test_without_its_reference_a_system_has_no_delay_to_score(tmp_path, talk):
    ref, echo = talk
    write_case(tmp_path / "cases", "x", "farend", {"mic": echo, "ref": ref})
    case = load_cases(tmp_path / "cases")[0]
    clip = load_clip(case)
    assert build("voxhop").delays(clip, RATE).hop_samples == HOP
    assert build("voxhop,ref=none").delays(clip, RATE) is None
    assert build("unprocessed").delays(clip, RATE) is None


class Oracle:
    """Says that every echo is 512 samples late."""

    def __init__(self) -> None:
        self.name, self.delay_samples, self.fingerprint = "oracle", 0, "oracle"

    def process(self, mic, ref, sample_rate):
        del ref, sample_rate
        return mic

    def delays(self, mic, ref, sample_rate):
        del ref, sample_rate
        return FoundDelays(np.full(len(mic) // HOP, 512.0), HOP)


def test_means_count_hops_and_not_clips(tmp_path):
    """Right in all of 100 hops and in none of 20: 83 %, and not 50 %."""
    signals = {"mic": speech(3.0, 1), "ref": speech(3.0, 2)}
    for name, delay, hops in (("a", 512.0, 100), ("b", 2000.0, 20)):
        write_case(tmp_path / "cases", name, "farend", signals)
        write_delays(tmp_path / "cases" / name, [None] * 62 + [delay] * hops)
    means = scored(tmp_path / "cases", tmp_path / "work", f"{__name__}:Oracle")["oracle"]
    assert means["delay_right_1s"].mean == pytest.approx(100 * 100 / 120)
    assert means["delay_right_1s"].count == 2


def test_the_delay_file_belongs_to_the_identity_of_a_case(tmp_path):
    write_case(tmp_path, "x", "farend", {"mic": speech(1.0, 1)})
    digests = [load_cases(tmp_path)[0].digest()]
    for delay in (1.0, 2.0):
        write_delays(tmp_path / "x", [delay])
        digests.append(load_cases(tmp_path)[0].digest())
    assert len(set(digests)) == 3
