"""Time a hop on this machine, every way that its CPU can compute it, and keep the result.

    python benchmarks/bench_hop.py --machine zen4-desktop

writes ``benchmarks/results/zen4-desktop.json`` and rebuilds ``benchmarks/results/hop.md``
from all such files. Without ``--machine`` it only prints.
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import voxhop
from voxhop import benchmark
from voxhop.cli.bench import header, markdown, rows
from voxhop.cli.verb import ProgressBar
from voxhop.engine.plain import plain

RESULTS = Path(__file__).parent / "results"
# Machines whose rows are wanted; their rows say so until somebody has measured them.
WANTED = {
    "zen4-desktop": "AMD Zen 4 desktop (Ryzen 7000)",
    "apple-m": "Apple M series",
}


def main() -> int:
    """Measure, print, and with ``--machine`` keep."""
    parser = argparse.ArgumentParser(description="Time a hop on this machine.")
    parser.add_argument("--machine", help="name of the result file; lower case, with dashes")
    parser.add_argument("--model", default=voxhop.DEFAULT_MODEL)
    parser.add_argument("--hops", type=int, default=1000)
    parser.add_argument("--note", default="", help="how it was measured, kept with the result")
    args = parser.parse_args()
    options = every_way(args.model)
    with ProgressBar("timing") as bar:
        result = benchmark.run(args.model, options, hops=args.hops, progress=bar.update)
    sys.stdout.write(markdown(result) + "\n")
    if args.machine:
        text = json.dumps(plain(result) | {"note": args.note}, indent=2) + "\n"
        (RESULTS / f"{args.machine}.json").write_text(text, encoding="utf-8")
        (RESULTS / "hop.md").write_text(table(), encoding="utf-8")
    return 0


def every_way(model: str) -> list[voxhop.SessionOptions]:
    """Return the instruction sets in f32, the precisions on the best one, and stock."""
    wanted = [voxhop.SessionOptions(isa=isa, precision="f32") for isa in voxhop.cpu_isas()]
    wanted += [voxhop.SessionOptions(precision=p) for p in ("f16", "bf16", "int8")]
    wanted += [voxhop.SessionOptions(kernels="stock")]
    with voxhop.load(model) as loaded:
        return [options for options in wanted if serves(loaded, options)]


def serves(model: voxhop.Model, options: voxhop.SessionOptions) -> bool:
    """Return whether this CPU and build can compute that way."""
    try:
        model.session(**vars(options)).close()
    except voxhop.EngineError:
        return False
    return True


def table() -> str:
    """Return all kept results as one Markdown page."""
    lines = [
        "# Time per hop",
        "",
        "Made by `benchmarks/bench_hop.py`. `p50`, `p99`, `max` are wall time of the Python call,",
        "and RTF the median over the 16 ms of a hop; they include waiting for a core, so mind",
        "`load`, the programs that wanted one. `CPU` is time of the thread on its core: `CPU min`",
        "is what other programs disturb least. Compare rows of one machine only.",
        "",
        *header(),
    ]
    notes = []
    for path in sorted(RESULTS.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        kept = json.loads(text, object_hook=lambda fields: SimpleNamespace(**fields))
        if not hasattr(kept, "contenders"):
            continue  # another study's
        lines += rows(kept)
        if kept.note:
            notes += ["", f"{kept.cpu} (`{path.name}`): {kept.note}"]
    columns = header()[0].count("|") - 1
    for machine, name in WANTED.items():
        if not (RESULTS / f"{machine}.json").exists():
            command = f"`python benchmarks/bench_hop.py --machine {machine}`"
            cells = [name, "*not measured*", command, *[""] * (columns - 3)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines + notes) + "\n"


if __name__ == "__main__":
    sys.exit(main())
