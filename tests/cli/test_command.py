"""The command as a whole: help, exit codes, where output goes."""

import importlib
import os
import subprocess
import sys

import pytest

import voxhop
from voxhop.cli import VERBS, main

COMMAND = [sys.executable, "-m", "voxhop"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_of_itself(capsys, verb):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: voxhop {verb}" in text
    assert f"voxhop {verb}" in text.partition("example:")[2]


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"    {verb} " in text for verb in VERBS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"voxhop {voxhop.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_loads_no_arrays_and_no_engine(verb):
    unwanted = {"numpy", "cffi"} | ({"shutil", "json", "logging"} if verb == "enhance" else set())
    code = (
        "import sys; from voxhop.cli import main; assert main([sys.argv[1], '--help']) == 0;"
        f"sys.exit(' '.join({unwanted} & set(sys.modules)) or None)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, verb], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stderr == ""
    assert found.returncode == 0


@pytest.mark.parametrize("verb", VERBS)
def test_importing_a_verb_loads_nothing_heavy(verb):
    code = (
        f"import sys, voxhop.cli.{verb};"
        "print(sorted({'soundfile', 'soxr', 'matplotlib', 'torch', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "[]\n"
    assert callable(importlib.import_module(f"voxhop.cli.{verb}").run)


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["polish"],
        ["enhance"],
        ["enhance", "mic.wav"],
        ["enhance", "mic.wav", "-o", "out.wav", "--loud"],
        ["enhance", "mic.wav", "-o", "out.wav", "--threads", "many"],
        ["enhance", "mic.wav", "-o", "out.wav", "--threads", "0"],
        ["enhance", "mic.wav", "-o", "out.wav", "--mic-channel", "1"],
        ["enhance", "mic.wav", "-o", "out.wav", "--ref-channel", "0"],
        ["enhance", "mic.wav", "-o", "out.xyz"],
        ["enhance", "mic.wav", "-o", "out.wav", "--subtype", "PCM_7"],
        ["enhance", "mic.wav", "-o", "mic.wav"],
        ["bench", "--hops", "3"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_for_exits_2(recordings, capsys, line):
    assert main(line) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err
    assert "Traceback" not in captured.err
    assert sorted(path.name for path in recordings.iterdir()) == ["mic.wav", "speaker.wav"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["enhance", "gone.wav", "-o", "out.wav"], "gone.wav: no such file"),
        (["enhance", "mic.wav", "--ref", "gone.wav", "-o", "out.wav"], "gone.wav: no such file"),
        (["enhance", "mic.wav", "-o", "gone/out.wav"], "gone/out.wav: no folder"),
        (["enhance", "mic.wav", "-o", "out.wav", "--model", "mic.wav"], "mic.wav"),
        (["info", "gone.gguf"], "gone.gguf: no such file"),
        (["demo", "--model", "gone.gguf"], "gone.gguf: no such file"),
        (["demo", "-o", "mic.wav"], ": mic.wav: a file, expected a folder"),
        (["batch", ".", "-o", "mic.wav"], "/mic.wav: a file, expected a folder"),
        (["plugin", "install", "--prefix", "mic.wav"], "ladspa/voxhop: not a directory"),
    ],
    ids=" ".join,
)
def test_failure_exits_1_with_one_line_that_names_it(recordings, capsys, line, words):
    assert main(line) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"voxhop {line[0]}: ")
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not (recordings / "out.wav").exists()


def test_module_is_the_command():
    found = subprocess.run(
        [*COMMAND, "info", "gone.gguf"], capture_output=True, text=True, check=False, timeout=60
    )
    assert found.returncode == 1
    assert found.stderr.startswith("voxhop info: gone.gguf")


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes there")
def test_reader_that_goes_away_causes_no_traceback():
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run(
        [*COMMAND, "info", "--tensors"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (found.returncode, found.stderr) == (1, "")


def test_the_environment_is_left_as_it_was(recordings, tmp_path, monkeypatch):
    for value in (None, "3"):
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        if value:
            monkeypatch.setenv("OPENBLAS_NUM_THREADS", value)
        line = ["enhance", str(recordings / "mic.wav"), "-o", str(tmp_path / f"{value}.wav")]
        assert main(line) == 0
        assert os.environ.get("OPENBLAS_NUM_THREADS") == value


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize(("own", "most"), [(None, 1), ("2", 2)])
def test_enhancing_starts_no_threads_of_a_matrix_library(recordings, tmp_path, own, most):
    """One for the command itself; whoever wants more says so as ever."""
    line = ["enhance", str(recordings / "mic.wav"), "-o", str(tmp_path / "out.wav")]
    code = (
        "import os, sys; from voxhop.cli import main; "
        f"assert main({line!r}) == 0; print(len(os.listdir('/proc/self/task')))"
    )
    settings = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    settings |= {"OPENBLAS_NUM_THREADS": own} if own else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) <= most
    assert (tmp_path / "out.wav").stat().st_size > 0
