"""What smaller weights and shorter arithmetic cost: size, speed, quality, in one table.

    python benchmarks/compression_study.py --weights weights-f32.gguf --cases cases/ \
        --out study/ --limit 3 --jobs 2 --write benchmarks/results/compression.md

Writes ``study.json`` and ``study.md``, and with ``--write`` the page that the repository keeps,
whose own section "Notes" stays. Finished clips are kept in ``--out``.

Stored types: f32, f16, bf16, and int8 (one scale per output row; the engine reads no int8 file,
so the rounded weights are stored as f32 and only their quality is real, their size is counted).
Run-time precisions: those of ``--precisions`` that this build and CPU serve, on the f32 file.
Needs the extra ``[eval]`` and the package `gguf`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
from parts.hop_times import TURN_HOPS, hop_times
from parts.kept_page import keep_notes, machine_text

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.engine.plain import plain
from voxhop.evaluation import Settings, evaluate, load_cases, load_clip, summarise
from voxhop.evaluation.energy import si_sdr_db
from voxhop.evaluation.runner import run_aligned
from voxhop.evaluation.scoring import MEASURES
from voxhop.evaluation.summary import heading
from voxhop.evaluation.systems import build

if TYPE_CHECKING:
    from voxhop.evaluation import Results

STORED = ("f32", "f16", "bf16", "int8")
PRECISIONS = ("f16", "bf16", "int8")
# The filterbanks are a formula, not learned; every exporter leaves them in f32.
EXACT = ("encoder.conv.weight", "decoder.linear.weight")
FAMILIES = ("aecmos", "erle", "si_sdr", "dnsmos", "pesq")
COLUMNS = (
    ("farend", "aecmos_echo", 2),
    ("farend", "erle", 1),
    ("doubletalk", "aecmos_echo", 2),
    ("doubletalk", "aecmos_deg", 2),
    ("doubletalk", "si_sdr", 1),
    ("noise", "dnsmos_ovrl", 2),
    ("noise", "pesq", 2),
)


@dataclass(frozen=True)
class Variant:
    """One row: a stored type, a run-time precision, and what they take."""

    label: str
    path: Path
    precision: str
    file_bytes: int

    @property
    def specification(self) -> str:
        """How `voxhop eval` calls it."""
        return f"voxhop,model={self.path},precision={self.precision},label={self.label}"


def main() -> int:
    """Make the variants, measure them, write the table."""
    parser = argparse.ArgumentParser(description="Size, speed and quality of compressed weights.")
    parser.add_argument("--weights", type=Path, required=True, help="model file in f32")
    parser.add_argument("--cases", type=Path, required=True, help="case folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--limit", type=int, help="first N clips of each scenario")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--repeats", type=int, default=8, help="timed passes over a clip")
    parser.add_argument("--write", type=Path, help="page of the repository to write again")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    wanted = tuple(name for name in args.precisions.split(",") if name)
    variants, refused = make_variants(args.weights, args.out, wanted)
    settings = Settings(
        folder=args.cases,
        systems=("unprocessed", *(variant.specification for variant in variants)),
        work=args.out / "clips",
        families=FAMILIES,
        jobs=args.jobs,
        limit=args.limit,
    )
    with ProgressBar("scoring") as bar:
        results = evaluate(settings, progress=bar.update)
    rows = [
        {
            **plain(asdict(variant)),
            "fidelity_db": fidelity_db(results, variants[0], variant),
            **times,
        }
        for variant, times in zip(variants, time_variants(variants, args), strict=True)
    ]
    facts = {"rows": rows, "refused": refused, "quality": plain(list(summarise(results)))}
    text = table(rows, refused, results) + made_by(args)
    (args.out / "study.json").write_text(json.dumps(plain(facts), indent=1) + "\n", "utf-8")
    (args.out / "study.md").write_text(text, "utf-8")
    if args.write is not None:
        args.write.write_text(keep_notes(args.write, text), "utf-8")
    sys.stdout.write(text)
    return 0


def make_variants(
    weights: Path, folder: Path, precisions: tuple[str, ...]
) -> tuple[list[Variant], dict[str, str]]:
    """Write the stored types and list what can run; what cannot is returned with the reason."""
    variants = []
    for stored in STORED:
        path = folder / f"{stored}.gguf"
        size = convert(weights, path, stored)
        variants.append(Variant(f"{stored} file", path, "f32", size))
    first = variants[0]
    refused = {}
    for precision in precisions:
        try:
            with voxhop.load(first.path) as model, model.session(precision=precision):
                pass
        except voxhop.VoxhopError as error:  # noqa: PERF203 - three turns
            refused[precision] = str(error)
        else:
            label = f"{precision} arithmetic"
            variants.append(Variant(label, first.path, precision, first.file_bytes))
    return variants, refused


def convert(source: Path, target: Path, stored: str) -> int:
    """Write `source` with its matrices in another type; return the bytes that type needs."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    saved = 0
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            writer.add_key_value(name, field.contents(), field.types[0])
    for tensor in reader.tensors:
        if tensor.tensor_type != gguf.GGMLQuantizationType.F32:
            raise SystemExit(f"{source}: {tensor.name} is not f32; give the f32 file")
        data = np.array(tensor.data, np.float32)
        if data.ndim > 1 and tensor.name not in EXACT:
            saved += add_matrix(writer, tensor.name, data, stored)
        else:
            writer.add_tensor(tensor.name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target.stat().st_size - saved


def add_matrix(writer: gguf.GGUFWriter, name: str, data: Any, stored: str) -> int:  # noqa: ANN401
    """Add one tensor in the stored type; return bytes that the file wastes against it."""
    if stored == "f16":
        writer.add_tensor(name, data.astype(np.float16))
    elif stored == "bf16":
        kind = gguf.GGMLQuantizationType.BF16
        writer.add_tensor(name, gguf.quantize(data, kind), raw_dtype=kind)
    elif stored == "int8":
        rows = data.reshape(len(data), -1)
        scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / 127.0, 1e-30)
        rounded = (np.rint(rows / scale) * scale).astype(np.float32)
        writer.add_tensor(name, rounded.reshape(data.shape))
        return int(data.nbytes - data.size - scale.size * 4)
    else:
        writer.add_tensor(name, data)
    return 0


def fidelity_db(results: Results, exact: Variant, variant: Variant) -> float:
    """Mean SI-SDR of a variant's output against the f32 output, over the first clip of each kind.

    Infinite for equal outputs, which the table shows as "equal".
    """
    seen: dict[str, Any] = {case.scenario: case for case in reversed(results.cases)}
    values = []
    for case in seen.values():
        one, _ = run_aligned(build(exact.specification), 256, case)
        other, _ = run_aligned(build(variant.specification), 256, case)
        values.append(float("inf") if np.array_equal(one, other) else si_sdr_db(one, other))
    return statistics.fmean(values)


def time_variants(variants: list[Variant], args: argparse.Namespace) -> list[dict[str, float]]:
    """Time all variants in turns on one clip; CPU time of the thread per hop."""
    clip = load_clip(load_cases(args.cases, limit=1)[0])
    sessions = [voxhop.load(v.path).session(precision=v.precision) for v in variants]
    turns = args.repeats * len(clip.mic) // 256 // TURN_HOPS
    return [
        {"hop_ms_min": spent.min_ms, "hop_ms_median": spent.median_ms}
        for spent in hop_times(sessions, clip.mic, clip.ref, turns)
    ]


def table(rows: list[dict[str, Any]], refused: dict[str, str], results: Results) -> str:
    """Return the study as Markdown."""
    means = {(row.system, row.group): row.means for row in summarise(results)}
    titles = {measure.key: heading(measure) for measure in MEASURES}
    heads = [f"{group}: {titles[key]}" for group, key, _ in COLUMNS]
    lines = [
        "# Compression study",
        "",
        f"{len(results.cases)} clips. Machine: {machine_text()}. Size: the file,",
        "frozen filterbanks (2.1 MB of f32) included. Time: CPU per hop of 16 ms, minimum /",
        "median of turns of 25 hops, all rows in one run; ratios within the table count. Fidelity:",
        "SI-SDR against the output of the f32 file. The int8 file holds rounded weights as f32;",
        "its size is counted, not stored.",
        "",
        "| weights | kB | ms per hop | of f32 | fidelity dB | " + " | ".join(heads) + " |",
        "|---|--:|--:|--:|--:|" + "--:|" * len(heads),
    ]
    for row in rows:
        fidelity = row["fidelity_db"]
        cells = [
            row["label"],
            f"{row['file_bytes'] / 1000:.0f}",
            f"{row['hop_ms_min']:.3f} / {row['hop_ms_median']:.3f}",
            f"{row['hop_ms_min'] / rows[0]['hop_ms_min']:.2f}",
            f"{fidelity:.1f}" if np.isfinite(fidelity) else "equal",
        ]
        for group, key, digits in COLUMNS:
            mean = means.get((row["label"], group), {}).get(key)
            cells.append("-" if mean is None else f"{mean.mean:.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"Not served here: {name}: {why}" for name, why in refused.items())]
    return "\n".join(lines).rstrip() + "\n"


def made_by(args: argparse.Namespace) -> str:
    """Return how to make the page again."""
    limit = "" if args.limit is None else f"--limit {args.limit} "
    return f"""
Made by

    voxhop train CONFIG --cases cases/
    python benchmarks/compression_study.py --weights {args.weights.name} --cases cases/ \\
        {limit}--repeats {args.repeats} --out study/ --write benchmarks/results/compression.md
"""


if __name__ == "__main__":
    sys.exit(main())
