"""Stream.FM hops beside what their products cost on this machine.

    python benchmarks/bench_streamfm.py [--hops 100] [--sizes 16,32,128] [--page PAGE]

Files with random weights at 16 kHz, one thread. Products are the dense network's, so that fast
convolution can pass the peak, which is that of a float32 matrix product in this run. Least
processor time back to back and at the pace of the sound (a hop each 16 ms, asleep in between), and
the wall time of 99 of 100 hops.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench_seflow import PACES, RESULTS, measure_machine
from parts.kept_page import hop_page, show

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.figures.hop_timing import time_all
from voxhop.figures.machine import cpu_name, machine_load


@dataclass(frozen=True)
class Way:
    """One way to run a file of `nf` channels; 128 is the published size, after a predictor."""

    nf: int
    solver: str
    kernels: str
    precision: str


WAYS = (
    *(
        Way(nf, "euler1", kernels, precision)
        for nf in (16, 32)
        for kernels, precision in (
            ("direct", "f32"),
            ("fused", "f32"),
            ("fused", "f16"),
            ("fused", "bf16"),
            ("fused", "int8"),
        )
    ),
    Way(16, "euler5", "fused", "f32"),
    Way(16, "euler5", "fused", "int8"),
    Way(32, "euler2", "fused", "f32"),
    Way(32, "euler2", "fused", "int8"),
    Way(128, "euler1", "fused", "f32"),
    Way(128, "euler1", "fused", "int8"),
)


def main() -> int:
    """Print the table; keep it where asked to."""
    parser = argparse.ArgumentParser(description="Stream.FM hops beside their products.")
    parser.add_argument("--hops", type=int, default=100, help="of each way and pace")
    parser.add_argument("--sizes", default="16,32,128", help="channels of the files to time")
    parser.add_argument("--page", help="keep the table in benchmarks/results/streamfm-PAGE.md")
    args = parser.parse_args()
    from voxhop.export.streamfm import write_streamfm  # noqa: PLC0415 - torch is needed for it alone
    from voxhop.reference.streamfm import random_streamfm  # noqa: PLC0415 - the same
    from voxhop.reference.streamfm.config import StreamFMConfig  # noqa: PLC0415 - the same

    peak = measure_machine().peak
    sizes = {int(size) for size in args.sizes.split(",")}
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for nf in sorted(sizes):
            full = {"task": "se", "predictor": True} if nf == 128 else {"task": "bwe"}  # noqa: PLR2004
            path = Path(folder) / f"streamfm-{nf}-random-f32.gguf"
            write_streamfm(random_streamfm(StreamFMConfig(nf=nf, **full), seed=1), path)
            model = stack.enter_context(voxhop.load(path))
            of_size = [way for way in WAYS if way.nf == nf]
            with ExitStack() as opened:
                sessions = [
                    opened.enter_context(
                        model.session(
                            solver=way.solver, kernels=way.kernels, precision=way.precision
                        )
                    )
                    for way in of_size
                ]
                # All ways of a size take turns, so that they meet the same neighbours.
                with ProgressBar(f"timing {nf}") as bar:
                    times = time_all(sessions, args.hops, PACES, bar.update)
                for way, session, (hot, paced) in zip(of_size, sessions, times, strict=True):
                    rows.append((way, session.macs_per_hop / 1e6, hot, paced))
    page = RESULTS / f"streamfm-{args.page}.md" if args.page else None
    show(page_of(peak, rows), page)
    return 0


def page_of(peak: float, rows: list[tuple]) -> str:
    """Lay the figures out."""
    about = (
        f"{cpu_name()}, load {machine_load():.1f}. One core here: {peak:.0f} GMAC/s in a float32 "
        "matrix product. Random weights, 16 kHz, milliseconds; share: products of the dense "
        "network over time, over that peak. 128 is the published size, a predictor before it."
    )
    columns = ("channels, solver", "kernels", "million products", "back to back, CPU min", "share")
    columns += ("each 16 ms, CPU min", "p50", "p99")
    cells = []
    for way, products, hot, paced in rows:
        share = products / hot.cpu_min_ms / peak
        figures = (hot.cpu_min_ms, share, paced.cpu_min_ms, paced.p50_ms, paced.p99_ms)
        cells.append(
            (
                f"{way.nf}, {way.solver}",
                f"{way.kernels} {way.precision}",
                f"{products:.0f}",
                *(f"{figure:.2f}" for figure in figures),
            )
        )
    return hop_page("Stream.FM, hop by hop", about, columns, cells)


if __name__ == "__main__":
    sys.exit(main())
