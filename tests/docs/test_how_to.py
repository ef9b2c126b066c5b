"""Every code block of the how-to pages runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
DEMO = Path(voxhop.__file__).parent / "demo"
RATE = 16000
HEAVY = ("pipecat",)  # frameworks that the extra test does not bring
MAKES = {
    "-o clean.wav": "clean.wav",
    "> clean.raw": "clean.raw",
    "-o call.html": "call.html",
    '"calls"': "clean/two.wav",
    "batch calls": "clean/two.wav",
    "batch meetings": "clean/a_mic.wav",
    "batch list.csv": "clean/meetings/a_mic.wav",
    '"heard.wav"': "heard.wav",
}


def blocks():
    found = []
    for page in sorted(HOW_TO.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        fenced = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for i, (language, body) in enumerate(fenced):
            found.append(pytest.param(language, body, id=f"{page.stem}-{i}"))
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Enter a folder with 3 s of the demo call in the files that the pages speak of."""
    sides = [
        soundfile.read(DEMO / f"{name}.flac", frames=3 * RATE, dtype="int16")[0]
        for name in ("mic", "ref")
    ]
    both = np.stack(sides, axis=1)
    for name, samples in (("mic", sides[0]), ("speaker", sides[1]), ("both", both)):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE)
    for name in ("calls", "meetings"):
        (tmp_path / name).mkdir()
    for name, samples in (("mic", sides[0]), ("ref", sides[1])):
        soundfile.write(tmp_path / "meetings" / f"a_{name}.wav", samples, RATE)
    for name in ("one", "two"):
        soundfile.write(tmp_path / "calls" / f"{name}.wav", both, RATE)
    for name, samples in (("mic", sides[0]), ("ref", sides[1]), ("both", both)):
        (tmp_path / f"{name}.raw").write_bytes(samples.tobytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_pages_with_code():
    assert len(blocks()) >= 12
    assert len(list(HOW_TO.glob("*.md"))) >= 8


@pytest.mark.parametrize(("language", "body"), blocks())
def test_block_runs(folder, language, body):
    if "report" in body:
        pytest.importorskip("matplotlib")
    if language == "python":
        for package in HEAVY:
            if f"from {package}" in body:
                pytest.importorskip(package, reason=f"heavy: pip install {package}")
        command = [sys.executable, "-c", body]
    else:
        assert language == "sh"
        # The command of this environment, whether or not it is on the path.
        runner = f"{sys.executable} -m voxhop "
        command = ["bash", "-c", re.sub(r"\bvoxhop (?=[a-z])", runner, body)]
    environment = {**os.environ, "PYTHONWARNINGS": "error::SyntaxWarning"}
    done = subprocess.run(
        command, capture_output=True, check=False, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    for words, name in MAKES.items():
        if words in body or (language == "python" and f'"{name}"' in body):
            assert (folder / name).stat().st_size > 1000
    for raw in folder.glob("clean.raw"):
        assert raw.stat().st_size == 2 * 3 * RATE
