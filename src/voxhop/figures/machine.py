"""Facts about the machine: its CPU, its caches, the memory of this process."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path


def cpu_name() -> str:
    """Return what the CPU calls itself."""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
        return found.stdout.strip() or platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cache_bytes(level: int) -> int | None:
    """Return the size of a cache of the first core, None where the system does not tell."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        size = re.fullmatch(r"(\d+)([KM])", _text(index / "size"))
        if size is not None and _text(index / "level") == str(level):
            return int(size[1]) << {"K": 10, "M": 20}[size[2]]
    return None


def resident_bytes() -> int | None:
    """Return the resident memory of this process in bytes, None where unknown."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return None
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine_load() -> float | None:
    """Return how many programs wanted a core in the last minute, None where unknown."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def _text(path: Path) -> str:
    """Return the content of a file of the system, empty when it has none to tell."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
