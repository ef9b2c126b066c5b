"""Instructions of each kernel call: the NEON body beside the AVX2 body, both under qemu-user.

    python benchmarks/count_kernels.py [FOLDER]

builds `count_kernels` for this x86-64 machine and for 64-bit Arm in FOLDER (default
build/count), with `count_plugin.c` for the emulator, and prints a table. NEON has half the lanes
of AVX2, so a quotient of about 2 is expected; much more would be a loop over single numbers. Counts
are exact and say nothing of time. Needs g++-aarch64-linux-gnu and qemu-user 7.2 or later.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
ARM_LIBRARIES: Final = "/usr/aarch64-linux-gnu"


def build(folder: Path, *options: str) -> Path:
    """Return the program that runs every kernel once between two marks."""
    configure = ["cmake", "-S", ROOT / "tests/kernels", "-B", folder, *options]
    subprocess.run(configure, check=True, stdout=sys.stderr)  # noqa: S603 - our own line
    compile_it = ["cmake", "--build", folder, "--target", "count_kernels", "-j2"]
    subprocess.run(compile_it, check=True, stdout=sys.stderr)  # noqa: S603 - our own line
    return folder / "count_kernels"


def build_plugin(folder: Path) -> Path:
    """Return the emulator's plug-in, which counts between the marks."""
    plugin = folder / "count_plugin.so"
    source = ROOT / "benchmarks/programs/count_plugin.c"
    compile_it = ["cc", "-O2", "-shared", "-fPIC", source, "-o", plugin]
    subprocess.run(compile_it, check=True)  # noqa: S603 - our own line
    return plugin


def counts(emulator: list[str], plugin: Path, program: Path, isa: str) -> dict[str, int]:
    """Return the instructions of each call, without those of the marks."""
    command = [*emulator, "-plugin", str(plugin), str(program), isa]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own line
    names, found = done.stdout.splitlines(), done.stderr.split()
    if len(names) != len(found):
        raise SystemExit(f"{isa}: {len(found)} counts of {len(names)} kernels")
    count = dict(zip(names, map(int, found), strict=True))
    nothing = count.pop("nothing")
    return {name: n - nothing for name, n in count.items()}


def main() -> None:
    """Build, count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "count")
    folder = parser.parse_args().folder
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake/aarch64-linux-gnu.cmake'}"
    wide_program, narrow_program = build(folder / "x86-64"), build(folder / "aarch64", toolchain)
    plugin = build_plugin(folder)
    wide = counts(["qemu-x86_64", "-cpu", "max"], plugin, wide_program, "avx2")
    narrow = counts(["qemu-aarch64", "-L", ARM_LIBRARIES], plugin, narrow_program, "neon")
    print("| kernel | AVX2 | NEON | NEON / AVX2 |\n|---|--:|--:|--:|")
    for name, n in wide.items():
        print(f"| {name} | {n} | {narrow[name]} | {narrow[name] / n:.2f} |")


if __name__ == "__main__":
    main()
