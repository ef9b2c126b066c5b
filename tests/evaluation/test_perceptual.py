"""Scores by models: equal to what their packages say, and in the right order."""

from __future__ import annotations

import numpy as np
import pytest
from case_sets import echo_of, make_set, speech

from voxhop.evaluation import perceptual
from voxhop.evaluation.cases import load_cases, load_clip
from voxhop.evaluation.scoring import FAMILIES, PROTOCOLS, score

for package in ("pesq", "pystoi"):
    pytest.importorskip(package, reason="extra [eval]")
aecmos = pytest.importorskip("speechmos.aecmos", reason="extra [eval]")
dnsmos = pytest.importorskip("speechmos.dnsmos", reason="extra [eval]")

RATE = 16_000
FAR, NEAR = speech(10.0, 1), speech(10.0, 2)
ECHO = echo_of(FAR, 800, 3)


@pytest.mark.parametrize("talk", ["st", "dt", "nst", None])
def test_aecmos_is_what_its_package_says(talk):
    mic = ECHO + NEAR
    expected = aecmos.run({"lpb": FAR, "mic": mic, "enh": 0.3 * mic}, RATE, talk_type=talk)
    found = perceptual.aecmos(talk, FAR, mic, 0.3 * mic)
    assert found == pytest.approx((expected["echo_mos"], expected["deg_mos"]), abs=1e-4)


def test_dnsmos_is_what_its_package_says():
    expected = dnsmos.run(NEAR, RATE)
    found = perceptual.dnsmos(NEAR)
    assert set(found) == {"ovrl", "sig", "bak", "p808"}
    for key, value in found.items():
        assert value == pytest.approx(expected[f"{key}_mos"], abs=1e-4)


def test_plcmos_is_repeatable_and_leaves_the_generator_alone():
    before = np.random.get_state()  # noqa: NPY002 - the generator that the package draws from
    first = perceptual.plcmos(NEAR)
    after = np.random.get_state()  # noqa: NPY002 - the same
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    np.random.rand(3)  # noqa: NPY002 - the same
    assert perceptual.plcmos(NEAR) == first


def test_scores_order_good_and_bad():
    rng = np.random.default_rng(0)
    noisy = (NEAR + 0.05 * rng.standard_normal(len(NEAR))).astype(np.float32)
    assert perceptual.pesq_wb(NEAR, NEAR) > 4.5 > perceptual.pesq_wb(NEAR, noisy)
    assert perceptual.estoi(NEAR, NEAR) == pytest.approx(1.0, abs=1e-3)
    assert perceptual.estoi(NEAR, noisy) < 0.9
    hiss = (1e-4 * rng.standard_normal(len(ECHO))).astype(np.float32)
    echo_left = perceptual.aecmos("st", FAR, ECHO, ECHO)[0]
    assert perceptual.aecmos("st", FAR, ECHO, hiss)[0] > echo_left + 0.5


def test_pesq_without_an_utterance_has_no_value():
    assert perceptual.pesq_wb(NEAR, np.zeros_like(NEAR)) is None


def test_samples_beyond_full_scale_are_clipped():
    loud = 20.0 * NEAR
    assert perceptual.dnsmos(loud) == perceptual.dnsmos(np.clip(loud, -1, 1))


def read_set(tmp_path_factory, seconds, scenarios):
    folder = make_set(tmp_path_factory.mktemp("set"), seconds=seconds, scenarios=scenarios)
    return {case.scenario: case for case in load_cases(folder)}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return read_set(tmp_path_factory, 4.0, ("doubletalk", "noise"))


@pytest.fixture(scope="module")
def long_farend(tmp_path_factory):
    """Longer than the 20 s that AECMOS hears."""
    return read_set(tmp_path_factory, 21.0, ("farend",))["farend"]


def scored(case, out, protocol="whole", families=FAMILIES):
    clip = load_clip(case)
    return score(case, clip, out, protocol=PROTOCOLS[protocol], families=frozenset(families))


def test_every_measure_of_double_talk_has_a_value(cases):
    clip = load_clip(cases["doubletalk"])
    found = scored(cases["doubletalk"], clip.mic)
    assert list(found) == [
        "aecmos_echo", "aecmos_deg", "dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808",
        "plcmos", "pesq", "estoi", "si_sdr", "sdr", "pesq_reverberant", "si_sdr_reverberant",
        "erle", "blind_erle",
    ]  # fmt: skip
    assert all(value is not None for value in found.values())


def test_scenarios_without_echo_have_no_aecmos(cases):
    clip = load_clip(cases["noise"])
    found = scored(cases["noise"], clip.mic, "whole", {"aecmos", "erle", "si_sdr"})
    assert set(found) == {"si_sdr", "si_sdr_reverberant"}


def test_the_challenge_s_part_is_the_late_one(long_farend):
    """Echo that is gone in the second half: perfect for the challenge, poor for the whole."""
    case = long_farend
    clip = load_clip(case)
    rng = np.random.default_rng(0)
    out = clip.mic.copy()
    out[len(out) // 2 :] = 1e-4 * rng.standard_normal(len(out) - len(out) // 2)
    whole = scored(case, out, "whole", {"aecmos", "erle"})
    late = scored(case, out, "challenge", {"aecmos", "erle"})
    assert late["erle"] > 40.0
    assert whole["erle"] < 10.0
    assert late["aecmos_echo"] > whole["aecmos_echo"] + 0.3


def test_the_report_s_protocol_takes_the_older_model_on_the_first_20_s(long_farend):
    case = long_farend
    clip = load_clip(case)
    out = 0.1 * clip.mic
    first = slice(0, 20 * RATE)
    expected = aecmos.run({"lpb": clip.ref[first], "mic": clip.mic[first], "enh": out[first]}, RATE)
    found = scored(case, out, "report", {"aecmos", "erle"})
    assert found["aecmos_echo"] == pytest.approx(expected["echo_mos"], abs=1e-4)
    assert found["aecmos_deg"] == pytest.approx(expected["deg_mos"], abs=1e-4)
    assert found["erle"] == pytest.approx(20.0, abs=1e-3)
