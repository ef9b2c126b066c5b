"""Reading case folders and sets in the AEC Challenge's layout."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import soundfile
from case_sets import RATE, make_set, speech, write_case

from voxhop.errors import ArgumentError, AudioFileError
from voxhop.evaluation.cases import load_cases, load_clip


def wav(path, seconds=1.0, rate=RATE, seed=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech(seconds, seed), rate)


def test_a_case_folder_is_read_sorted_with_its_groups(tmp_path):
    make_set(tmp_path, scenarios=("noise", "farend", "doubletalk"))
    write_case(
        tmp_path,
        "a-change",
        "farend",
        {"mic": speech(1, 1)},
        echo_path_change=True,
        delay_ms=300,
        rate_from_s=0.5,
    )
    cases = load_cases(tmp_path)
    assert [case.case_id for case in cases] == ["a-change", "doubletalk-0", "farend-0", "noise-0"]
    assert cases[0].groups == ("farend", "farend, path change", "farend, delay >= 240 ms")
    assert cases[2].groups == ("farend", "farend, delay < 240 ms")
    assert cases[3].groups == ("noise",)
    assert [case.talk for case in cases] == ["st", "dt", "st", None]
    assert cases[0].rate_from_s == 0.5
    assert cases[0].ref is None
    assert cases[1].nearend == tmp_path / "doubletalk-0" / "nearend.wav"


@pytest.mark.parametrize(
    ("stem", "scenario"),
    [
        ("-3sy_BJ_doubletalk", "doubletalk"),
        ("0a0aTELY_doubletalk-with-movement", "doubletalk-with-movement"),
        ("0a0aTELY_farend-singletalk", "farend-singletalk"),
        ("XTqo_farend_singletalk_with_movement", "farend-singletalk-with-movement"),
        ("zYAI_nearend-singletalk", "nearend-singletalk"),
    ],
)
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_the_challenge_s_names_are_understood(tmp_path, stem, scenario, kind):
    wav(tmp_path / "sub" / f"{stem}_mic.{kind}")
    wav(tmp_path / "sub" / f"{stem}_lpb.{kind}", seed=2)
    wav(tmp_path / "sub" / f"{stem}_lpb_extra.wav")
    (case,) = load_cases(tmp_path)
    assert (case.scenario, case.groups) == (scenario, (scenario,))
    assert case.challenge
    assert case.ref == tmp_path / "sub" / f"{stem}_lpb.{kind}"


def test_a_missing_loopback_is_an_error_only_where_there_is_echo(tmp_path):
    wav(tmp_path / "a_nearend-singletalk_mic.wav")
    assert load_cases(tmp_path)[0].ref is None
    wav(tmp_path / "a_farend-singletalk_mic.wav")
    with pytest.raises(AudioFileError, match=r"a_farend-singletalk_lpb\.wav: missing"):
        load_cases(tmp_path)


def test_limit_keeps_the_first_of_each_scenario(tmp_path):
    for i in range(3):
        for scenario in ("farend", "noise"):
            write_case(tmp_path, f"{scenario}-{i}", scenario, {"mic": speech(0.1, i)})
    kept = [case.case_id for case in load_cases(tmp_path, limit=2)]
    assert kept == ["farend-0", "farend-1", "noise-0", "noise-1"]


def test_signals_are_16_khz_mono_and_as_long_as_the_microphone(tmp_path):
    write_case(tmp_path, "x", "nearend", {"mic": speech(1.0, 1), "ref": speech(0.5, 2)})
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * 48_000) / 48_000)
    stereo = np.stack([tone, 0 * tone], axis=1)
    soundfile.write(tmp_path / "x" / "target.wav", stereo, 48_000, subtype="FLOAT")
    clip = load_clip(load_cases(tmp_path)[0])
    assert len(clip.mic) == len(clip.ref) == len(clip.target) == RATE
    assert not clip.ref[RATE // 2 :].any()
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    assert np.abs(clip.target - expected)[200:-200].max() < 1e-3


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("{", "JSON object"),
        ("[]", "JSON object"),
        ("{}", "JSON object"),
        ('{"scenario": "karaoke"}', "'karaoke', expected one of farend"),
    ],
)
def test_bad_meta_data_names_the_file(tmp_path, meta, message):
    write_case(tmp_path, "x", "farend", {"mic": speech(0.1, 1)})
    (tmp_path / "x" / "meta.json").write_text(meta)
    with pytest.raises(AudioFileError, match=message) as caught:
        load_cases(tmp_path)
    assert str(tmp_path / "x" / "meta.json") in str(caught.value)


def test_bad_folders_and_files_are_named(tmp_path):
    with pytest.raises(ArgumentError, match="not a folder"):
        load_cases(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="no case"):
        load_cases(tmp_path)
    write_case(tmp_path, "x", "farend", {"ref": speech(0.1, 1)})
    with pytest.raises(AudioFileError, match=r"mic\.wav: missing"):
        load_cases(tmp_path)
    mic = tmp_path / "x" / "mic.wav"
    mic.write_bytes(b"RIFF no sound")
    with pytest.raises(AudioFileError, match=r"mic\.wav"):
        load_clip(load_cases(tmp_path)[0])
    soundfile.write(mic, np.zeros(0), RATE)
    with pytest.raises(AudioFileError, match="no samples"):
        load_clip(load_cases(tmp_path)[0])
    soundfile.write(mic, np.full(10, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="not finite"):
        load_clip(load_cases(tmp_path)[0])


def test_two_cases_of_one_id_are_refused(tmp_path):
    for place in ("x", "y"):
        write_case(tmp_path, place, "farend", {"mic": speech(0.1, 1)})
        (tmp_path / place / "meta.json").write_text(json.dumps({"id": "z", "scenario": "farend"}))
    with pytest.raises(ArgumentError, match="two cases 'z'"):
        load_cases(tmp_path)


def test_the_digest_follows_sound_and_meta_data(tmp_path):
    make_set(tmp_path)
    case = load_cases(tmp_path)[0]
    before = case.digest()
    assert load_cases(tmp_path)[0].digest() == before
    assert dataclasses.replace(case, rate_from_s=1.0).digest() != before
    soundfile.write(case.target, speech(3.0, 77), RATE, subtype="FLOAT")
    assert case.digest() != before
