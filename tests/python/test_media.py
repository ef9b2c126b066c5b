"""Files that libsndfile does not read, headers that lie, and videos that keep their picture."""

import struct
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop.io import AudioReader
from voxhop.media.reader import open_container

av = pytest.importorskip("av")

RATE = 16000
SECONDS = 1.2


def sound(rate=RATE, seconds=SECONDS):
    """Noise with a click, from 0.5 s on, to see where things lie."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1e-4, round(rate * seconds)).astype(np.float32)
    x[rate // 2 : rate // 2 + rate // 4] += rng.normal(0, 0.2, rate // 4).astype(np.float32)
    return np.clip(x, -0.9, 0.9)


def write_media(path, form, codec, rate=RATE, *, picture=None, sound_from_s=0.0, title=""):
    """Write `sound` (and a picture of some colours) with PyAV."""
    with av.open(str(path), "w", format=form) as out:
        if title:
            out.metadata["title"] = title
        if picture:
            video = out.add_stream(picture, rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track = out.add_stream(codec, rate=rate)
        track.codec_context.layout = "mono"
        if codec == "wmav2":
            track.codec_context.bit_rate = 64000
        if picture:
            for i in range(30):
                frame = av.VideoFrame.from_ndarray(
                    np.full((48, 64, 3), 8 * i, np.uint8), format="rgb24"
                )
                frame.pts, frame.time_base = i, Fraction(1, 25)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(sound(rate)[None], format="flt", layout="mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(sound_from_s * rate)
        out.mux(track.encode(frame))
        out.mux(track.encode(None))


def onset_s(path):
    with AudioReader(path) as reader:
        samples = reader.read(reader.frames)[:, 0]
        assert reader.rate > 0
    return int(np.argmax(np.abs(samples) > 0.03)) / reader.rate


@pytest.mark.parametrize(
    ("name", "form", "codec", "rate"),
    [
        ("a.m4a", "ipod", "aac", 44100),
        ("a.aac", "adts", "aac", 16000),
        ("a.webm", "webm", "libopus", 48000),
        ("a.mkv", "matroska", "flac", 16000),
        ("a.wma", "asf", "wmav2", 44100),
        ("a.amr", "amr", "libopencore_amrnb", 8000),
        ("a.mp4", "mp4", "aac", 16000),
        ("a.mov", "mov", "pcm_s16le", 48000),
    ],
)
def test_what_people_have_is_read_and_enhanced(tmp_path, model, name, form, codec, rate):
    path, out = tmp_path / name, tmp_path / "out.wav"
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codec}")
    write_media(path, form, codec, rate)
    with AudioReader(path) as reader:
        assert (reader.rate, reader.channels, reader.note) == (rate, 1, None)
        # Codecs of frames fill the last one, and ADTS and AMR cannot say what to leave out.
        # FFmpeg's encoder of WMA leaves out the end.
        assert (-0.05 if form == "asf" else -0.01) < reader.seconds - SECONDS < 0.2
        frames, pieces = reader.frames, []
        while len(piece := reader.read(1001)):
            pieces.append(piece)
        assert sum(map(len, pieces)) == frames
    assert onset_s(path) == pytest.approx(0.5, abs=0.14 if form in {"adts", "asf"} else 0.03)
    report = voxhop.enhance_file(path, out, model=model)
    assert soundfile.info(out).frames == frames
    assert (report.sample_rate, report.notes) == (rate, ())


@pytest.mark.parametrize(
    ("name", "form", "codec", "picture"),
    [
        ("v.mp4", "mp4", "aac", "libx264"),
        ("v.mov", "mov", "aac", "libx264"),
        ("v.mkv", "matroska", "aac", "libx264"),
        ("v.webm", "webm", "libopus", "libvpx"),
    ],
)
@pytest.mark.parametrize("sound_from_s", [0.0, 0.3])
def test_video_keeps_its_picture_and_the_sound_its_place(
    tmp_path, model, name, form, codec, picture, sound_from_s
):
    path, out = tmp_path / name, tmp_path / f"new {name}"
    write_media(path, form, codec, 48000, picture=picture, sound_from_s=sound_from_s)
    voxhop.enhance_file(path, out, model=model, strength=0.0)
    assert pictures(path) == pictures(out)
    assert len(pictures(out)) == 30
    assert onset_s(out) == pytest.approx(0.5 + sound_from_s, abs=0.03)
    assert onset_s(out) == pytest.approx(onset_s(path), abs=0.025)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, out.name])


def test_titles_in_an_old_encoding_are_no_reason_to_refuse_a_video(tmp_path, model):
    path, out = tmp_path / "v.mkv", tmp_path / "new v.mkv"
    write_media(path, "matroska", "aac", 48000, picture="libx264", title="Cafe")
    content = path.read_bytes()
    assert content.count(b"Cafe") == 1
    path.write_bytes(content.replace(b"Cafe", b"Caf\xe9"))  # Latin-1
    voxhop.enhance_file(path, out, model=model, strength=0.0)
    assert pictures(path) == pictures(out)
    assert b"Caf\xe9" in out.read_bytes()


def pictures(path):
    with open_container(av, path) as container:
        start = (container.start_time or 0) / av.time_base
        return [
            (bytes(packet), round((packet.pts * packet.time_base - Fraction(start)) * 25))
            for packet in container.demux(container.streams.video[0])
            if packet.size
        ]


def test_video_without_sound_and_a_damaged_one_are_named(tmp_path, model):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        out.mux(video.encode(None))
    with pytest.raises(voxhop.AudioFileError, match=r"silent\.mp4: has no sound track"):
        voxhop.enhance_file(path, tmp_path / "out.wav", model=model)
    broken = tmp_path / "broken.m4a"
    broken.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(200))
    with pytest.raises(voxhop.AudioFileError, match=r"broken\.m4a: cannot be read"):
        voxhop.enhance_file(broken, tmp_path / "out.wav", model=model)
    soundfile.write(tmp_path / "three.wav", np.zeros((8000, 3)), RATE)
    with pytest.raises(voxhop.AudioFileError, match="3 channels, expected 1, 2, 6 or 8"):
        voxhop.enhance_file(tmp_path / "three.wav", tmp_path / "out.m4a", model=model)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(("out", ".out"))]


WITHOUT = """
import sys
sys.modules["av"] = None
from voxhop.cli import main
sys.exit(main(["enhance", sys.argv[1], "-o", sys.argv[2]]))
"""


def test_without_pyav_the_way_is_said(tmp_path):
    path = tmp_path / "call.m4a"
    write_media(path, "ipod", "aac")
    command = [sys.executable, "-c", WITHOUT, path, tmp_path / "out.wav"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 1
    assert 'pip install "voxhop[av]"' in found.stderr
    assert f'ffmpeg -i "{path}" -vn sound.wav' in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 2**30])
def test_header_that_promises_more_or_nothing(tmp_path, model, subtype, length):
    path, out = tmp_path / "died.wav", tmp_path / "out.wav"
    soundfile.write(path, sound(), RATE, subtype=subtype)
    whole, _ = soundfile.read(path, dtype="float32")
    content = bytearray(path.read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = struct.pack("<I", length)
    # A recorder that died, in the middle of a sample.
    path.write_bytes(content[:-7])
    lost = -(-7 // bytes_of(subtype))
    with AudioReader(path) as reader:
        assert abs(reader.frames - (len(whole) - lost)) <= 1
        samples = reader.read(reader.frames)[:, 0]
    assert np.array_equal(samples, whole[: len(samples)])
    report = voxhop.enhance_file(path, out, model=model)
    (note,) = report.notes
    assert note.startswith(f"{path}: the header ")
    assert "1.200 s are there: taken as far as it goes" in note or "1.199" in note
    assert soundfile.info(out).frames == len(samples)


def bytes_of(subtype):
    return {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4, "ULAW": 1}[subtype]


def test_whole_wav_has_no_note(tmp_path, model):
    soundfile.write(tmp_path / "mic.wav", sound(), RATE)
    assert voxhop.enhance_file(tmp_path / "mic.wav", tmp_path / "o.wav", model=model).notes == ()
