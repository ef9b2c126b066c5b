"""`voxhop.chain_file`, chains as TOML files, and ``voxhop chain``."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from gguf_bytes import tiny_localvqe
from voxhop.chain import read_recipe
from voxhop.cli import main
from voxhop.errors import ArgumentError

RESTORER = Path(__file__).parent.parent / "golden" / "streamfm-random" / "model-f32.gguf"
RECIPE = """
[[link]]
model = "tiny.gguf"
strength = 0.9

[[link]]
model = "restorer.gguf"
name = "phase"
solver = "euler1"
seed = 4
"""
LINE = ["chain", "call.toml", "mic.wav", "-o", "out.wav"]


@pytest.fixture
def here(tmp_path, monkeypatch, sounds):
    """Enter a folder with a recipe, its models, and 0.3 s of both sides."""
    (tmp_path / "tiny.gguf").write_bytes(tiny_localvqe().encode())
    (tmp_path / "restorer.gguf").write_bytes(RESTORER.read_bytes())
    (tmp_path / "call.toml").write_text(RECIPE)
    for name, samples in zip(("mic.wav", "speaker.wav"), sounds, strict=True):
        soundfile.write(tmp_path / name, samples[:4800], 16000, "FLOAT")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_file_is_the_chain_without_its_latency(sounds, capsys):
    assert main([*LINE, "--ref", "speaker.wav"]) == 0
    text = capsys.readouterr().out
    assert "out.wav: 0.3 s, 1 channel, 16000 Hz, WAV FLOAT" in text
    assert "as a stream: 33.9 ms late" in text
    assert "\nphase " in text
    mic, ref = (x[:4800] for x in sounds)
    with read_recipe("call.toml").open(16000) as chain:
        stream = np.concatenate((chain.process(mic, ref), chain.flush()))
        assert chain.latency_samples == 543
    out, _ = soundfile.read("out.wav", dtype="float32")
    assert np.array_equal(out, stream[543:])


def test_rates_channels_and_json(here, capsys, sounds):
    both = np.stack([sounds[0][:2400], sounds[1][:2400]], axis=1)
    soundfile.write("mic.wav", both, 8000, "PCM_16")
    wide = (
        (here / "call.toml").read_text().replace("[[link]]", "out_sample_rate = 16000\n[[link]]", 1)
    )
    (here / "call.toml").write_text(wide)
    assert main([*LINE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sample_rate"], told["channels"], told["seconds"]) == (16000, 2, 0.3)
    assert [link["name"] for link in told["sides"][1]["links"]] == ["tiny", "phase"]
    assert soundfile.info("out.wav").frames == 4800
    out, _ = soundfile.read("out.wav")
    soundfile.write("mic.wav", both[:, 1], 8000, "PCM_16")
    assert main(LINE) == 0
    assert np.array_equal(soundfile.read("out.wav")[0], out[:, 1])


def test_odd_rates_come_back_as_they_were(here, capsys):
    soundfile.write("mic.wav", np.zeros(3000), 11127)
    assert main(LINE) == 0
    assert (soundfile.info("out.wav").frames, soundfile.info("out.wav").samplerate) == (3000, 11127)
    assert capsys.readouterr().err == ""
    assert sorted(p.name for p in here.iterdir() if p.name.startswith(".")) == []


def test_standard_streams(here):
    line = [sys.executable, "-m", "voxhop", "chain", "call.toml", "-", "-o", "-"]
    done = subprocess.run(
        line,
        input=(here / "mic.wav").read_bytes(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    (here / "piped.wav").write_bytes(done.stdout)
    assert soundfile.info("piped.wav").frames == 4800
    assert done.stderr.startswith(b"-: 0.3 s, 1 channel")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[link", "call.toml: cannot be read"),
        ("", "no links, expected one"),
        ("link = 3", "no links, expected one"),
        ("speed = 3\n[[link]]\nmodel = 'x'", "unknown key 'speed'"),
        ("out_sample_rate = 'x'\n[[link]]\nmodel = 'x'", "out_sample_rate 'x'"),
        ("[[link]]\nstrength = 1", "link 0: expected one of model, task, codec"),
        ("[[link]]\nmodel = 'x'\ntask = 'bwe'", "link 0: expected one of model, task, codec"),
        ("[[link]]\nmodel = 3", "link 0: model 3, expected a string"),
        ("[[link]]\nmodel = 'x'\nname = 3", "link 0: name 3, expected a str"),
        ("[[link]]\ncodec = 'x'\nbypass = 'no'", "link 0: bypass 'no', expected a bool"),
        ("[[link]]\ncodec = 'x'\nloss = 'no'", "link 0: "),
        ("[[link]]\ncodec = 'x'\nkbps = 2", "link 0: kbps: 2"),
        ("[[link]]\nmodel = 'x'\nstrength = 2", "link 0: link x: strength 2"),
    ],
)
def test_recipes_that_make_no_sense(here, capsys, text, words):
    (here / "call.toml").write_text(text)
    with pytest.raises(ArgumentError, match=words.split(":")[0]):
        read_recipe("call.toml")
    assert main(LINE) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not (here / "out.wav").exists()


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (1, "[[link]]\nmodel = 'gone.gguf'", "gone.gguf: no such file"),
        (1, "[[link]]\ntask = 'derev'", "task derev: no model for it is installed"),
        (2, "[[link]]\nmodel = 'restorer.gguf'\nsolver = 'heun'", "solver: heun"),
        (2, "[[link]]\nmodel = 'restorer.gguf'", "ref: no link of this chain"),
    ],
)
def test_what_fails_leaves_nothing(here, capsys, monkeypatch, code, text, words):
    monkeypatch.setenv("VOXHOP_CACHE_DIR", str(here / "none"))
    (here / "call.toml").write_text(text)
    assert main([*LINE, "--ref", "speaker.wav"]) == code
    assert words in capsys.readouterr().err
    assert not list(here.glob("*out.wav*"))


@pytest.mark.usefixtures("here")
def test_an_input_is_not_overwritten(capsys):
    assert main(["chain", "call.toml", "mic.wav", "-o", "mic.wav"]) == 2
    assert "an input too" in capsys.readouterr().err
    assert voxhop.io.AudioReader("mic.wav").frames == 4800
