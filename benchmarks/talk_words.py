"""What a machine understands of the near end while the far end talks, too: word errors.

    voxhop train CONFIG --cases cases/
    python benchmarks/talk_words.py --cases cases/ [--system webrtc] [--model NEW.gguf]

Prints, for the cases of double talk that have a target, wrong words per 100 of those recognised in
the target itself: of the microphone, of the default model and of every system and model given. A
clip counts at most 100, for recognisers repeat themselves over what they do not understand. Words
are those of `codec_measures`: needs its packages for word errors.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from parts.codec_measures import measures

from voxhop.evaluation.cases import load_cases, load_clip
from voxhop.evaluation.plan import system_rows
from voxhop.evaluation.runner import run_aligned
from voxhop.evaluation.systems import build

MOST = 100.0  # wrong words of a clip, per 100 said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parts.codec_measures import Measure

    from voxhop.evaluation.cases import Case


def main() -> None:
    """Run every system over the cases and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--system", action="append", default=[], help="as for voxhop eval")
    parser.add_argument("--model", action="append", default=[], help="short for voxhop,model=M")
    parser.add_argument("--limit", type=int, help="so many clips only")
    parser.add_argument("--cache", type=Path, default=Path(".cache/words"), help="recogniser")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    args = parser.parse_args()
    measure = next(m for m in measures(args.cache) if m.key == "wer")
    if measure.missing:
        parser.error(f"word errors need the packages {measure.missing}")
    cases = [case for case in load_cases(args.cases) if case.talk == "dt" and case.target]
    cases = cases[: args.limit]
    given = [*args.system, *(f"voxhop,model={model}" for model in args.model)]
    rows = dict(errors(("unprocessed", "voxhop", *given), cases, measure))
    for name, found in rows.items():
        print(f"{name:40s} {np.mean(found):5.1f} % of words wrong, {len(found)} clips", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


def errors(
    specifications: tuple[str, ...], cases: list[Case], measure: Measure
) -> Iterator[tuple[str, list[float]]]:
    """Yield every system's name and its word errors, one per clip in which words are said."""
    for specification, row in zip(specifications, system_rows(specifications, cases), strict=True):
        system, found = build(specification), []
        for case in cases:
            out, _ = run_aligned(system, row.lag_samples, case)
            target = load_clip(case).target
            assert target is not None  # noqa: S101 - `main` chose such cases
            value = measure.find(out, target)
            if value is not None:
                found.append(min(value, MOST))
        yield row.name, found


if __name__ == "__main__":
    main()
