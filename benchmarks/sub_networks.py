"""Every network inside a SEFlow file: what it gains, and what a hop of it costs.

    python benchmarks/sub_networks.py voxhop-seflow --cases FOLDER [--clips 8] [--write PAGE]

runs each of the depth x heads networks over the 0 dB noise cases that `voxhop train
configs/seflow.toml --cases FOLDER` writes, whole clips by `voxhop.enhance`, and prints tables of
depths by heads: SI-SDR gain over the microphone in dB, PESQ, least processor time per hop of
sessions that take turns, and products. A network earns its cost where both of the first two rise.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from parts.hop_times import hop_times
from parts.kept_page import machine_text, model_name, write_study

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.evaluation.cases import load_cases, load_clip
from voxhop.evaluation.energy import si_sdr_db
from voxhop.evaluation.perceptual import pesq_wb

if TYPE_CHECKING:
    from voxhop.evaluation.cases import Clip, Signal

RATE = 16_000
TURNS = 40


@dataclass(frozen=True)
class Network:
    """One network of the file, means over clips."""

    depth: int
    heads: int
    si_sdr_gain_db: float
    pesq: float
    hop_ms: float
    macs: int


@dataclass(frozen=True)
class Study:
    """All networks of a file, and what came in."""

    model: str
    clips: int
    machine: str
    si_sdr_in_db: float
    pesq_in: float
    networks: list[Network]


def main() -> int:
    """Measure, print, and keep the page where asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name or file")
    parser.add_argument("--cases", type=Path, required=True, help="folder of cases")
    parser.add_argument("--clips", type=int, default=8, help="first so many noise cases; 8")
    parser.add_argument("--write", type=Path, help="page to write, figures beside it")
    args = parser.parse_args()
    cases = [case for case in load_cases(args.cases) if case.scenario == "noise"][: args.clips]
    if not cases:
        parser.error(f"--cases {args.cases}: no noise case")
    study = measure(args.model, [load_clip(case) for case in cases])
    text = page(study)
    sys.stdout.write(text)
    if args.write:
        write_study(args.write, text, study)
    return 0


def measure(name: str, clips: list[Clip]) -> Study:
    """Run every network over all clips."""
    given = scores(clips, [clip.mic for clip in clips])
    with voxhop.load(name) as model, ExitStack() as stack:
        most = {option.name: option.highest for option in model.options}
        sizes = [(b, h) for b in range(1, most["depth"] + 1) for h in range(1, most["heads"] + 1)]
        bar = stack.enter_context(ProgressBar("networks"))
        sessions = [
            stack.enter_context(model.session(sample_rate=RATE, depth=b, heads=h, precision="f16"))
            for b, h in sizes
        ]
        times = hop_times(sessions, clips[0].mic, None, TURNS)
        macs = [session.macs_per_hop for session in sessions]
        networks = []
        for i, ((b, h), cost, products) in enumerate(zip(sizes, times, macs, strict=True)):
            bar.update(i, len(sizes))
            outs = [
                voxhop.enhance(clip.mic, sample_rate=RATE, model=model, depth=b, heads=h)
                for clip in clips
            ]
            si_sdr, pesq = scores(clips, outs)
            networks.append(Network(b, h, si_sdr - given[0], pesq, cost.min_ms, products))
    return Study(model_name(name), len(clips), machine_text(), *given, networks)


def scores(clips: list[Clip], outs: list[Signal]) -> tuple[float, float]:
    """Return SI-SDR in dB and PESQ, means over clips; PESQ over those that have one."""
    si_sdr = [si_sdr_db(clip.target, out) for clip, out in zip(clips, outs, strict=True)]
    pesq = [pesq_wb(clip.target, out) or np.nan for clip, out in zip(clips, outs, strict=True)]
    return float(np.mean(si_sdr)), float(np.nanmean(pesq))


def page(study: Study) -> str:
    """Return the page."""
    lines = [
        f"# Every network of {study.model}",
        "",
        "Made by",
        "",
        f"    python benchmarks/sub_networks.py {study.model} --cases FOLDER --write PAGE",
        "",
        f"{study.clips} clips of 8 s, noise at 0 dB, 16 kHz; what comes in has an SI-SDR of",
        f"{study.si_sdr_in_db:.1f} dB and a PESQ of {study.pesq_in:.2f}. Machine: {study.machine}.",
    ]
    tables = (
        ("SI-SDR gain, dB", lambda n: f"{n.si_sdr_gain_db:+.1f}"),
        ("PESQ", lambda n: f"{n.pesq:.2f}"),
        ("ms per hop, least processor time, f16", lambda n: f"{n.hop_ms:.3f}"),
        ("million products per hop", lambda n: f"{n.macs / 1e6:.1f}"),
    )
    heads = sorted({network.heads for network in study.networks})
    found = {(n.depth, n.heads): n for n in study.networks}
    for title, cell in tables:
        columns = " | ".join(f"{h} head" + "s" * (h > 1) for h in heads)
        lines += ["", f"## {title}", "", f"| depth | {columns} |"]
        lines.append("|--:|" + "--:|" * len(heads))
        for depth in sorted({network.depth for network in study.networks}):
            cells = " | ".join(cell(found[depth, h]) for h in heads)
            lines.append(f"| {depth} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
