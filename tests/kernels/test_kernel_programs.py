"""Builds the kernels alone and runs their double-loop test, asm scan and rate check."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tolerances

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake and a C++ compiler")
    folder = tmp_path_factory.mktemp("kernels")
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    subprocess.run(["cmake", "-S", HERE, "-B", folder, *launcher], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", folder, "-j2"], check=True, capture_output=True)
    return folder


def test_every_kernel_against_double_loops(build):
    done = subprocess.run([build / "kernel_test"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[1-9]\d{2,} checks, 0 failures", done.stdout, re.MULTILINE)


def test_worker_pool_runs_every_chunk_once(build):
    done = subprocess.run([build / "pool_test"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def inner_loops(assembly):
    """Return the bodies of backward jumps that hold no other jump, as lists of lines."""
    loops = []
    for name, body in re.findall(r"<(.+?)>:\n((?:.+\n)+)", assembly):
        lines = [re.match(r"\s*([0-9a-f]+):\s+(.*)", line) for line in body.splitlines()]
        lines = [(int(m[1], 16), m[2]) for m in lines if m]
        for at, (address, text) in enumerate(lines):
            jump = re.match(r"j\w+\s+([0-9a-f]+)", text)
            if jump and int(jump[1], 16) <= address:
                start = int(jump[1], 16)
                inside = [t for a, t in lines[:at] if a >= start]
                if not any(re.match(r"j\w+\s", t) for t in inside):
                    loops.append((name, inside))
    return loops


@pytest.mark.parametrize(
    ("isa", "multiply"),
    [
        ("avx2", "vfmadd"),
        ("avx2_vnni", "vpdpbusd"),
        ("avx512", "vfmadd"),
        ("avx512_bf16", "vdpbf16ps"),
        ("avx512_vnni", "vpdpbusd"),
    ],
)
def test_accumulators_stay_in_registers(build, isa, multiply):
    """GCC has put them on the stack before, at a third of the speed."""
    objects = list(build.rglob(f"isa_{isa}.cpp.o"))
    if not objects or shutil.which("objdump") is None:
        pytest.skip("no such object file on this machine")
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", "-C", objects[0]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    tiles = [
        (name, body)
        for name, body in inner_loops(listing)
        if "Conv" in name
        and sum(multiply in line for line in body) >= 8
        # bf16 without bf16 instructions needs more registers than AVX2 has.
        and not (isa == "avx2" and "Bf16Conv" in name)
    ]
    assert len(tiles) >= (4 if isa == "avx2_vnni" else 5)
    for name, body in tiles:
        stores = [t for t in body if re.match(r"vmov\w+\s+%[xyz]mm\d+,.*\(%r[sb]p", t)]
        assert not stores, f"{name}: {stores}"


def test_rates_have_not_fallen_by_a_third(build):
    """Share of the multiply-add peak of the same run, against the recorded one."""
    shares, peaks, slow = {}, {}, {}
    for _ in range(12):  # a neighbour may take the shared cache, or the tiles, for a while
        done = subprocess.run(
            [build / "bench_kernels", "30"], capture_output=True, text=True, check=True
        )
        for line in done.stdout.splitlines():
            isa, kernel, *_, rate, share = line.split("\t")
            shares[isa, kernel] = max(float(share), shares.get((isa, kernel), 0.0))
            if kernel == "peak":
                peaks[isa] = max(float(rate), peaks.get(isa, 0.0))
        if "avx512" in peaks:
            units = 512 if peaks["avx512"] > 1.5 * peaks["avx2"] else 256
            shares |= {
                (f"avx512 of {units} bits", k): v for (i, k), v in shares.items() if i == "avx512"
            }
        known = {key: share for key, share in tolerances.KERNEL_SHARES.items() if key in shares}
        if not known:
            pytest.skip("no instruction set of this machine has a recorded rate")
        slow = {key: shares[key] for key, share in known.items() if shares[key] < share * 2 / 3}
        if not slow:
            break
    assert not slow
