"""SEFlow hops beside what their bytes and products cost on this machine.

    python benchmarks/bench_seflow.py [--hops 200] [--page xeon-sapphire-rapids-vm]

A file of the published size with random weights, window 250, one thread. A hop's floor is bytes /
bandwidth + products / peak: weights and ring by the bandwidth of one core, measured by reading a
buffer from memory and one from the last cache level, products of the blocks by the peak of a
matrix product, all in this run. Least processor time back to back and at the pace of the sound
(a hop each 16 ms, asleep in between), and the wall time of 99 of 100 hops.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from parts.kept_page import hop_page, show

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.figures.hop_timing import time_all
from voxhop.figures.machine import cpu_name, machine_load

RESULTS = Path(__file__).parent / "results"
WINDOW = 250
FREQUENCY_HEADS = 64  # values per head
MEMORY_BYTES, CACHE_BYTES = 512 << 20, 12 << 20
BYTES = {"f32": 4, "f16": 2, "int8": 1}
PACES = ("hot", "paced")


@dataclass(frozen=True)
class Way:
    """One way to run the file."""

    sample_rate: int
    depth: int
    heads: int
    precision: str
    cache: str


WAYS = (
    Way(16_000, 6, 2, "f16", "int8"),
    Way(16_000, 6, 2, "int8", "int8"),
    Way(16_000, 12, 4, "f16", "int8"),
    Way(16_000, 12, 4, "int8", "int8"),
    Way(16_000, 1, 1, "f16", "int8"),
    Way(16_000, 1, 1, "int8", "int8"),
    Way(48_000, 12, 4, "f16", "int8"),
    Way(48_000, 12, 4, "int8", "int8"),
)


@dataclass(frozen=True)
class Machine:
    """What one core does: GMAC/s of f32, GB/s from memory and from the last cache level."""

    peak: float
    memory: float
    cache: float


def measure_machine() -> Machine:
    """Measure the core, best of several tries."""
    a = np.random.default_rng(0).standard_normal((768, 768), np.float32)
    peak = max(768**3 / seconds / 1e9 for seconds in timed(lambda: a @ a, 20))
    rates = []
    for size in (MEMORY_BYTES, CACHE_BYTES):
        data = np.ones(size // 8, np.int64)
        rates.append(max(size / seconds / 1e9 for seconds in timed(data.sum, 12)))
    return Machine(peak, *rates)


def timed(work: object, tries: int) -> list[float]:
    """Return the processor time of each try in seconds."""
    spent = []
    for _ in range(tries):
        start = time.thread_time()
        work()  # type: ignore[operator]
        spent.append(time.thread_time() - start)
    return spent[1:]


def floor_bytes(way: Way, bands: int, bins: int) -> tuple[float, float]:
    """Return MB that a hop reads, and millions of products of its blocks."""
    width = way.heads * FREQUENCY_HEADS
    stack = way.depth * 16 * width**2
    decoder = 4 * bands * width**2 + 16 * width * bins
    ring = 2 * way.depth * bands * WINDOW * width
    weights = (stack + decoder) * BYTES[way.precision]
    return (weights + ring * BYTES[way.cache]) / 1e6, bands * stack / 1e6


def main() -> int:
    """Print the table; keep it where asked to."""
    parser = argparse.ArgumentParser(description="SEFlow hops beside their floor.")
    parser.add_argument("--hops", type=int, default=200, help="of each way")
    parser.add_argument("--page", help="keep the table in benchmarks/results/seflow-PAGE.md")
    args = parser.parse_args()
    from voxhop.export.seflow import write_seflow  # noqa: PLC0415 - torch is needed for it alone
    from voxhop.reference.seflow import random_seflow  # noqa: PLC0415 - the same
    from voxhop.reference.seflow.config import (  # noqa: PLC0415 - the same
        SEFlowConfig,
        published_edges,
    )

    machine = measure_machine()
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "seflow-random-f32.gguf"
        write_seflow(random_seflow(SEFlowConfig(), seed=1), path)
        model = stack.enter_context(voxhop.load(path))
        with ProgressBar("timing") as bar:
            for at, way in enumerate(WAYS):
                with model.session(
                    sample_rate=way.sample_rate,
                    depth=way.depth,
                    heads=way.heads,
                    window=WINDOW,
                    precision=way.precision,
                    cache=way.cache,
                ) as session:
                    ((hot, paced),) = time_all([session], args.hops, PACES, lambda *_: None)
                edges = published_edges(way.sample_rate)
                mb, products = floor_bytes(way, len(edges) - 1, edges[-1])
                rows.append((way, mb, products, hot, paced))
                bar.update(at + 1, len(WAYS))
    page = RESULTS / f"seflow-{args.page}.md" if args.page else None
    show(page_of(machine, rows), page)
    return 0


def page_of(machine: Machine, rows: list[tuple]) -> str:
    """Lay the figures out."""
    about = (
        f"{cpu_name()}, load {machine_load():.1f}. One core here: {machine.peak:.0f} GMAC/s in a "
        f"matrix product, {machine.memory:.1f} GB/s from memory, {machine.cache:.1f} GB/s from the "
        "last cache level. Window 250, random weights, milliseconds; the floor is with bytes from "
        "memory and from the cache."
    )
    columns = ("network", "weights, ring", "MB", "floor", "back to back, CPU min")
    columns += ("each 16 ms, CPU min", "p50", "p99")
    cells = []
    for way, mb, products, hot, paced in rows:
        slow = mb / machine.memory + products / machine.peak
        fast = mb / machine.cache + products / machine.peak
        figures = (hot.cpu_min_ms, paced.cpu_min_ms, paced.p50_ms, paced.p99_ms)
        cells.append(
            (
                f"{way.sample_rate // 1000} kHz ({way.depth}, {way.heads})",
                f"{way.precision}, {way.cache}",
                f"{mb:.1f}",
                f"{slow:.2f}, {fast:.2f}",
                *(f"{figure:.2f}" for figure in figures),
            )
        )
    return hop_page("SEFlow at the published size, hop by hop", about, columns, cells)


if __name__ == "__main__":
    sys.exit(main())
