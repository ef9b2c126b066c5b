"""``voxhop encode``, ``decode`` and ``info`` of coded files."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from recordings import voxhop_command
from voxhop.cli import main
from voxhop.codec import ContainerWriter, parse_container

MODEL = str(Path(__file__).parent.parent / "golden" / "sublime-random" / "model-f32.gguf")
COMMAND = [sys.executable, "-m", "voxhop"]


@pytest.fixture
def coded(recordings, capsys):
    assert main(["encode", "mic.wav", "-o", "talk.vxc", "--model", MODEL]) == 0
    assert "talk.vxc: 0.5 s at 16000 Hz, 6 kbit/s, 423 bytes coded" in capsys.readouterr().out
    return recordings / "talk.vxc"


def test_file_is_what_the_function_makes(coded):
    sound, rate = soundfile.read("mic.wav", dtype="float32")
    assert coded.read_bytes() == voxhop.encode(sound, sample_rate=rate, model=MODEL)


def test_options_reach_the_function(coded, capsys):
    sound, rate = soundfile.read("mic.wav", dtype="float32")
    soundfile.write("both.wav", np.stack([0 * sound, sound], 1), rate, "FLOAT")
    line = ["encode", "both.wav", "-o", "low.vxc", "--kbps", "1", "--channel", "1", "--json"]
    assert main([*line, "--model", MODEL]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kbps"], report["frames"], report["coded_bytes"]) == (1, 26, 33 + 65)
    low = voxhop.encode(sound, sample_rate=rate, model=MODEL, kbps=1)
    assert Path("low.vxc").read_bytes() == low
    line = ["decode", str(coded), "-o", "heard.flac", "--kbps", "1", "--subtype", "PCM_24"]
    assert main([*line, "--model", MODEL]) == 0
    assert soundfile.info("heard.flac").subtype == "PCM_24"
    heard, _ = soundfile.read("heard.flac", dtype="float32")
    expected, _ = voxhop.decode(low, model=MODEL)
    assert np.abs(heard - np.clip(expected, -1, 1)).max() < 1e-6


def test_pipes(coded):
    def run(*line, given):
        found = subprocess.run(
            [*COMMAND, *line, "--model", MODEL], input=given, capture_output=True, check=False
        )
        assert found.returncode == 0, found.stderr
        assert b"real time" in found.stderr
        return found.stdout

    data = run("encode", "-", "-o", "-", given=Path("mic.wav").read_bytes())
    assert data == coded.read_bytes()
    heard = run("decode", "-", "-o", "-", given=data)
    assert main(["decode", "talk.vxc", "-o", "heard.wav", "--model", MODEL]) == 0
    assert heard == Path("heard.wav").read_bytes()


def test_damage_is_named_and_leaves_nothing(coded, capsys):
    data = coded.read_bytes()
    Path("cut.vxc").write_bytes(data[:-100])
    line = ["decode", "cut.vxc", "-o", "heard.wav", "--model", MODEL]
    assert main(line) == 1
    message = "voxhop decode: cut.vxc: 19 of its 26 frames are there"
    assert message in capsys.readouterr().err
    assert not Path("heard.wav").exists()
    assert main([*line, "--damaged"]) == 0
    assert message in capsys.readouterr().err
    assert soundfile.info("heard.wav").frames == 18 * 320
    assert main(["decode", "mic.wav", "-o", "x.wav", "--model", MODEL]) == 1
    assert "no coded speech" in capsys.readouterr().err


def test_enhance_says_who_took_the_noise_away(coded, capsys):
    line = ["encode", "mic.wav", "-o", "x.vxc", "--enhance", "--model", MODEL]
    assert main(line) == 0
    assert f"noise taken away by {voxhop.DEFAULT_MODEL}, 423 bytes" in capsys.readouterr().out
    assert len(Path("x.vxc").read_bytes()) == len(coded.read_bytes()) == 423
    assert Path("x.vxc").read_bytes() != coded.read_bytes()
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["enhanced_by"] == voxhop.DEFAULT_MODEL
    assert main(["info", "x.vxc"]) == 0


def test_info_of_a_coded_file(coded, capsys):
    assert main(["info", str(coded)]) == 0
    text = capsys.readouterr().out
    assert "coded speech, version 1" in text
    assert "8,000 samples at 16000 Hz" in text
    assert "26 of 6 kbit/s, in 390 bytes" in text
    assert "whole" in text
    cut = coded.with_name("cut.vxc")
    cut.write_bytes(coded.read_bytes()[:-1])
    assert main(["info", str(cut), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problem"] == "25 of its 26 frames are there"
    assert found["frames_by_kbps"] == {"1": 0, "6": 25}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_stopped_in_the_middle_nothing_is_left(coded, number, code, verb):
    sound, rate = soundfile.read("mic.wav", dtype="float32")
    soundfile.write("long.wav", np.tile(sound, 600), rate)  # five minutes
    source, out = "long.wav", "out.vxc"
    if verb == "decode":
        data = voxhop.encode(sound, sample_rate=rate, model=MODEL)
        source, out = "long.vxc", "out.wav"
        with Path(source).open("wb") as file:
            writer = ContainerWriter(file, sample_rate=rate, kbps=6)
            ((_, codes),) = parse_container(data).runs()
            writer.write(np.tile(codes, (600, 1)))
            writer.finish(599 * len(codes) * 320)
    before = sorted(path.name for path in coded.parent.iterdir())
    running = subprocess.Popen(
        voxhop_command(verb, source, "-o", out, "--model", MODEL),
        stderr=subprocess.PIPE,
        text=True,
    )
    while sorted(path.name for path in coded.parent.iterdir()) == before:
        assert running.poll() is None
        time.sleep(0.01)  # until the partial file is there
    running.send_signal(number)
    _, err = running.communicate(timeout=120)
    assert running.returncode == code
    assert err.endswith("interrupted\n" if code == 130 else "")
    assert sorted(path.name for path in coded.parent.iterdir()) == before
