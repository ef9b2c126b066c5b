"""What a precision costs on speech, model by model: what streams take by default is decided by it.

    python benchmarks/precision_study.py --cases cases/ --write benchmarks/results/precision.md

Every model of the package (or of ``--models``) hears the clips of a case folder in f32 and in the
other precision, as its users call it: enhancers by `voxhop.enhance`, restorers the clean target
through 8 kHz by `voxhop.restore`, codecs the clean target. A row has the output against the
difference in dB, the mean over clips and the worst one; the level of the difference; and means of
scores in f32 and in the other precision, with the largest move of a clip. Of codes the share that
changes is counted.
Needs the extra ``[eval]``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr
from parts.kept_page import keep_notes, machine_text, model_name, show

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.codec import CodecDecoder, CodecEncoder
from voxhop.evaluation import load_cases, load_clip, perceptual
from voxhop.evaluation.cases import SAMPLE_RATE
from voxhop.evaluation.scoring import PROTOCOLS, score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from voxhop.evaluation.cases import Case, Clip

    Sound = npt.NDArray[np.float32]
    Heard = Callable[[str], Sound]  # what comes out in a precision
    Judge = Callable[[Sound], Mapping[str, float | None]]

EXACT: Final = "f32"
NARROW_HZ: Final = 8000
FAMILIES: Final = frozenset({"aecmos", "dnsmos", "pesq", "estoi"})
SHOWN: Final = {
    "aecmos_echo": "AECMOS echo",
    "aecmos_deg": "AECMOS deg",
    "dnsmos_ovrl": "DNSMOS",
    "pesq": "PESQ",
    "estoi": "ESTOI",
}


@dataclass
class Row:
    """What was found of a model: powers per clip, and scores per measure as pairs."""

    name: str
    output: list[float] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)
    scores: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    codes: int = 0
    changed: int = 0

    def add(self, precision: str, heard: Heard, scores_of: Judge) -> None:
        """Hear a clip in both precisions and score it."""
        exact, other = heard(EXACT), heard(precision)
        self.output.append(float(np.mean(np.square(exact, dtype=np.float64))))
        self.difference.append(float(np.mean(np.square(exact.astype(np.float64) - other))))
        one, two = scores_of(exact), scores_of(other)
        for key in SHOWN:
            before, after = one.get(key), two.get(key)
            if before is not None and after is not None:
                self.scores.setdefault(key, []).append((before, after))

    def cells(self) -> list[str]:
        """Return the row of the table."""
        if self.codes:
            share = f"{100 * self.changed / self.codes:.2f} % of {self.codes} codes change"
            return [self.name, share, *[""] * (2 + len(SHOWN))]
        output, difference = np.array(self.output), np.array(self.difference)
        ratio = 10 * np.log10(output / np.maximum(difference, 1e-30))
        level = 10 * np.log10(max(difference.mean(), 1e-30))
        cells = [self.name, f"{ratio.mean():.1f}", f"{ratio.min():.1f}", f"{level:.0f}"]
        for key in SHOWN:
            pairs = np.array(self.scores.get(key, [])).reshape(-1, 2)
            if not len(pairs):
                cells.append("")
                continue
            before, after = pairs.mean(axis=0)
            most = np.abs(pairs[:, 1] - pairs[:, 0]).max()
            cells.append(f"{before:.3f} / {after:.3f} ({most:.3f})")
        return cells


def main() -> int:
    """Hear every clip in both precisions and write the table."""
    parser = argparse.ArgumentParser(description="What a precision costs on speech.")
    parser.add_argument("--cases", type=Path, required=True, help="case folder")
    parser.add_argument("--models", nargs="*", default=list(voxhop.bundled_models()))
    parser.add_argument("--precision", default="f16", help="beside f32 (default f16)")
    parser.add_argument("--limit", type=int, help="first N clips of each scenario")
    parser.add_argument("--write", type=Path, help="page of the repository to write again")
    args = parser.parse_args()
    cases = load_cases(args.cases, limit=args.limit)
    rows: list[Row] = []
    with ProgressBar("hearing") as bar:
        for i, name in enumerate(args.models):
            with voxhop.load(name) as model:
                found = rows_of(model, model_name(name), args.precision, cases)
            rows += found
            bar.update(i + 1, len(args.models))
    text = page(rows, args, len(cases))
    show(text if args.write is None else keep_notes(args.write, text), args.write)
    return 0


def rows_of(model: voxhop.Model, name: str, precision: str, cases: Sequence[Case]) -> list[Row]:
    """Return the rows of a model."""
    clips = [(case, load_clip(case)) for case in cases]
    if model.info.purpose == "codec":
        return coded(model, name, precision, [c for _, c in clips if c.target is not None])
    row = Row(name)
    for case, clip in clips:
        if model.info.purpose != "restorer":
            row.add(precision, enhanced(model, clip), judge(case, clip, FAMILIES))
        elif clip.target is not None:
            row.add(
                precision, restored(model, clip.target), judge(case, clip, FAMILIES - {"aecmos"})
            )
    return [row]


def judge(case: Case, clip: Clip, families: frozenset[str]) -> Judge:
    """Return what scores an output of a clip."""
    return lambda out: score(case, clip, out, protocol=PROTOCOLS["whole"], families=families)


def enhanced(model: voxhop.Model, clip: Clip) -> Heard:
    """Return what an enhancer makes of a clip."""
    ref = clip.ref if model.info.input_count > 1 else None

    def heard(precision: str) -> Sound:
        options = voxhop.SessionOptions(precision=precision)
        return voxhop.enhance(clip.mic, ref, sample_rate=SAMPLE_RATE, model=model, options=options)

    return heard


def restored(model: voxhop.Model, target: Sound) -> Heard:
    """Return what a restorer makes of speech that a telephone's rate has cut."""
    narrow = soxr.resample(soxr.resample(target, SAMPLE_RATE, NARROW_HZ), NARROW_HZ, SAMPLE_RATE)

    def heard(precision: str) -> Sound:
        options = voxhop.SessionOptions(precision=precision)
        return voxhop.restore(narrow, sample_rate=SAMPLE_RATE, model=model, options=options)

    return heard


def coded(model: voxhop.Model, name: str, precision: str, clips: Sequence[Clip]) -> list[Row]:
    """Return the rows of a codec's parts; the decoder hears the codes of f32."""
    codes_row, sound_row = Row(f"{name}, encoder"), Row(f"{name}, decoder")
    for clip in clips:
        wide = soxr.resample(clip.target, SAMPLE_RATE, model.sample_rate).astype(np.float32)
        codes = {}
        for p in (EXACT, precision):
            with CodecEncoder(model, precision=p) as encoder:
                codes[p] = np.concatenate([encoder.push(wide), encoder.flush()])
        codes_row.codes += codes[EXACT].size
        codes_row.changed += int(np.count_nonzero(codes[EXACT] != codes[precision]))
        sound_row.add(precision, decoded(model, codes[EXACT]), sound_of)
    return [codes_row, sound_row]


def decoded(model: voxhop.Model, codes: npt.NDArray[np.uint8]) -> Heard:
    """Return what the decoder makes of codes, at the rate that scores are for."""

    def heard(precision: str) -> Sound:
        with CodecDecoder(model, precision=precision) as decoder:
            sound = decoder.push(codes)
        return soxr.resample(sound, model.sample_rate, SAMPLE_RATE).astype(np.float32)

    return heard


def sound_of(out: Sound) -> dict[str, float | None]:
    """Return the score of sound that nothing is there to compare with."""
    return {"dnsmos_ovrl": perceptual.dnsmos(out)["ovrl"]}


def page(rows: Sequence[Row], args: argparse.Namespace, clips: int) -> str:
    """Return the table as Markdown."""
    heads = ["model", "output to difference dB, mean", "worst clip", "difference dBFS"]
    heads += list(SHOWN.values())
    lines = [
        f"# {args.precision} beside f32, on speech",
        "",
        f"{clips} clips. Machine: {machine_text()}. Made by `benchmarks/precision_study.py`.",
        f"Scores: mean in f32 / in {args.precision} (largest move of a clip).",
        "",
        "| " + " | ".join(heads) + " |",
        "|---|" + "--:|" * (len(heads) - 1),
    ]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
