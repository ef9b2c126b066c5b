"""The installed package serves a plain C project through its CMake package."""

import shutil
import subprocess
from pathlib import Path

import pytest
import voxhop._voxhop_cffi

GOLDEN = Path(__file__).parents[1] / "golden" / "localvqe-v1.1-random"
SOURCE = Path(__file__).parents[1] / "c"
PREFIX = Path(voxhop._voxhop_cffi.__file__).parent


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Configure and build tests/c against the installed package."""
    if shutil.which("cmake") is None or shutil.which("cc") is None:
        pytest.skip("needs cmake and a C compiler")
    build = tmp_path_factory.mktemp("consumer")
    subprocess.run(
        ["cmake", "-S", SOURCE, "-B", build, f"-Dvoxhop_DIR={PREFIX}/lib/cmake/voxhop"],
        check=True,
        capture_output=True,
    )
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    return build


def run(programs, *limits):
    files = ["model-f32.gguf", "synth.mic.f32", "synth.ref.f32", "synth.pt64.f64"]
    return subprocess.run(
        [programs / "golden_check", "auto", "auto", *(GOLDEN / name for name in files), *limits],
        capture_output=True,
        text=True,
        check=False,
    )


def test_c_program_streams_the_golden_clip(programs):
    done = run(programs)
    assert done.returncode == 0, done.stdout + done.stderr


def test_c_program_can_fail(programs):
    assert run(programs, "1e-12", "1e-12").returncode == 1


@pytest.mark.parametrize("rates", [(16000, 16000), (48000, 44100), (8000, 24000)])
def test_c_program_runs_a_chain(programs, rates):
    codec = GOLDEN.parent / "sublime-random" / "model-f32.gguf"
    done = subprocess.run(
        [programs / "chain_check", GOLDEN / "model-f32.gguf", codec, *map(str, rates)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    latency, made, lost = map(int, done.stdout.split())
    assert made == 30000 * rates[1] // rates[0]
    assert min(latency, lost) > 0
