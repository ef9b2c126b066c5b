"""voxhop as a system: what is scored is what a user gets."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from case_sets import RATE, echo_of, make_set, speech

import voxhop
from voxhop.errors import VoxhopError
from voxhop.evaluation import build, energy, load_cases
from voxhop.evaluation.runner import run_aligned

FAR, NEAR = speech(2.1, 1), speech(2.1, 2)
MIC = echo_of(FAR, 400, 3) + NEAR


def test_the_aligned_output_is_that_of_enhance(tmp_path):
    case = load_cases(make_set(tmp_path, seconds=2.03, scenarios=("doubletalk",)))[0]
    system = build("voxhop")
    out, _ = run_aligned(system, system.delay_samples, case)
    mic, ref = (soundfile.read(path, dtype="float32")[0] for path in (case.mic, case.ref))
    expected = voxhop.enhance(mic, ref, sample_rate=RATE, highpass_hz=0)
    assert np.array_equal(out, expected)
    assert np.abs(out).max() > 0.01


def test_what_was_cut_is_restored_as_for_a_user():
    level = np.float32(np.quantile(np.abs(NEAR), 0.9))
    cut = np.clip(NEAR, -level, level)
    found, left = (build(f"voxhop{s}").process(cut, None, RATE) for s in ("", ",declip=false"))
    expected = voxhop.enhance(cut, sample_rate=RATE, highpass_hz=0)
    late = build("voxhop").delay_samples
    assert np.array_equal(found[late:], expected[: len(found) - late])
    assert np.abs(found - left).max() > 0.01
    whole, raw = (build(f"voxhop{s}").process(MIC, FAR, RATE) for s in ("", ",declip=false"))
    assert np.array_equal(whole, raw)


def test_every_clip_is_a_new_stream():
    system = build("voxhop")
    first = system.process(MIC, FAR, RATE)
    system.process(NEAR, None, RATE)
    assert np.array_equal(system.process(MIC, FAR, RATE), first)


def test_int16_is_the_same_but_for_its_rounding():
    """The step is 90 dB below full scale; what the network makes of it stays 40 dB below."""
    exact = build("voxhop").process(MIC, FAR, RATE)
    short = build("voxhop,int16=true").process(MIC, FAR, RATE)
    assert energy.erle_db(exact, exact - short) > 40.0
    steps = short * 32768.0
    assert np.array_equal(steps, np.rint(steps))


def test_rows_and_kept_scores_tell_options_apart():
    plain, stock, other, bare = (
        build(f"voxhop{s}") for s in ("", ",kernels=stock", ",int16=true", ",comfort_noise=false")
    )
    assert plain.name == voxhop.DEFAULT_MODEL
    assert stock.name == f"{voxhop.DEFAULT_MODEL} (stock)"
    assert other.name == f"{voxhop.DEFAULT_MODEL} (int16)"
    assert bare.name == f"{voxhop.DEFAULT_MODEL} (no comfort noise)"
    assert len({x.fingerprint for x in (plain, stock, other, bare)}) == 4
    assert plain.delay_samples == 256


@pytest.mark.parametrize(
    "specification",
    ["voxhop,model=nowhere.gguf", "voxhop,precision=f7", "voxhop,speed=9"],
)
def test_what_does_not_exist_is_refused(specification):
    with pytest.raises(VoxhopError):
        build(specification)


def test_another_rate_is_refused():
    with pytest.raises(VoxhopError, match="48000 Hz, the model runs at 16000"):
        build("voxhop").process(MIC, FAR, 48_000)
