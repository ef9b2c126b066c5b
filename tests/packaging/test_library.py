"""What the shared library shows to the process it is loaded into."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import voxhop._voxhop_cffi

LIBRARY = Path(voxhop._voxhop_cffi.__file__).parent / "lib" / "libvoxhop.so"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF library")


@linux
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm (binutils)")
def test_only_our_symbols_are_exported():
    done = subprocess.run(
        ["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True, check=True
    )
    names = [line.split()[-1] for line in done.stdout.splitlines()]
    assert "vh_session_process_f32" in names
    assert [name for name in names if not name.startswith("vh_")] == []


@linux
@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf (binutils)")
def test_library_needs_the_c_library_only():
    done = subprocess.run(["readelf", "-d", LIBRARY], capture_output=True, text=True, check=True)
    needed = {line.split("[")[1][:-1] for line in done.stdout.splitlines() if "(NEEDED)" in line}
    allowed = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"}
    assert {name for name in needed if not name.startswith("ld-linux")} <= allowed
