"""``voxhop train``: train a model by a configuration file or on a folder of recordings."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxhop.cli.verb import new_verb, print_json, say
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.training.config import RunConfig
    from voxhop.training.recipes.recipe import Recipe


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = new_verb(
        subparsers,
        run,
        name="train",
        summary="train a model on recordings; a stopped run goes on when started again",
        example="voxhop train --data my-recordings --output runs/mine --minutes 150",
    )
    parser.add_argument("config", nargs="?", help="TOML file; defaults without one")
    parser.add_argument(
        "--recipe", help="model to train: localvqe (default), seflow, streamfm or sublime"
    )
    parser.add_argument("--data", metavar="FOLDER", help="recordings, instead of the file's")
    parser.add_argument("--output", metavar="FOLDER", help="checkpoints, log and curves")
    parser.add_argument("--initial", metavar="FILE", help="weights to start from, .pt or .gguf")
    parser.add_argument("--minutes", type=float, help="budget of training time")
    parser.add_argument("--device", help="auto, cpu, cuda")
    parser.add_argument(
        "--cases", metavar="FOLDER", help="write evaluation cases there instead of training"
    )
    parser.add_argument(
        "--conditions", type=int, metavar="N", help="with --cases: N more with each condition"
    )
    parser.add_argument("--seed", type=int, help="seed of the run, or of the cases")


def run(args: argparse.Namespace) -> int:
    """Train, or write cases, and say where the results are."""
    if args.config is None and args.data is None:
        raise ArgumentError("train: no configuration file and no --data, expected one of them")
    config = _configured(args)
    if args.conditions is not None and args.cases is None:
        raise ArgumentError("--conditions: expected together with --cases")
    if args.cases is not None:
        return _write_cases(args, config)
    from voxhop.training.recipes import recipe_of  # noqa: PLC0415
    from voxhop.training.release.plots import plot_curves  # noqa: PLC0415
    from voxhop.training.release.publish import publish  # noqa: PLC0415
    from voxhop.training.run.loop import train  # noqa: PLC0415 - torch only where it is used

    best = train(config, report=None if args.json else partial(_report, recipe_of(config)))
    if int(os.environ.get("RANK", "0")):
        return 0  # one of several processes: the first one writes the results
    folder = best.parent
    plot_curves(folder / "log.jsonl", folder / "curves.png", recipe_of(config))
    files = publish(best, folder, name=config.name)
    result = {"checkpoint": best, "model": files.half, "model_f32": files.full}
    if args.json:
        print_json(result)
    else:
        say(f"model: {files.half} (f16), {files.full} (f32, to train on from)")
        say(f"curves: {folder / 'curves.png'}")
    return 0


def _configured(args: argparse.Namespace) -> RunConfig:
    """Read the file and let the options overrule it."""
    from dataclasses import replace  # noqa: PLC0415

    from voxhop.training.config import RunConfig, from_table, load_config  # noqa: PLC0415

    if args.config:
        config = load_config(args.config)
    else:
        table = {} if args.recipe is None else {"recipe": args.recipe}
        config = from_table(RunConfig, table, where="--recipe")
    if args.recipe not in (None, config.recipe):
        raise ArgumentError(f"--recipe {args.recipe}: {args.config} is of {config.recipe}")
    given = {
        name: getattr(args, name)
        for name in ("output", "initial", "minutes", "device", "seed")
        if getattr(args, name) is not None
    }
    if args.data is not None:
        given["data"] = replace(config.data, folder=args.data)
    return replace(config, **given)


def _write_cases(args: argparse.Namespace, config: RunConfig) -> int:
    from voxhop.training.recipes import recipe_of  # noqa: PLC0415

    folders = recipe_of(config).write_cases(Path(args.cases), args.seed, args.conditions or 0)
    if args.json:
        print_json({"cases": folders})
    else:
        say(f"{len(folders)} cases in {args.cases}")
    return 0


def _report(recipe: Recipe[Any], record: dict[str, Any]) -> None:
    """Print one line per record of the log."""
    kind = record["kind"]
    if kind == "train":
        parts = [f"step {record['step']}: {recipe.line(record)}"]
        if math.isfinite(record["audio_per_s"]):  # not known at a run's first step
            parts.append(f"{record['audio_per_s']:.1f} s of audio per s")
        if math.isfinite(record["eta_s"]):
            parts.append(f"{record['eta_s'] / 60:.0f} min left")
        say(", ".join(parts))
    elif kind in ("valid", "anchor"):
        say(f"validation, {record.get('weights', 'to beat')}: {recipe.line(record)}")
