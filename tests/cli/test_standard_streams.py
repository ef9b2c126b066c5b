"""``-`` in ``voxhop enhance``, exit codes of recordings that end early, and a quiet terminal."""

import io
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

COMMAND = [sys.executable, "-m", "voxhop", "enhance"]


def run(*line, stdin=b""):
    return subprocess.run(
        [*COMMAND, *line], input=stdin, capture_output=True, check=False, timeout=60
    )


def test_standard_input_and_output_are_what_files_are(recordings):
    mic = (recordings / "mic.wav").read_bytes()
    found = run("-", "--ref", "speaker.wav", "-o", "-", "--json", stdin=mic)
    assert found.returncode == 0, found.stderr
    assert run("mic.wav", "--ref", "speaker.wav", "-o", "clean.wav").returncode == 0
    assert found.stdout == (recordings / "clean.wav").read_bytes()
    report = json.loads(found.stderr)
    assert (report["mic"], report["ref"], report["out"]) == ("-", "speaker.wav", "-")


@pytest.mark.usefixtures("recordings")
def test_format_of_standard_output():
    found = run("mic.wav", "-o", "-", "--format", "flac")
    assert soundfile.info(io.BytesIO(found.stdout)).format == "FLAC"


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize(
    ("line", "stdin", "code", "words"),
    [
        (("-", "-o", "-"), b"not audio" * 40, 1, "standard input: cannot be read"),
        (("-", "-o", "-"), b"", 1, "standard input: an empty file"),
        (("-", "--ref", "-", "-o", "o.wav"), b"", 2, "standard input can be read once"),
        (("mic.wav", "-o", "-", "--format", "xyz"), b"", 2, "standard output"),
    ],
)
def test_what_goes_wrong_writes_nothing(line, stdin, code, words):
    found = run(*line, stdin=stdin)
    assert (found.returncode, found.stdout) == (code, b"")
    assert words in found.stderr.decode()
    assert found.stderr.count(b"\n") == 1


def test_early_end_is_one_line_and_the_exit_code_a_choice(recordings):
    content = bytearray((recordings / "mic.wav").read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = struct.pack("<I", 0)
    for line, code in ((("-", "-o", "o.wav"), 0), (("-", "-o", "s.wav", "--strict"), 1)):
        found = run(*line, stdin=bytes(content))
        assert found.returncode == code
        assert found.stderr.decode() == (
            "voxhop enhance: standard input: the header gives no length, 0.500 s are there: "
            "taken as far as it goes\n"
        )
    assert soundfile.info("o.wav").frames == soundfile.info("s.wav").frames == 8000


def test_chatter_of_a_decoder_stays_off_the_terminal(recordings):
    noise = np.random.default_rng(0).normal(0, 0.1, 80000)
    soundfile.write("noise.mp3", noise, 16000)
    content = bytearray((recordings / "noise.mp3").read_bytes())
    content[3000:3400] = np.random.default_rng(1).bytes(400)
    (recordings / "noise.mp3").write_bytes(content[:-50])
    read = "import soundfile; soundfile.read('noise.mp3')"
    loud = subprocess.run([sys.executable, "-c", read], capture_output=True, check=False)
    assert b"mpg123" in loud.stderr or b"Note" in loud.stderr
    found = run("noise.mp3", "-o", "out.wav")
    assert b"mpg123" not in found.stderr
    assert b"Note" not in found.stderr
