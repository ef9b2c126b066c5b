"""A hop of the fused kernels makes no system call: the kernel kills the process if it does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import voxhop._voxhop_cffi

from streams import GOLDEN
from voxhop._bindings import library_path
from voxhop.models import find_model

SOURCE = Path(__file__).with_name("no_syscalls.c")
HEADERS = Path(__file__).parents[2] / "csrc" / "include"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if not sys.platform.startswith("linux") or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler")
    target = tmp_path_factory.mktemp("no_syscalls") / "no_syscalls"
    library = Path(library_path(voxhop._voxhop_cffi.__file__)).resolve()
    command = ["cc", "-std=gnu99", "-O1", f"-I{HEADERS}", SOURCE, "-o", target, library]
    subprocess.run([*command, f"-Wl,-rpath,{library.parent}"], check=True)
    return target


def hops(program, *options, model=GOLDEN / "model-f32.gguf"):
    command = [program, model, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("streams", ["0", "3"])
@pytest.mark.parametrize("history_first", ["0", "1"])
@pytest.mark.parametrize("precision", ["f32", "f16", "bf16", "int8"])
def test_fused_hops_make_none(program, precision, history_first, streams):
    done = hops(program, "fused", precision, history_first, streams)
    assert (done.returncode, done.stdout) == (0, "50 hops\n"), done.stderr


def test_fused_hops_behind_a_canceller_make_none(program):
    canceller = find_model("voxhop-localvqe-1.3M-canceller")
    done = hops(program, "fused", "auto", "0", "0", model=canceller)
    assert (done.returncode, done.stdout) == (0, "50 hops\n"), done.stderr
