"""``voxhop eval``: score models and other systems on a folder of cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voxhop.cli.verb import ProgressBar, new_verb, print_json, say
from voxhop.engine.plain import plain
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.evaluation import Results, Settings

_EXAMPLE: Final = (
    "voxhop eval --cases cases/ --system webrtc --system speex --out voxhop-eval\n"
    "  voxhop eval --cases blind_test_set_icassp2022/ --model localvqe-v1.1 --jobs 8"
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb."""
    parser = new_verb(
        subparsers,
        run,
        name="eval",
        summary="score models and other systems on a folder of cases",
        example=_EXAMPLE,
    )
    add = parser.add_argument
    add("--cases", type=Path, required=True, metavar="FOLDER",
        help="case folder, or a set in the AEC Challenge's layout")  # fmt: skip
    add("--model", action="append", default=[], metavar="M",
        help="model by name or path; repeatable; without --system: the default model")  # fmt: skip
    add("--system", action="append", default=[], metavar="SPEC",
        help="unprocessed, voxhop, webrtc, speex or module:factory, with ,key=value")  # fmt: skip
    add("--without-ref", action="store_true",
        help="one more row for each model, without its reference")  # fmt: skip
    add("--out", type=Path, default=Path("voxhop-eval"), metavar="FOLDER",
        help="tables, page and finished clips; voxhop-eval")  # fmt: skip
    add("--protocol", default="auto", metavar="P", help="auto, whole, challenge or report")
    add("--measures", default="", metavar="A,B", help="families to compute; all")
    add("--jobs", type=int, default=1, metavar="N", help="processes; 1")
    add("--limit", type=int, metavar="N", help="first N clips of each scenario only")
    add("--worst", type=int, default=5, metavar="N", help="clips with sound in the page; 5")
    add(
        "--subject",
        metavar="NAME",
        help="row whose worst clips are shown; the last with its reference",
    )
    add("--fresh", action="store_true", help="do finished clips again")
    add("--no-html", action="store_true", help="write no page")


def run(args: argparse.Namespace) -> int:
    """Score, write the tables and say where they are."""
    from voxhop.evaluation import as_json, evaluate, markdown  # noqa: PLC0415 - heavy

    settings = _settings(args)
    with ProgressBar("scoring") as bar:
        results = evaluate(settings, progress=bar.update)
    args.out.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    facts = plain(as_json(results))
    _write(args.out / "results.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")
    _write(args.out / "results.md", text)
    written = ["results.json", "results.md"]
    if not args.no_html:
        _write(args.out / "report.html", _page(results, args))
        written.append("report.html")
    if args.json:
        print_json(facts)
    else:
        say(text)
        for name in written:
            say(f"written: {args.out / name}")
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from voxhop.evaluation import Settings  # noqa: PLC0415 - heavy

    for name in ("jobs", "limit", "worst"):
        value = getattr(args, name)
        if value is not None and value < (0 if name == "worst" else 1):
            raise ArgumentError(f"--{name} {value}: expected a positive number")
    models = [f"voxhop,model={model}" for model in args.model]
    if not models and not args.system:
        models = ["voxhop"]
    systems = tuple(dict.fromkeys(["unprocessed", *args.system, *models]))
    return Settings(
        folder=args.cases,
        systems=systems,
        work=args.out / "clips",
        protocol=args.protocol,
        families=tuple(name for name in args.measures.split(",") if name),
        jobs=args.jobs,
        limit=args.limit,
        fresh=args.fresh,
        without_ref=args.without_ref,
    )


def _page(results: Results, args: argparse.Namespace) -> str:
    from voxhop.evaluation.page import page  # noqa: PLC0415 - needs matplotlib

    with ProgressBar("page") as bar:
        return page(results, worst=args.worst, subject=args.subject, progress=bar.update)


def _write(path: Path, text: str) -> None:
    """Write a file so that it appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
