"""``voxhop demo --codec``: a talker as recorded, at 6 and at 1 kbit/s."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop.cli import codec_demo, main

MODEL = str(Path(__file__).parent.parent / "golden" / "sublime-random" / "model-f32.gguf")
DEMO = Path(voxhop.__file__).parent / "demo"
SAMPLES = 91_200  # 5.7 s at 16 kHz: all that the far end says


def test_demo_writes_what_the_functions_make(tmp_path, capsys):
    out = tmp_path / "made" / "here"
    assert main(["demo", "--codec", "--model", MODEL, "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in out.iterdir()) == [
        "1-kbps.vxc",
        "1-kbps.wav",
        "6-kbps.vxc",
        "6-kbps.wav",
        "codec.png",
        "original.wav",
    ]
    assert (out / "codec.png").read_bytes().startswith(b"\x89PNG")
    speech, rate = soundfile.read(out / "original.wav", dtype="float32")
    assert np.array_equal(speech, soundfile.read(DEMO / "ref.flac", dtype="float32")[0][:SAMPLES])
    assert told["original_bytes"] == 2 * SAMPLES
    assert told["seconds"] == 5.7
    assert [row["kbps"] for row in told["coded"]] == [6, 1]
    for row in told["coded"]:
        coded = (out / f"{row['kbps']}-kbps.vxc").read_bytes()
        assert coded == voxhop.encode(speech, sample_rate=rate, model=MODEL, kbps=row["kbps"])
        assert row["coded_bytes"] == len(coded)
        assert row["smaller"] == pytest.approx(2 * SAMPLES / len(coded))
        heard, _ = soundfile.read(row["heard"], dtype="float32")
        expected, _ = voxhop.decode(coded, model=MODEL)
        assert np.abs(heard - np.clip(expected, -1, 1)).max() <= 1 / 32768
        assert row["spectrum_db"] == pytest.approx(
            codec_demo.spectrum_distance_db(speech, heard, rate)
        )


def test_demo_in_words_names_every_file(tmp_path, capsys):
    assert main(["demo", "--codec", "--model", MODEL, "-o", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "5.7 s of a talker" in text
    for name in ("original.wav", "6-kbps.wav", "1-kbps.wav", "codec.png"):
        assert str(tmp_path / name) in text
    assert "6 kbit/s   4,323      42 x" in text
    assert "1 kbit/s     748     244 x" in text


def test_without_a_codec_nothing_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("voxhop.codec.DEFAULT_CODEC", "voxhop-absent")
    out = tmp_path / "out"
    assert main(["demo", "--codec", "-o", str(out)]) == 1
    message = capsys.readouterr().err
    assert "voxhop-absent: no such file" in message
    assert "--model FILE takes others" in message
    assert main(["demo", "--codec", "--model", "gone.gguf", "-o", str(out)]) == 1
    assert "gone.gguf: no such file" in capsys.readouterr().err
    assert not out.exists()
    assert main(["demo", "--codec", "--model", "voxhop-seflow", "-o", str(out)]) == 2
    assert "seflow, expected a speech codec" in capsys.readouterr().err


def test_distance_of_known_changes():
    rate = 16000
    speech = np.random.default_rng(4).normal(0, 0.1, 2 * rate).astype(np.float32)
    assert codec_demo.spectrum_distance_db(speech, speech, rate) == 0
    louder = codec_demo.spectrum_distance_db(speech, 2 * speech, rate)
    assert louder == pytest.approx(20 * np.log10(2), abs=1e-3)
    # Only what is within 50 dB of the loudest counts: what comes into a pause does not.
    speech[rate:] = 0
    late = speech.copy()
    late[rate + rate // 4 :] = 0.1
    assert codec_demo.spectrum_distance_db(speech, late, rate) == 0
