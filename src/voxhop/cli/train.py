"""``voxhop train``: train a model by a configuration file or on a folder of recordings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxhop.cli.verb import new_verb, print_json, say
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.training.config import TrainingConfig


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
    parser.add_argument("--data", metavar="FOLDER", help="recordings, instead of the file's")
    parser.add_argument("--output", metavar="FOLDER", help="checkpoints, log and curves")
    parser.add_argument("--initial", metavar="FILE", help="weights to start from, .pt or .gguf")
    parser.add_argument("--minutes", type=float, help="budget of training time")
    parser.add_argument("--device", help="auto, cpu, cuda")
    parser.add_argument(
        "--cases", metavar="FOLDER", help="write evaluation cases there instead of training"
    )
    parser.add_argument("--seed", type=int, help="seed of the run, or of the cases")


def run(args: argparse.Namespace) -> int:
    """Train, or write cases, and say where the results are."""
    if args.config is None and args.data is None:
        raise ArgumentError("train: no configuration file and no --data, expected one of them")
    config = _configured(args)
    if args.cases is not None:
        return _write_cases(args, config)
    from voxhop.training.loop import train  # noqa: PLC0415 - torch only where it is used
    from voxhop.training.plots import plot_curves  # noqa: PLC0415
    from voxhop.training.publish import publish  # noqa: PLC0415

    best = train(config, report=None if args.json else _report)
    if int(os.environ.get("RANK", "0")):
        return 0  # one of several processes: the first one writes the results
    folder = best.parent
    plot_curves(folder / "log.jsonl", folder / "curves.png")
    files = publish(best, folder, name=config.name)
    result = {"checkpoint": best, "model": files.half, "model_f32": files.full}
    if args.json:
        print_json(result)
    else:
        say(f"model: {files.half} (f16), {files.full} (f32, to train on from)")
        say(f"curves: {folder / 'curves.png'}")
    return 0


def _configured(args: argparse.Namespace) -> TrainingConfig:
    """Read the file and let the options overrule it."""
    from dataclasses import replace  # noqa: PLC0415

    from voxhop.training.config import TrainingConfig, load_config  # noqa: PLC0415

    config = load_config(args.config) if args.config else TrainingConfig()
    given = {
        name: getattr(args, name)
        for name in ("output", "initial", "minutes", "device", "seed")
        if getattr(args, name) is not None
    }
    if args.data is not None:
        given["data"] = replace(config.data, folder=args.data)
    return replace(config, **given)


def _write_cases(args: argparse.Namespace, config: TrainingConfig) -> int:
    from voxhop.training.cases import CaseConfig, write_cases  # noqa: PLC0415

    settings = CaseConfig() if args.seed is None else CaseConfig(seed=args.seed)
    folders = write_cases(config.data, Path(args.cases), settings)
    if args.json:
        print_json({"cases": folders})
    else:
        say(f"{len(folders)} cases in {args.cases}")
    return 0


def _report(record: dict[str, Any]) -> None:
    """Print one line per record of the log."""
    kind = record["kind"]
    if kind == "train":
        eta = record["eta_s"] / 60
        say(
            f"step {record['step']}: loss {record['loss']:.4f}, delay {record['delay']:.2f}, "
            f"{record['audio_per_s']:.1f} s of audio per s, {eta:.0f} min left"
        )
    elif kind in ("valid", "anchor"):
        name = record["weights"] if kind == "valid" else f"gain {record['gain']:g}"
        say(
            f"validation, {name}: score {record['score']:.1f}, separation "
            f"{record['dt_separation']:.1f} / {record['ne_separation']:.1f} dB, level "
            f"{record['dt_level']:.1f} / {record['ne_level']:.1f} dB, SI-SDR gain "
            f"{record['dt_si_sdr_gain']:.1f} / {record['ne_si_sdr_gain']:.1f} dB"
        )
