"""``voxhop doctor``: what there is to know about this machine and installation."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.cli.verb import new_verb, print_json, say

if TYPE_CHECKING:
    import argparse

    import numpy as np
    import numpy.typing as npt

    from voxhop import Session
    from voxhop.cli.verb import Subparsers

_OPTIONAL: Final = ("soundfile", "soxr", "matplotlib", "torch", "onnxruntime")
_HOPS: Final = 100
_PRECISIONS: Final = ("f32", "f16", "bf16", "int8")


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="doctor",
        summary="check CPU, build, model and speed (exit code 1: something is wrong)",
        example="voxhop doctor",
    )
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")


def run(args: argparse.Namespace) -> int:
    """Look around and say what was found."""
    facts = look(args.model)
    if args.json:
        print_json(facts)
    else:
        _tell(facts)
    return 1 if facts["problems"] else 0


def look(model: str | None) -> dict[str, Any]:
    """Return everything the verb reports; ``problems`` lists what is wrong, in words."""
    from voxhop import _bindings as engine  # noqa: PLC0415 - not for the parser
    from voxhop._version import __version__  # noqa: PLC0415
    from voxhop.figures.machine import cache_bytes, cpu_name, machine_load  # noqa: PLC0415

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts: dict[str, Any] = {
        "voxhop": __version__,
        "engine": engine.engine_version(),
        "library": str(engine.loaded_library()),
        "build": engine.build(),
        "ggml": engine.ggml_version(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cores": cores,
        "load": machine_load(),
        "l2_bytes": cache_bytes(2),
        "l3_bytes": cache_bytes(3),
        "instruction_sets": list(engine.cpu_isas()),
        "packages": {name: _version_of(name) for name in _OPTIONAL},
        "other_ggml": other_ggml(),
        **_speed(model),
    }
    facts["problems"] = _problems(facts)
    return facts


def other_ggml() -> list[str]:
    """Return the ggml libraries of other packages that are loaded in this process.

    voxhop's own is inside its library and hidden, so others do not disturb it; where a
    program loads several, this is the first thing to know when one of them misbehaves.
    """
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        return []
    lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    paths = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}  # noqa: PLR2004 - columns
    return sorted(path for path in paths if "ggml" in Path(path).name)


def _speed(model: str | None) -> dict[str, Any]:
    """Return the model and the time of a hop of it, on noise, and the least in each precision."""
    import numpy as np  # noqa: PLC0415 - not for the parser

    from voxhop import load  # noqa: PLC0415

    with load(model) if model else load() as loaded:
        with loaded.session(precision="auto") as session:
            times, finite = _hop_ms(session)
            lasts = 1e3 * session.hop_length / session.sample_rate
            info = session.info
        least = {}
        for precision in _PRECISIONS:
            with loaded.session(precision=precision) as session:
                least[precision] = float(_hop_ms(session)[0].min())
        source = loaded.source
    times = np.sort(times)
    return {
        "model": source,
        "kernels": info.kernels,
        "isa": info.isa,
        "precision": info.precision,
        "threads": info.threads,
        "hop_lasts_ms": lasts,
        "hop_p50_ms": float(times[len(times) // 2]),
        "hop_p99_ms": float(times[int(0.99 * len(times))]),
        "hop_least_ms": least,
        "output_is_finite": finite,
    }


def _hop_ms(session: Session) -> tuple[npt.NDArray[np.float64], bool]:
    """Return the time of each of `_HOPS` hops, and whether the last one's samples are finite."""
    import numpy as np  # noqa: PLC0415 - not for the parser

    mic = np.random.default_rng(0).standard_normal((2, session.hop_length)) * 0.1
    mic = mic.astype(np.float32)
    out = np.empty_like(mic[0])
    hop_ms = np.empty(_HOPS)
    for i in range(_HOPS):
        start = time.perf_counter()
        session.process_hop_into(mic[0], mic[1], out)
        hop_ms[i] = 1e3 * (time.perf_counter() - start)
    return hop_ms, bool(np.isfinite(out).all())


def _problems(facts: dict[str, Any]) -> list[str]:
    problems = []
    if facts["engine"] != facts["voxhop"]:
        found, expected = facts["engine"], facts["voxhop"]
        problems.append(f"the engine library is version {found}, the package {expected}: reinstall")
    if not facts["output_is_finite"]:
        problems.append("the model gives samples that are not finite")
    if facts["hop_p50_ms"] > facts["hop_lasts_ms"]:
        problems.append(
            f"a hop takes {facts['hop_p50_ms']:.1f} ms and lasts {facts['hop_lasts_ms']:.0f} ms: "
            "too slow for live sound"
        )
    return problems


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tell(facts: dict[str, Any]) -> None:
    for name, text in _rows(facts):
        say(f"{name:17} {text}")
    for problem in facts["problems"]:
        say(f"PROBLEM: {problem}")
    if not facts["problems"]:
        say("no problems found")


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the verb says, as name and text."""
    caches = [
        f"L{level} {facts[f'l{level}_bytes'] >> 10} kB"
        for level in (2, 3)
        if facts[f"l{level}_bytes"] is not None
    ]
    load = "" if facts["load"] is None else f", load {facts['load']:g}"
    slow = facts["hop_p99_ms"] > facts["hop_lasts_ms"] >= facts["hop_p50_ms"]
    speed = f"takes {facts['hop_p50_ms']:.2f} ms and lasts {facts['hop_lasts_ms']:.0f} ms"
    how = f"{facts['kernels']}, {facts['isa']}, {facts['precision']}, {facts['threads']} thread"
    late = ": late, as other programs want the cores too" if slow else ""
    least = facts["hop_least_ms"]
    precisions = ", ".join(f"{name} {ms:.3f}" for name, ms in least.items())
    packages = (
        f"{name} {version or 'not installed'}" for name, version in facts["packages"].items()
    )
    return [
        ("voxhop", f"{facts['voxhop']}, engine {facts['engine']}, own ggml {facts['ggml']}"),
        ("library", f"{facts['library']} ({facts['build']})"),
        ("Python", f"{facts['python']}, {sys.executable}"),
        ("system", facts["system"]),
        ("CPU", ", ".join([facts["cpu"], *caches])),
        ("cores", f"{facts['cores']} for this process{load}"),
        ("instruction sets", f"{', '.join(facts['instruction_sets'])}; the first is used"),
        ("model", facts["model"]),
        ("a hop", f"{speed} ({how})"),
        ("slowest of 100", f"{facts['hop_p99_ms']:.2f} ms{late}"),
        ("precisions", f"{min(least, key=least.get)} is fastest; least ms of a hop: {precisions}"),
        ("packages", ", ".join(packages)),
        ("other ggml here", ", ".join(facts["other_ggml"]) or "none in this process"),
    ]
