"""Hops at the pace of an application, beside hops back to back and the public engine.

    python benchmarks/bench_cadence.py --public LIBRARY --page xeon-sapphire-rapids-vm

An application calls once per 16 ms, and in between the weights leave the near caches. Every
way of computing takes turns with the others in rounds of 50 hops, asleep and spinning in
between, so that ratios hold on a busy machine; bare times do not. ``--page`` keeps the tables
in ``benchmarks/results/cadence-PAGE.md``. `public_engine` says how LIBRARY is had.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from parts.public_engine import PublicEngine

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.figures.hop_timing import LEAST_HOPS, time_all
from voxhop.figures.machine import cpu_name, machine_load
from voxhop.figures.streams import run_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxhop.figures.hop_timing import HopTiming

RESULTS = Path(__file__).parent / "results"
GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "localvqe-v1.1-random" / "model-f32.gguf"
PACES = {"hot": "back to back", "paced": "each 16 ms, asleep", "paced-busy": "each 16 ms, spinning"}
GROUP = 16


def large_model(folder: Path) -> Path:
    """Write a file of the v1.3 shape (4.8 M parameters) with random weights."""
    from voxhop.export.gguf import write_gguf  # noqa: PLC0415 - torch is needed for it alone
    from voxhop.reference import LocalVQEConfig, random_model  # noqa: PLC0415 - the same

    config = LocalVQEConfig(
        version=3,
        d_max=64,
        mic_channels=(2, 112, 32, 104, 96, 152),
        far_channels=(2, 64, 32),
        bottleneck_hidden=256,
    )
    path = folder / "v1.3-random-f32.gguf"
    write_gguf(random_model(config, seed=1), path)
    return path


def ways(threads: int) -> list[voxhop.SessionOptions]:
    """Return what is timed: what streams take, and what else they may be asked for."""
    wanted = [
        voxhop.SessionOptions(),
        *(voxhop.SessionOptions(precision=p) for p in ("f32", "f16", "bf16", "int8")),
        voxhop.SessionOptions(kernels="direct", precision="f32"),
        *(voxhop.SessionOptions(isa="avx2", precision=p) for p in ("f32", "f16", "int8")),
        voxhop.SessionOptions(kernels="stock"),
    ]
    if threads > 1:
        wanted.insert(1, voxhop.SessionOptions(threads=threads))
    return wanted


def name_of(session: voxhop.Session | PublicEngine) -> str:
    """Return the words of a row."""
    if isinstance(session, PublicEngine):
        return f"pylocalvqe {session.version}"
    info = session.info
    words = f"{info.kernels} {info.isa} {info.precision}"
    if session.options == voxhop.SessionOptions():
        return f"default settings: {words}"
    return f"{words}, {info.threads} threads" if info.threads > 1 else words


def table(names: Sequence[str], timings: Sequence[Sequence[HopTiming]], public: bool) -> list[str]:
    """Return the rows, with the public engine's median over each way's when it was timed."""
    head = "".join(f" {pace} p50 | p99 |" + " x |" * public for pace in PACES.values())
    lines = [f"| one thread unless said |{head} CPU min, asleep |"]
    lines.append("|---|" + "--:|" * (lines[0].count("|") - 2))
    for name, found in zip(names, timings, strict=True):
        cells = ""
        for at, timing in enumerate(found):
            cells += f" {timing.p50_ms:.3f} | {timing.p99_ms:.3f} |"
            if public:
                cells += f" {timings[-1][at].p50_ms / timing.p50_ms:.1f} |"
        lines.append(f"| {name} |{cells} {found[1].cpu_min_ms:.3f} |")
    return lines


def measure(model: Path, public: Path | None, hops: int, threads: int) -> list[str]:
    """Time every way on one model; return a Markdown table."""
    with ExitStack() as stack:
        loaded = stack.enter_context(voxhop.load(model))
        sessions: list[voxhop.Session | PublicEngine] = []
        for options in ways(threads):
            try:
                session = stack.enter_context(loaded.session(**vars(options)))
            except voxhop.EngineError:
                continue  # not on this CPU
            sessions.append(session)
        if public is not None:
            sessions.append(PublicEngine(public, model))
        with ProgressBar("timing") as bar:
            timings = time_all(sessions, hops, tuple(PACES), bar.update)  # type: ignore[arg-type]
        return table([name_of(s) for s in sessions], timings, public is not None)


def groups(model: Path) -> list[str]:
    """Time rounds of a group, by precision; return a Markdown table."""
    lines = [f"| {GROUP} in a group | ms per hop, p50 | least CPU | streams a core |"]
    lines.append("|---|--:|--:|--:|")
    for precision in ("f32", "f16", "bf16", "int8"):
        found = run_streams(
            model, GROUP, voxhop.SessionOptions(precision=precision), rounds=LEAST_HOPS
        )
        lines.append(
            f"| {found.kernels} {found.isa} {precision} | {found.p50_ms / GROUP:.3f} "
            f"| {found.cpu_min_ms / GROUP:.3f} | {found.streams_per_core:.1f} |"
        )
    return lines


def main() -> int:
    """Measure, print, and with ``--page`` keep."""
    parser = argparse.ArgumentParser(description="Time hops at the pace of an application.")
    parser.add_argument("--public", type=Path, help="libpylocalvqe.so.1, to be timed beside")
    parser.add_argument("--model", type=Path, default=GOLDEN, help="of the v1.1 shape")
    parser.add_argument("--large", action="store_true", help="the v1.3 shape too, random weights")
    parser.add_argument("--hops", type=int, default=1000, help="back to back; a fifth paced")
    parser.add_argument("--threads", type=int, default=1, help="of one more row")
    parser.add_argument("--page", help="name of the page of results; lower case, with dashes")
    parser.add_argument("--note", default="", help="how it was measured, kept with the result")
    args = parser.parse_args()
    lines = [f"# Hops at the real cadence: {cpu_name()}", ""]
    lines += ["Made by `benchmarks/bench_cadence.py`; times in ms, wall unless said, x: the public"]
    lines += ["engine's median over this one's, same run. Compare ratios, not times."]
    lines += [f"Load at the start: {machine_load()}. {args.note}".rstrip()]
    with tempfile.TemporaryDirectory() as folder:
        models = {"v1.1 shape (1.3 M parameters)": args.model}
        if args.large:
            models["v1.3 shape (4.8 M parameters)"] = large_model(Path(folder))
        for title, path in models.items():
            lines += ["", f"## {title}", ""]
            lines += measure(path, args.public, args.hops, args.threads)
            lines += ["", *groups(path)]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if args.page:
        (RESULTS / f"cadence-{args.page}.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
