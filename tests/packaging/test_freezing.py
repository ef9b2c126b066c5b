"""A program that PyInstaller freezes finds the engine, its models and its verbs."""

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

import voxhop
from voxhop._bindings import engine_file

DEMO = Path(voxhop.__file__).parent / "demo"
PROGRAM = """
import sys
import voxhop
from voxhop.cli import main

assert getattr(sys, "frozen", False)
voxhop.enhance_file(sys.argv[1], "library.wav", ref=sys.argv[2], model="voxhop-localvqe-small")
sys.exit(main(["enhance", sys.argv[1], "-o", "verb.wav", "--ref", sys.argv[2]]))
"""


def test_pyinstaller_finds_the_hooks():
    points = importlib.metadata.entry_points(group="pyinstaller40", name="hook-dirs")
    (entry,) = {point.value: point for point in points if point.dist.name == "voxhop"}.values()
    (folder,) = entry.load()()
    assert {path.name for path in Path(folder).glob("hook-*.py")} == {
        "hook-voxhop.py",
        "hook-voxhop.cli.py",
    }


def imported(path):
    """Return the top names of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_every_package_of_an_extra_is_left_out_unless_the_program_imports_it():
    package = Path(voxhop.__file__).parent
    found = {name for path in package.rglob("*.py") for name in imported(path)}
    tree = ast.parse((package / "__pyinstaller" / "hook-voxhop.py").read_text())
    (left_out,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "excludedimports"
    )
    base = {"PyInstaller", "_cffi_backend", "cffi", "numpy", "soundfile", "soxr", "voxhop"}
    assert set(left_out) == found - base - sys.stdlib_module_names


def test_nuitka_is_told_of_every_file():
    line = [sys.executable, "-m", "voxhop.__nuitka"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    text = Path(done.stdout.strip()).read_text()
    package = Path(voxhop.__file__).parent
    suffixes = {".py", ".pyc", ".typed", ".yml", ".h"}
    folders = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in suffixes
    }
    for folder in folders - {"lib", "include"}:
        assert f"'{folder}'" in text, folder
    library = engine_file()
    for path in (library, *library.parent.glob("plugins/*")):
        assert f"'{path.name.partition('.')[0]}'" in text, path.name


@pytest.mark.slow
def test_a_frozen_program_runs_where_there_is_no_python(tmp_path):
    pytest.importorskip("PyInstaller", reason="needs pip install pyinstaller")
    (tmp_path / "program.py").write_text(PROGRAM)
    build = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR"]
    subprocess.run([*build, "program.py"], cwd=tmp_path, check=True)
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "dist" / "program", moved)
    command = [moved / "program", DEMO / "mic.flac", DEMO / "ref.flac"]
    bare = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    done = subprocess.run(
        command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "verb.wav: 8.6 s" in done.stdout
    for name, model in (("library", "voxhop-localvqe-small"), ("verb", None)):
        voxhop.enhance_file(
            DEMO / "mic.flac", tmp_path / "same.wav", ref=DEMO / "ref.flac", model=model
        )
        expected, _ = soundfile.read(tmp_path / "same.wav")
        found, _ = soundfile.read(tmp_path / f"{name}.wav")
        assert (found == expected).all()
