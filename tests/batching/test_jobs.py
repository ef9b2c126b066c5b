"""Which recordings a folder or a list has, and where each result goes."""

import io
from pathlib import Path

import pytest

import voxhop
from voxhop.batching.jobs import OutputNames, Pairing, folder_jobs, listed_jobs, recordings_in


def made(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def listed(text, base="/data", suffix=None):
    return list(listed_jobs(io.StringIO(text), Path(base), OutputNames(suffix)))


def test_a_folder_gives_its_recordings_sorted_and_nothing_else(tmp_path):
    made(tmp_path, "b.wav", "a.FLAC", "x/c.m4a", "notes.txt", ".hidden.wav", ".git/d.wav")
    made(tmp_path, "out/old.wav", "x/.c.m4a.0123abcd.part")
    assert list(recordings_in(tmp_path, tmp_path / "out")) == ["a.FLAC", "b.wav", "x/c.m4a"]


def test_pairs_leave_no_reference_as_a_microphone_and_tell_what_is_left():
    names = ["1_mic.wav", "1_ref.wav", "mic_2_mic.wav", "mic_2_ref.wav", "3_mic.wav", "song.wav"]
    jobs, left_out = folder_jobs(names, Pairing.parse("_mic=_ref"), OutputNames(None))
    assert [(job.mic, job.ref, job.problem) for job in jobs] == [
        ("1_mic.wav", "1_ref.wav", None),
        ("mic_2_mic.wav", "mic_2_ref.wav", None),  # the last place counts
        ("3_mic.wav", "3_ref.wav", "its reference 3_ref.wav is missing"),
    ]
    assert left_out == ("song.wav",)


def test_a_pair_may_be_of_folders_and_of_an_empty_side():
    jobs, left_out = folder_jobs(
        ["mic/a.wav", "sys/a.wav"], Pairing.parse("mic/=sys/"), OutputNames(None)
    )
    assert [(job.mic, job.ref) for job in jobs] == [("mic/a.wav", "sys/a.wav")]
    jobs, _ = folder_jobs(["a-mic.wav", "a.wav"], Pairing.parse("-mic="), OutputNames(None))
    assert [(job.mic, job.ref) for job in jobs] == [("a-mic.wav", "a.wav")]
    assert left_out == ()


@pytest.mark.parametrize("rule", ["", "mic", "=ref", "mic=mic"])
def test_half_a_pair_is_refused(rule):
    with pytest.raises(voxhop.ArgumentError, match="expected MIC=REF"):
        Pairing.parse(rule)


@pytest.mark.parametrize(
    ("suffix", "name", "out"),
    [
        (None, "a/b.wav", "a/b.wav"),
        (None, "b.WAV", "b.WAV"),
        (None, "b.m4a", "b.m4a"),
        (None, "b.amr", "b.wav"),  # which cannot be written
        (".flac", "b.wav", "b.flac"),
        (".flac", "x.y/b.c.wav", "x.y/b.c.flac"),
    ],
)
def test_an_output_is_named_like_its_recording(suffix, name, out):
    assert OutputNames(suffix).job(name, name).out == out


def test_two_recordings_do_not_share_an_output():
    outputs = OutputNames(".flac")
    assert outputs.job("a.wav", "a.wav").problem is None
    assert outputs.job("a.mp3", "a.mp3").problem == "its output a.flac is that of a.wav too"


def test_an_unknown_format_is_refused():
    with pytest.raises(voxhop.ArgumentError, match=r"format \.xyz: expected one of .*\.wav"):
        OutputNames(".xyz")


def test_a_list_has_one_or_two_columns():
    jobs = listed('\ufeffa.wav\n\n"b, c.wav" , r.wav \r\nd.wav,\ne.wav\tf.wav\n')
    assert [(job.mic, job.ref, job.out) for job in jobs] == [
        ("a.wav", None, "a.wav"),
        ("b, c.wav", "r.wav", "b, c.wav"),
        ("d.wav", None, "d.wav"),
        ("e.wav", "f.wav", "e.wav"),
    ]


def test_a_list_may_name_its_columns():
    jobs = listed("out,mic,ref\nx/1.wav,a.wav,b.wav\n,c.wav,\n")
    assert [(job.mic, job.ref, job.out) for job in jobs] == [
        ("a.wav", "b.wav", "x/1.wav"),
        ("c.wav", None, "c.wav"),
    ]


def test_names_elsewhere_keep_their_whole_path():
    jobs = listed("/data/in/a.wav\n/other/b.wav\n../up/c.wav\n")
    assert [job.out for job in jobs] == ["in/a.wav", "other/b.wav", "up/c.wav"]
    assert [job.mic for job in jobs] == ["/data/in/a.wav", "/other/b.wav", "../up/c.wav"]


@pytest.mark.parametrize("out", ["../x.wav", "/x.wav", "a/../../x.wav"])
def test_an_output_stays_in_its_folder(out):
    (job,) = listed(f"mic,out\na.wav,{out}\n")
    assert job.problem == f"out {out}: outside the output folder"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.wav,b.wav,c.wav\n", "line 1: 3 columns, expected 2: mic, ref"),
        ("a.wav\n,b.wav\n", "line 2: no microphone recording"),
        ("a.wav\n./a.wav\n", "line 2: ./a.wav is in the list twice"),
    ],
)
def test_a_bad_line_is_named(text, message):
    with pytest.raises(voxhop.ArgumentError) as caught:
        listed(text)
    assert str(caught.value) == message
