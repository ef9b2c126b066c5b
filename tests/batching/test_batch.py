"""`voxhop.batch`: results, resuming, failures, and worker processes that die."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from recordings import MODEL, RATE, hashes, rows, write_pair
from voxhop.batching import pool

PAIR = {"pair": "_mic=_ref", "model": MODEL}
NAMES = ["a_mic.wav", "b_mic.wav", "deep/er/c_mic.wav"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_each_result_is_that_of_enhance_file(calls, out, tmp_path):
    told = []
    report = voxhop.batch(calls, out, workers=2, progress=lambda *x: told.append(x), **PAIR)
    assert (report.recordings, report.done, report.already_done) == (3, 3, 0)
    assert (report.failed, report.left_out) == ((), ())
    assert sorted(hashes(out)) == NAMES
    assert sorted(row["file"] for row in rows(out)) == NAMES
    for row in rows(out):
        mic, alone = calls / row["file"], tmp_path / "alone.wav"
        ref = str(mic).replace("_mic", "_ref")
        single = voxhop.enhance_file(mic, alone, ref=ref, model=MODEL)
        assert (out / row["out"]).read_bytes() == alone.read_bytes()
        for name in ("seconds", "level_out_dbfs", "ref_active_reduction_db", "delay_ms"):
            assert row[name] == getattr(single, name)
        assert row["sides"][0]["erle_db"] == single.sides[0].erle_db
    total = sum((calls / name).stat().st_size for name in NAMES)
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_is_done_is_left_alone_and_what_changed_is_not(calls, out):
    voxhop.batch(calls, out, **PAIR)
    before = {name: (out / name).stat().st_mtime_ns for name in NAMES}
    report = voxhop.batch(calls, out, **PAIR)
    assert (report.done, report.already_done) == (0, 3)
    assert {name: (out / name).stat().st_mtime_ns for name in NAMES} == before
    write_pair(calls, "b", 77)
    (out / "a_mic.wav").unlink()
    write_pair(calls, "new", 78)
    report = voxhop.batch(calls, out, **PAIR)
    assert (report.done, report.already_done) == (3, 1)
    assert {row["file"] for row in rows(out)[3:]} == {"a_mic.wav", "b_mic.wav", "new_mic.wav"}
    assert voxhop.batch(calls, out, restart=True, **PAIR).done == 4
    assert len(rows(out)) == 4


def test_a_failure_is_listed_and_tried_again(calls, out):
    (calls / "b_mic.wav").write_bytes(b"RIFF but no sound")
    (calls / "b_ref.wav").unlink()
    (calls / "empty_mic.wav").touch()
    (calls / "empty_ref.wav").touch()
    report = voxhop.batch(calls, out, **PAIR)
    assert report.done == 2
    assert sorted(report.failed) == [
        ("b_mic.wav", "its reference b_ref.wav is missing"),
        ("empty_mic.wav", f"{calls}/empty_mic.wav: an empty file, expected audio"),
    ]
    assert sorted(hashes(out)) == [NAMES[0], NAMES[2]]
    assert {row["file"]: row["error"] for row in rows(out) if row["status"] == "failed"} == dict(
        report.failed
    )
    write_pair(calls, "b", 1)
    report = voxhop.batch(calls, out, **PAIR)
    assert (report.done, report.already_done) == (1, 2)
    assert [name for name, _ in report.failed] == ["empty_mic.wav"]


def test_a_list_with_references(calls, out, tmp_path):
    table = calls / "list.csv"
    elsewhere = tmp_path / "elsewhere"
    write_pair(elsewhere, "d", 5)
    table.write_text(f"a_mic.wav,a_ref.wav\ndeep/er/c_mic.wav\n{elsewhere}/d_mic.wav,b_ref.wav\n")
    report = voxhop.batch(table, out, model=MODEL)
    assert report.done == 3
    inner = str(elsewhere / "d_mic.wav").lstrip("/")
    assert sorted(hashes(out)) == sorted(["a_mic.wav", "deep/er/c_mic.wav", inner])
    active = {row["file"]: row["ref_active_s"] > 0 for row in rows(out)}
    assert active == {"a_mic.wav": True, "deep/er/c_mic.wav": False, inner: True}


def test_both_sides_of_calls_in_another_format(tmp_path, out):
    call = np.random.default_rng(3).normal(0, 0.1, (8000, 2))
    (tmp_path / "calls").mkdir()
    soundfile.write(tmp_path / "calls" / "one.wav", call, 8000)
    options = voxhop.SessionOptions(precision="int8")
    how = {"cross": True, "suffix": "flac", "model": MODEL, "options": options, "strength": 0.5}
    report = voxhop.batch(tmp_path / "calls", out, **how)
    assert report.done == 1
    found = soundfile.info(out / "one.flac")
    assert (found.channels, found.samplerate, found.frames) == (2, 8000, 8000)
    assert len(rows(out)[0]["sides"]) == 2


@pytest.mark.parametrize("same_format", [True, False])
def test_a_doubtful_result_is_flagged_or_passed_through(calls, out, same_format):
    rng = np.random.default_rng(9)
    soundfile.write(calls / "silent_mic.wav", rng.normal(0, 0.1, 4800), RATE, "PCM_16")
    soundfile.write(calls / "silent_ref.wav", np.zeros(4800), RATE, "PCM_16")
    flagged = (("silent_mic.wav", ("reference_silent",)),)
    how = PAIR | ({} if same_format else {"suffix": ".flac"})
    result = out / ("silent_mic.wav" if same_format else "silent_mic.flac")
    report = voxhop.batch(calls, out, **how)
    assert report.flagged == flagged
    assert report.passed_through == 0
    recorded, _ = soundfile.read(calls / "silent_mic.wav", dtype="int16")
    assert not np.array_equal(soundfile.read(result, dtype="int16")[0], recorded)
    report = voxhop.batch(calls, out, pass_through=True, restart=True, **how)
    assert report.flagged == flagged
    assert report.passed_through == 1
    assert np.array_equal(soundfile.read(result, dtype="int16")[0], recorded)
    if same_format:
        assert result.read_bytes() == (calls / "silent_mic.wav").read_bytes()
    passed = [row["file"] for row in rows(out) if row["passed_through"]]
    assert passed == ["silent_mic.wav"]


def test_one_channel_is_passed_through_alone(tmp_path, out):
    (tmp_path / "calls").mkdir()
    both = np.random.default_rng(9).normal(0, 0.1, (4800, 2)) * [1.0, 0.0]
    soundfile.write(tmp_path / "calls" / "x.wav", both, RATE, "PCM_16")
    how = {"mic_channel": 0, "ref_channel": 1, "pass_through": True, "model": MODEL}
    report = voxhop.batch(tmp_path / "calls", out, delay_ms="auto", **how)
    made, _ = soundfile.read(out / "x.wav", dtype="int16", always_2d=True)
    recorded, _ = soundfile.read(tmp_path / "calls" / "x.wav", dtype="int16")
    assert made.shape == (4800, 1)
    assert report.passed_through == np.array_equal(made[:, 0], recorded[:, 0])


# What a worker does before it starts: the first job of this name in any worker is its last.
DEADLY = (
    "import os, pathlib, voxhop.batching.work as w; real = w.Work.do\n"
    "def do(self, job, progress=None):\n"
    "    left = pathlib.Path(self.out) / 'deaths'\n"
    "    if 'b_mic' in job.name and left.exists() and left.read_text():\n"
    "        left.write_text(left.read_text()[1:])\n"
    "        (pathlib.Path(self.out) / '.b_mic.wav.0123abcd.part').touch()\n"
    "        os.kill(os.getpid(), 9)\n"
    "    return real(self, job, progress)\n"
    "w.Work.do = do\n"
)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_that_dies_costs_one_recording_at_most(calls, out, monkeypatch, deaths):
    monkeypatch.setattr(
        pool, "_BOOT", pool._BOOT.replace("from voxhop", f"exec({DEADLY!r}); from voxhop", 1)
    )
    out.mkdir()
    (out / "deaths").write_text("x" * deaths)
    report = voxhop.batch(calls, out, workers=2, **PAIR)
    assert (out / "deaths").read_text() == ""
    assert list(out.glob(".*.part")) == []
    assert report.done == 4 - deaths
    if deaths == 2:
        died = "its worker process died of signal 9 (SIGKILL), 2 times"
        assert report.failed == (("b_mic.wav", f"b_mic.wav: {died}"),)
        assert voxhop.batch(calls, out, **PAIR).done == 1


def test_workers_that_do_not_start_end_the_batch(calls, out, monkeypatch):
    monkeypatch.setattr(pool, "_BOOT", "raise SystemExit('no such thing')")
    with pytest.raises(voxhop.EngineError, match="did not start: no such thing"):
        voxhop.batch(calls, out, **PAIR)


def test_leftovers_of_its_own_are_cleared_and_no_others(calls, out):
    (out / "deep" / "er").mkdir(parents=True)
    own = [".a_mic.wav.0123abcd.part", "deep/er/.c_mic.wav.00000000.part"]
    other = [".a_mic.wav.part", ".z.wav.0123abcd.part", "a_mic.wav.0123abcd.part"]
    for name in own + other:
        (out / name).write_bytes(b"half")
    voxhop.batch(calls, out, **PAIR)
    assert {name for name in own + other if (out / name).exists()} == set(other)


def test_a_loaded_model_and_one_from_bytes_go_to_the_workers(calls, out):
    with voxhop.load(voxhop.models.find_model(MODEL).read_bytes()) as model:
        voxhop.batch(calls, out, pair="_mic=_ref", model=model)
        assert not model.closed
    first = hashes(out)
    shutil.rmtree(out)
    voxhop.batch(calls, out, **PAIR)
    assert hashes(out) == first


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"strength": 2.0}, voxhop.ArgumentError, "strength: 2"),
        ({"no_such": 1}, voxhop.ArgumentError, "unknown setting 'no_such'"),
        ({"workers": 0}, voxhop.ArgumentError, "workers: 0, expected a whole number from 1"),
        ({"pair": "mic"}, voxhop.ArgumentError, "expected MIC=REF"),
        ({"pair": "a=b", "cross": True}, voxhop.ArgumentError, "cross: the other channel"),
        ({"suffix": "xyz"}, voxhop.ArgumentError, r"format \.xyz"),
        ({"subtype": "PCM_99"}, voxhop.ArgumentError, "subtype PCM_99"),
        ({"model": "no-such"}, voxhop.ModelFileError, "no-such"),
        ({"options": voxhop.SessionOptions(isa="z80")}, voxhop.VoxhopError, "z80"),
    ],
)
def test_what_nothing_can_be_done_with_is_refused_before_anything_is(
    calls, out, how, error, message
):
    with pytest.raises(error, match=message):
        voxhop.batch(calls, out, **({"model": MODEL} | how))
    assert hashes(out) == {}


def test_bad_sources_are_refused(calls, out, tmp_path):
    with pytest.raises(voxhop.ArgumentError, match="the recordings are there"):
        voxhop.batch(calls, calls, model=MODEL)
    with pytest.raises(voxhop.AudioFileError, match="expected a folder or a list"):
        voxhop.batch(tmp_path / "nothing", out, model=MODEL)
    (tmp_path / "bare").mkdir()
    with pytest.raises(voxhop.ArgumentError, match="bare: no recordings"):
        voxhop.batch(tmp_path / "bare", out, model=MODEL)
    (tmp_path / "list.txt").write_text("a.wav\n")
    with pytest.raises(voxhop.ArgumentError, match="pair: for a folder"):
        voxhop.batch(tmp_path / "list.txt", out, **PAIR)
    assert not out.exists()


def test_an_output_never_replaces_a_recording(calls):
    out = calls / "clean"
    write_pair(out, "x", 3)
    before = hashes(out)
    table = calls / "list.csv"
    table.write_text("mic,out\na_mic.wav,x_mic.wav\nclean/x_mic.wav,y.wav\n")
    report = voxhop.batch(table, out, model=MODEL)
    assert report.failed == (("a_mic.wav", "its output x_mic.wav is a recording of the batch"),)
    assert {name: found for name, found in hashes(out).items() if name in before} == before


def test_folders_inside_one_another(calls):
    assert voxhop.batch(calls, calls / "clean", **PAIR).recordings == 3
    assert voxhop.batch(calls, calls / "clean", **PAIR).already_done == 3


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_fails_by_name(calls, out):
    out.mkdir()
    (out / "deep").mkdir(mode=0o500)
    report = voxhop.batch(calls, out, **PAIR)
    assert [name for name, _ in report.failed] == ["deep/er/c_mic.wav"]


def test_no_worker_outlives_the_batch(calls, out):
    if not Path(f"/proc/{os.getpid()}/task").exists():
        pytest.skip("needs /proc")
    before = children()
    voxhop.batch(calls, out, **PAIR)
    assert not children() - before


def children():
    """Return the processes that this one has started and that are there."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text().split()}
