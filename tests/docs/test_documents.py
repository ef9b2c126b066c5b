"""What the documents tell people to type works."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop._bindings import library_path
from voxhop.cli import main
from voxhop.models import find_model

ROOT = Path(__file__).parents[2]
DEMO = Path(voxhop.__file__).parent / "demo"
SUBLIME = ROOT / "tests" / "golden" / "sublime-random" / "model-f32.gguf"
PAGES = (
    "README.md",
    "docs/python.md",
    "docs/cli.md",
    "docs/c-api.md",
    "docs/stream.md",
    "docs/chain.md",
)
HOP = 256


def blocks(language):
    """Return the fenced blocks of a language: ``(page, text)`` with a name for each."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        texts = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        found += [pytest.param(t, id=f"{page} {language} {i}") for i, t in enumerate(texts)]
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Enter a folder with the files that the documents speak of."""
    tracks = {}
    for source, name in (("mic", "mic.wav"), ("ref", "speaker.wav")):
        tracks[name], rate = soundfile.read(
            DEMO / f"{source}.flac", start=40000, frames=8192, dtype="int16"
        )
        soundfile.write(tmp_path / name, tracks[name], rate)
    shutil.copy(SUBLIME, tmp_path / "sublime.gguf")
    (tmp_path / "trace.txt").write_text("0010 0100\n")
    both = np.stack([tracks["mic.wav"], tracks["speaker.wav"]], axis=1)
    soundfile.write(tmp_path / "both.wav", both, rate)
    monkeypatch.chdir(tmp_path)
    return both


def streamed(both):
    """Return the int16 stream that a live program must make of interleaved samples."""
    with voxhop.load() as model, model.session() as session:
        return np.concatenate(
            [
                session.process_hop(*both[i : i + HOP].T.copy())
                for i in range(0, len(both) - HOP + 1, HOP)
            ]
        )


def blockwise(both):
    """Return what a stream at 48 kHz makes of the whole blocks of 10 ms, and its tail."""
    whole = both[: len(both) // 480 * 480]
    with voxhop.load() as model, voxhop.Stream(model, sample_rate=48000) as stream:
        return np.concatenate([stream.process(*whole.T.copy()), stream.flush()])


def chained(both):
    """Return what two links, the second at half strength, make of whole blocks, and the tail."""
    whole = both[: len(both) // 160 * 160]
    with voxhop.load() as model:
        links = [model, voxhop.ModelLink(model, strength=0.5)]
        with voxhop.Chain(links, sample_rate=16000) as chain:
            return np.concatenate([chain.process(*whole.T.copy()), chain.flush()])


def coded(both):
    """Return what the codec makes of the whole blocks of 160 samples, as they come."""
    whole = both.reshape(-1)[: both.size // 160 * 160]
    with voxhop.CodecEncoder(SUBLIME) as encoder, voxhop.CodecDecoder(SUBLIME) as decoder:
        return decoder.push(encoder.push(whole), dtype=np.int16)


PROGRAMS = {"vh_stream": blockwise, "vh_chain": chained, "vh_codec": coded}


@pytest.mark.parametrize("block", blocks("python"))
def test_python_block_runs(folder, block):
    live = "stdin" in block
    found = subprocess.run(
        [sys.executable, "-c", block],
        input=folder.tobytes() if live else None,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr.decode()
    if live:
        assert np.array_equal(np.frombuffer(found.stdout, np.int16), streamed(folder))
    if "clean.wav" in block:
        assert soundfile.info("clean.wav").frames == len(folder)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("block", blocks("sh"))
def test_command_runs(block, capsys):
    if "film.mp4" in block:
        voxhop.enhance_file("mic.wav", "film.mp4")
    for line in block.strip().splitlines():
        program, *arguments = shlex.split(line)
        if program == "voxhop":
            assert main(arguments) == 0, capsys.readouterr().err


def test_the_two_commands_of_the_readme_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first, second = re.findall(r"^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)[:2]
    assert first == (
        'python3 -m venv .venv && .venv/bin/pip install ".[plot]" && .venv/bin/voxhop demo\n'
    )
    assert second == "tools/test.sh\n"
    assert (ROOT / "tools" / "test.sh").stat().st_mode & 0o100


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    missing = [t for t in targets if not ((ROOT / page).parent / t).exists()]
    assert missing == []


def test_functions_of_the_c_page_exist():
    header = (ROOT / "csrc" / "include" / "voxhop.h").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "c-api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(vh_\w+)`", page)) - {"vh_error", "vh_stream_metrics"}
    declared = set(re.findall(r"\b(vh_\w+)\(", header))
    assert named
    assert named <= declared
    assert declared <= named


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("block", blocks("c"))
def test_c_program_streams(folder, block, tmp_path):
    import voxhop._voxhop_cffi as generated  # noqa: PLC0415 - made by the build

    made = next((f for part, f in PROGRAMS.items() if part in block), streamed)
    expected = made(folder)
    model = SUBLIME if made is coded else find_model(voxhop.DEFAULT_MODEL)
    (tmp_path / "program.c").write_text(block)
    library = library_path(generated.__file__)
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "program.c", "-o", "program"]
    include = f"-I{ROOT / 'csrc' / 'include'}"
    subprocess.run([*command, include, library, "-lm", f"-Wl,-rpath,{library.parent}"], check=True)
    found = subprocess.run(
        ["./program", model],
        input=folder.tobytes(),
        capture_output=True,
        check=True,
    )
    assert np.array_equal(np.frombuffer(found.stdout, np.int16), expected)
