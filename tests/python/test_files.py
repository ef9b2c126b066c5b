"""Whole recordings as files: formats, channels, and what is wrong with a file by name."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import voxhop

RATE = 16000


@pytest.fixture
def wav(tmp_path, call):
    """Return a function that writes a microphone and a reference file."""

    def write(name, samples=None, rate=RATE, **options):
        path = tmp_path / name
        soundfile.write(path, call[0][:8000] if samples is None else samples, rate, **options)
        return path

    return write


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_file_equals_arrays_bit_for_bit(tmp_path, wav, model, call):
    mic, ref = (track[:9000] for track in call)
    out = tmp_path / "out.wav"
    voxhop.enhance_file(
        wav("mic.wav", mic, subtype="FLOAT"),
        out,
        ref=wav("ref.wav", ref, subtype="FLOAT"),
        model=model,
    )
    found, rate = soundfile.read(out, dtype="float32")
    assert rate == RATE
    assert np.array_equal(found, voxhop.enhance(mic, ref, sample_rate=RATE, model=model))


def test_report_tells_what_was_done(tmp_path, wav, model, call):
    mic, ref = (track[:8192] for track in call)
    paths = wav("mic.wav", mic, subtype="FLOAT"), wav("ref.wav", ref, subtype="FLOAT")
    out = tmp_path / "out.flac"
    told = []
    report = voxhop.enhance_file(
        paths[0], out, ref=paths[1], model=model, progress=lambda *s: told.append(s)
    )
    clean = voxhop.enhance(mic, ref, sample_rate=RATE, model=model)
    assert (report.mic, report.ref, report.out) == (str(paths[0]), str(paths[1]), str(out))
    assert (report.sample_rate, report.channels, report.seconds) == (RATE, 1, 0.512)
    assert (report.format, report.subtype) == ("FLAC", "PCM_24")
    assert report.model == model.source
    assert report.level_in_dbfs == pytest.approx(10 * np.log10(np.mean(mic**2)), abs=1e-3)
    assert report.level_out_dbfs == pytest.approx(10 * np.log10(np.mean(clean**2)), abs=1e-3)
    active = (ref.reshape(-1, 256) ** 2).mean(axis=1) > 1e-5
    powers = [(x.reshape(-1, 256)[active] ** 2).sum() for x in (mic, clean)]
    assert report.ref_active_s == pytest.approx(active.sum() * 0.016)
    reduction = 10 * np.log10(powers[0] / powers[1])
    assert report.ref_active_reduction_db == pytest.approx(reduction, abs=1e-3)
    assert report.delay_ms in {64.0, 80.0}
    assert report.speed == pytest.approx(report.seconds / report.elapsed_s)
    assert told[-1] == (0.512, 0.512)
    assert report.ref_missing_s == 0.0


def test_without_a_reference_there_is_no_delay(tmp_path, wav, model):
    report = voxhop.enhance_file(wav("mic.wav"), tmp_path / "out.wav", model=model)
    assert report.ref is None
    assert (report.ref_active_s, report.ref_active_reduction_db) == (0.0, None)
    assert (report.delay_ms, report.delay_confidence) == (None, None)


def test_delay_in_the_report_is_the_recording_s_whatever_the_microphone_waits(
    tmp_path, wav, model, call
):
    paths = wav("mic.wav", call[0]), wav("ref.wav", call[1])
    for settings in ({}, {"lookahead_ms": 160.0}, {"delay_ms": 48.0}):
        report = voxhop.enhance_file(
            paths[0], tmp_path / "out.wav", ref=paths[1], model=model, **settings
        )
        assert report.delay_ms in {64.0, 80.0}
        assert 0.0 < report.delay_confidence <= 1.0


def test_without_a_reference_none_is_missing(tmp_path, wav, model):
    source, out = wav("mic.wav"), tmp_path / "out.wav"
    report = voxhop.enhance_file(source, out, model=model, missing_ref="bypass")
    (side,) = report.sides
    assert (side.ref_missing_frames, side.bypassed) == (0, False)


@pytest.mark.parametrize(
    ("name", "subtype", "out", "expected"),
    [
        ("mic.wav", "PCM_16", "out.wav", ("WAV", "PCM_16")),
        ("mic.wav", "PCM_24", "out.wav", ("WAV", "PCM_24")),
        ("mic.wav", "PCM_24", "out.flac", ("FLAC", "PCM_24")),
        ("mic.wav", "PCM_U8", "out.wav", ("WAV", "PCM_16")),
        ("mic.wav", "ULAW", "out.wav", ("WAV", "PCM_16")),
        ("mic.wav", "DOUBLE", "out.flac", ("FLAC", "PCM_24")),
        ("mic.wav", "FLOAT", "out.aiff", ("AIFF", "FLOAT")),
        ("mic.ogg", "VORBIS", "out.ogg", ("OGG", "VORBIS")),
        ("mic.ogg", "VORBIS", "out.wav", ("WAV", "PCM_16")),
        ("mic.wav", "PCM_16", "out.opus", ("OGG", "OPUS")),
        ("mic.flac", "PCM_16", "OUT.WAV", ("WAV", "PCM_16")),
    ],
)
def test_format_follows_the_name_and_encoding_the_recording(
    tmp_path, wav, model, name, subtype, out, expected
):
    source = wav(name, subtype=subtype)
    report = voxhop.enhance_file(source, tmp_path / out, model=model)
    info = soundfile.info(tmp_path / out)
    assert (info.format, info.subtype) == (report.format, report.subtype) == expected
    assert info.frames == soundfile.info(source).frames


def test_subtype_may_be_chosen(tmp_path, wav, model):
    out = tmp_path / "out.wav"
    voxhop.enhance_file(wav("mic.wav"), out, subtype="float", model=model)
    assert soundfile.info(out).subtype == "FLOAT"


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (48000, 3)])
def test_rates_and_channels_are_kept(tmp_path, wav, model, call, rate, channels):
    samples = np.stack([call[0][:5000] / (c + 1) for c in range(channels)], axis=1)
    path, out = wav("mic.wav", samples, rate, subtype="FLOAT"), tmp_path / "out.wav"
    voxhop.enhance_file(path, out, model=model)
    found, found_rate = soundfile.read(out, dtype="float32", always_2d=True)
    assert (found_rate, found.shape) == (rate, samples.shape)
    expected = voxhop.enhance(samples, sample_rate=rate, model=model)
    assert np.array_equal(found, expected)


def test_reference_in_another_channel_of_the_recording(tmp_path, wav, model, call):
    mic, ref = (track[:8000] for track in call)
    out = tmp_path / "out.wav"
    path = wav("both.wav", np.stack([ref, mic], axis=1), subtype="FLOAT")
    report = voxhop.enhance_file(path, out, mic_channel=1, ref_channel=0, model=model)
    expected = voxhop.enhance(mic, ref, sample_rate=RATE, model=model)
    assert np.array_equal(soundfile.read(out, dtype="float32")[0], expected)
    assert report.channels == 1


@pytest.mark.parametrize("ref_rate", [RATE, 44100])
@pytest.mark.parametrize("ref_seconds", [0.2, 1.0])
def test_reference_of_another_length_and_rate(tmp_path, wav, model, call, ref_rate, ref_seconds):
    mic, ref = call[0][:8000], np.resize(call[1], round(ref_seconds * ref_rate))
    out = tmp_path / "out.wav"
    report = voxhop.enhance_file(
        wav("mic.wav", mic, subtype="FLOAT"),
        out,
        ref=wav("ref.wav", ref, ref_rate, subtype="FLOAT"),
        model=model,
    )
    expected = voxhop.enhance(mic, ref, sample_rate=RATE, ref_sample_rate=ref_rate, model=model)
    assert np.array_equal(soundfile.read(out, dtype="float32")[0], expected)
    assert report.ref_missing_s == pytest.approx(max(0.0, 0.5 - ref_seconds))


def test_samples_beyond_full_scale_are_cut_and_counted(tmp_path, wav, model, call):
    loud = call[0][:8000] * 40.0
    clean = voxhop.enhance(loud, sample_rate=RATE, model=model)
    assert np.abs(clean).max() > 1.5
    source, out = wav("mic.wav", loud, subtype="FLOAT"), tmp_path / "out.wav"
    report = voxhop.enhance_file(source, out, subtype="PCM_16", model=model)
    assert report.clipped_samples == np.count_nonzero(np.abs(clean) > 1.0) > 0
    found = soundfile.read(out)[0]
    assert np.abs(found - np.clip(clean, -1, 1)).max() < 1e-4


def bad_files(folder, call):
    """Return files that are no recordings: name to path and words of the message."""
    good = folder / "good.flac"
    soundfile.write(good, np.tile(call[0], 3), RATE)
    content = good.read_bytes()
    nan = call[0][:8000].copy()
    nan[4000] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE, subtype="FLOAT")
    soundfile.write(folder / "no samples.wav", np.zeros(0), RATE)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("not audio\n" * 50)
    (folder / "cut header.wav").write_bytes(b"RIFF\0\0")
    (folder / "cut.flac").write_bytes(content[: len(content) // 2])
    (folder / "folder.wav").mkdir()
    return {
        "nan.wav": r"sample 4000 is not finite \(0\.250 s\)",
        "no samples.wav": "holds no samples",
        "empty.wav": "an empty file",
        "text.wav": "cannot be read",
        "cut header.wav": "cannot be read",
        "cut.flac": "ends after|damaged after",
        "folder.wav": "a folder",
        "missing.wav": "no such file",
    }


BAD = (
    "nan.wav",
    "no samples.wav",
    "empty.wav",
    "text.wav",
    "cut header.wav",
    "cut.flac",
    "folder.wav",
    "missing.wav",
)


@pytest.mark.parametrize("place", ["mic", "ref"])
@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_named_and_leaves_nothing(tmp_path, call, model, name, place):
    words = bad_files(tmp_path, call)[name]
    paths = {"mic": tmp_path / "good.flac", "ref": tmp_path / "good.flac", place: tmp_path / name}
    out = tmp_path / "out.wav"
    out.write_text("what was there")
    with pytest.raises(voxhop.AudioFileError, match=f"{name}: .*({words})"):
        voxhop.enhance_file(paths["mic"], out, ref=paths["ref"], model=model)
    assert out.read_text() == "what was there"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        ("out.xyz", voxhop.ArgumentError, r"suffix \.xyz, expected one of .*\.wav"),
        ("out", voxhop.ArgumentError, "suffix missing"),
        ("gone/out.wav", voxhop.AudioFileError, "no folder"),
        ("folder.wav", voxhop.AudioFileError, "a folder, expected a file name"),
        ("mic.wav", voxhop.ArgumentError, "an input too"),
        ("ref.wav", voxhop.ArgumentError, "an input too"),
        ("link.wav", voxhop.ArgumentError, "an input too"),
    ],
)
def test_bad_output_is_named(tmp_path, wav, model, out, error, words):
    mic, ref = wav("mic.wav"), wav("ref.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to(mic)
    before = mic.read_bytes()
    with pytest.raises(error, match=words):
        voxhop.enhance_file(mic, tmp_path / out, ref=ref, model=model)
    assert mic.read_bytes() == before
    assert leftovers(tmp_path) == []


def test_device_is_no_output(wav, model):
    with pytest.raises(voxhop.VoxhopError, match="null"):
        voxhop.enhance_file(wav("mic.wav"), os.devnull, model=model)


def test_subtype_that_the_format_lacks(tmp_path, wav, model):
    with pytest.raises(voxhop.ArgumentError, match=r"subtype vorbis, expected one of .*PCM_16"):
        voxhop.enhance_file(wav("mic.wav"), tmp_path / "out.wav", subtype="vorbis", model=model)


def test_output_replaces_a_file_and_keeps_a_link(tmp_path, wav, model):
    target = tmp_path / "real.wav"
    target.write_text("old")
    link = tmp_path / "link.wav"
    link.symlink_to(target)
    voxhop.enhance_file(wav("mic.wav"), link, model=model)
    assert link.is_symlink()
    assert soundfile.info(target).frames == 8000
    assert leftovers(tmp_path) == []


def test_error_of_the_progress_callback_leaves_nothing(tmp_path, wav, model):
    def stop(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        voxhop.enhance_file(wav("mic.wav"), tmp_path / "out.wav", model=model, progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mic.wav"]


LIMITED = """
import resource, sys, voxhop
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
try:
    voxhop.enhance_file(sys.argv[1], sys.argv[2])
except voxhop.AudioFileError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
@pytest.mark.parametrize("name", ["out.wav", "out.flac"])
def test_file_that_may_not_grow_is_reported_by_its_cause(tmp_path, wav, call, name):
    out = tmp_path / name
    mic = wav("mic.wav", call[0])
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, mic, out],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.strip() == f"{out}: cannot be written: File too large"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mic.wav"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"cannot mount a small file system: {error}")
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["out.wav", "out.flac"])
def test_full_disk_is_reported_and_leaves_nothing(tiny_disk, wav, model, call, name):
    out = tiny_disk / name
    with pytest.raises(voxhop.AudioFileError, match=f"{name}: cannot be written: No space left"):
        voxhop.enhance_file(wav("mic.wav", call[0]), out, model=model)
    assert list(tiny_disk.iterdir()) == []


PEAK = """
import resource, sys, voxhop
voxhop.enhance_file(sys.argv[1], sys.argv[2], ref=sys.argv[3], mic_channel=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize(("rate", "ref_rate"), [(192000, 16000), (16000, 192000)])
def test_memory_does_not_grow_with_the_files(tmp_path, wav, rate, ref_rate):
    """Five more seconds of 16 channels at 192 kHz are 61 MB of float32."""
    peaks = []
    for seconds in (1, 6):
        path, ref = (
            wav(f"{name} {seconds}.wav", np.zeros((each * seconds, 16), np.int16), each)
            for name, each in (("mic", rate), ("ref", ref_rate))
        )
        command = [sys.executable, "-c", PEAK, path, tmp_path / "out.wav", ref]
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        peaks.append(int(found.stdout) / 1024)
        path.unlink()
        ref.unlink()
    assert peaks[1] - peaks[0] < 25
