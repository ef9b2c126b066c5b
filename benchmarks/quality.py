"""The quality table: the models and their peers on one set of cases, and what they must reach.

    voxhop train CONFIG --cases cases/
    python benchmarks/quality.py --cases cases/ --out quality/ --jobs 2 \
        --write benchmarks/results/quality.md

scores unprocessed, WebRTC, Speex, the default model, the same without its comfort noise and
without its reference, and the small sibling, and writes ``quality.md``, ``results.json`` and
``report.html`` in ``--out``.
Clips that are finished are kept there: with new weights only their rows are scored. With
``--write`` the table also takes the place of the page that the repository keeps; the page's own
section "Notes" stays. Needs the extra ``[eval]``, `pywebrtc-audio` and libspeexdsp.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parts.hop_times import hop_times
from parts.kept_page import keep_notes, machine_text, model_name
from parts.targets import Means, model_targets, small_targets, target_table

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.engine.plain import plain
from voxhop.evaluation import Settings, as_json, evaluate, load_clip, markdown
from voxhop.evaluation.page import page

if TYPE_CHECKING:
    from voxhop.evaluation import Clip, Results

SMALL_MODEL = "voxhop-localvqe-small"
COST_TURNS = 400
HEAD = """\
# Quality beside other cancellers

Made by

    voxhop train CONFIG --cases cases/
    python benchmarks/quality.py --cases cases/ --out quality/ --write benchmarks/results/quality.md

with {model} on {cases} cases from the valid split of the project's corpus: speakers, noises
and rooms that training has not heard. What the columns mean:
[evaluation.md](../../docs/evaluation.md). The columns are means of 4 to 18 clips: differences
below about 0.1 MOS or 1 dB are noise. For speed see [hop.md](hop.md).
Machine: {machine}.

## Targets

{table}
An unheard reference: a far end that plays into headphones. {cost}
"""


def main() -> int:
    """Score, compare with the targets, write."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    model, small = model_name(args.model), "" if args.no_small else model_name(args.small)
    results = _scored(args, args.cases, small, without_ref=True)
    real = None if args.real is None else _scored(args, args.real, small, without_ref=False)
    of = Means(results)
    targets = model_targets(of, model, None if real is None else Means(real))
    cost = ""
    if small:
        ratio, cost = _cost(args.model, args.small, load_clip(results.cases[0]))
        targets += small_targets(of, model, small, ratio)
    text = _page_text(args, results, real, target_table(targets), cost)
    (args.out / "quality.md").write_text(text, "utf-8")
    if args.write is not None:
        args.write.write_text(keep_notes(args.write, text), "utf-8")
    facts = json.dumps(plain(as_json(results)), indent=1, allow_nan=False)
    (args.out / "results.json").write_text(facts + "\n", "utf-8")
    if not args.no_html:
        with ProgressBar("page") as bar:
            html = page(results, subject=model, progress=bar.update)
        (args.out / "report.html").write_text(html, "utf-8")
    sys.stdout.write(text)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Quality of the models beside their peers.")
    add = parser.add_argument
    add("--cases", type=Path, required=True, help="case folder of voxhop train --cases")
    add("--out", type=Path, required=True, help="folder for the results and finished clips")
    add("--model", default=voxhop.DEFAULT_MODEL, help="name or path; the default model")
    add("--small", default=SMALL_MODEL, help="name or path of the small sibling")
    add("--no-small", action="store_true", help="leave the small sibling out")
    add("--beside", action="append", default=[], help="a further system, as for voxhop eval")
    add("--real", type=Path, help="folder with real recordings")
    add("--write", type=Path, help="page of the repository to write again")
    add("--jobs", type=int, default=2)
    add("--limit", type=int, help="first N clips of each scenario, for a try")
    add("--no-html", action="store_true", help="write no report.html")
    return parser.parse_args()


def _scored(args: argparse.Namespace, folder: Path, small: str, *, without_ref: bool) -> Results:
    model = f"voxhop,model={args.model}"
    systems = ["unprocessed", "webrtc", "speex", model]
    if without_ref:
        systems += [f"{model},comfort_noise=false", f"{model},ref=none", f"{model},ref=unheard"]
    if small:
        systems.append(f"voxhop,model={args.small}")
    systems += args.beside
    settings = Settings(
        folder, tuple(systems), args.out / "clips", protocol="whole", jobs=args.jobs
    )
    with ProgressBar("scoring") as bar:
        return evaluate(replace(settings, limit=args.limit), progress=bar.update)


def _cost(model: str, small: str, clip: Clip) -> tuple[float, str]:
    """Time both models in turns on one thread; return the ratio of minima, and a sentence."""
    sessions = [voxhop.load(name).session() for name in (model, small)]
    one, other = hop_times(sessions, clip.mic, clip.ref, COST_TURNS)
    ratio = other.min_ms / one.min_ms
    info = sessions[0].info
    medians = other.median_ms / one.median_ms
    return ratio, (
        f"Cost of the small sibling: {100 * ratio:.1f} %\nof the default's CPU time per hop "
        f"({info.kernels} kernels, {info.isa}, {info.precision}, one thread;\nratio of the minima "
        f"of {COST_TURNS} turns of 25 hops each in one run; of the medians: {100 * medians:.1f} %)."
    )


def _page_text(
    args: argparse.Namespace, results: Results, real: Results | None, table: str, cost: str
) -> str:
    head = HEAD.format(
        model=model_name(args.model),
        cases=len(results.cases),
        machine=machine_text(),
        table=table,
        cost=cost,
    )
    text = head.rstrip() + "\n\n## All cases\n\n" + _tables(results)
    return text if real is None else text + "\n## Real recordings\n\n" + _tables(real)


def _tables(results: Results) -> str:
    """Return the tables of `voxhop eval`, one level below a heading of the page."""
    return markdown(results).partition("\n\n")[2].replace("\n## ", "\n### ")


if __name__ == "__main__":
    sys.exit(main())
