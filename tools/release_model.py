"""Put a trained checkpoint into the package, with all that the repository keeps of it.

    python tools/release_model.py runs/small/best.pt --results quality/results.json

writes ``src/voxhop/weights/NAME.gguf`` (f16) and ``models/NAME/``: the f32 file, MODEL_CARD.md,
config.toml, log.jsonl and curves.png. With ``--kept-apart`` nothing goes into the package: weights
that training goes on from and nobody should use yet. NAME is that of the run's configuration, or
``--name``. The figures of ``results.json`` (of ``voxhop eval``, ``benchmarks/quality.py``) go into
the card when it has a row of that name, and ``--history`` in words. Recordings are named "data" in
what is kept, wherever they lay.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from voxhop.training.config import RunConfig, StreamFMTrainingConfig, to_toml
from voxhop.training.recipes import recipe_of
from voxhop.training.release.card import CardNotes
from voxhop.training.release.plots import plot_curves
from voxhop.training.release.publish import publish_with_card, run_config
from voxhop.training.sounds.bank import DataConfig
from voxhop.training.state import read_log

ROOT = Path(__file__).parents[1]
RECORDINGS = """\
7.3 h of speech (492 sources, 31 languages, mostly read English), 1.4 h
  of noise, 0.7 h of music; public domain, CC0, CC-BY, CC-BY-SA, MIT, Apache-2.0 and GPL
  material. {rooms} simulated rooms. Validation: 47 other speakers, 38 other noises, other rooms."""
LIMITS = {
    "localvqe": (
        "Mostly English speech; simulated rooms and loudspeakers only.",
        "16 kHz, one microphone; delays beyond the window above are not found.",
        "Trained for a fraction of what the network can use: see the curves.",
    ),
    "seflow": (
        "Mostly English speech; simulated rooms only. No echo is removed.",
        "48 kHz: three voices in training, none of full bandwidth in validation.",
        "Trained for a small fraction of what the network can use: see the curves.",
    ),
    "streamfm": (
        "Mostly English speech; one level, which the level follower brings about.",
        "What it adds is made up: it is likely, not true.",
    ),
    "sublime": (
        "Mostly English speech, a fifth of it at 48 kHz.",
        "Speech only: music and noise come out as something like speech.",
    ),
}


def main() -> int:
    """Write the files and name them."""
    parser = argparse.ArgumentParser(description="Put a trained checkpoint into the package.")
    parser.add_argument("checkpoint", type=Path, help="best.pt or last.pt of a run")
    parser.add_argument("--name", default="", help="of the model; the run's")
    parser.add_argument("--results", type=Path, help="results.json with a row of that name")
    parser.add_argument("--history", default="", help="what its initial weights had seen, and such")
    parser.add_argument(
        "--limit", action="append", default=[], help="one more thing to warn of, before the others"
    )
    parser.add_argument(
        "--kept-apart", action="store_true", help="no weights into the package, the f32 file only"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout; this one")
    args = parser.parse_args()
    name = args.name or run_config(args.checkpoint).name
    results = None if args.results is None else json.loads(args.results.read_text("utf-8"))
    folder = args.root / "models" / name
    recipe = recipe_of(run_config(args.checkpoint))
    notes = CardNotes(
        recordings=RECORDINGS.format(rooms=recipe.config.rooms.count),
        limits=(*args.limit, *LIMITS[recipe.config.recipe]),
        history=args.history,
        packaged=not args.kept_apart,
    )
    files = publish_with_card(args.checkpoint, folder, name=name, notes=notes, results=results)
    if args.kept_apart:
        files.half.unlink()
    else:
        weights = args.root / "src" / "voxhop" / "weights" / files.half.name
        shutil.move(files.half, weights)
        sys.stdout.write(f"{weights}\n")
    config = kept_config(run_config(args.checkpoint), name)
    (folder / "config.toml").write_text(to_toml(config), "utf-8")
    log = args.checkpoint.with_name("log.jsonl")
    lines = [json.dumps(record) for record in read_log(log) if record["kind"] != "start"]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    plot_curves(folder / "log.jsonl", folder / "curves.png", recipe)
    sys.stdout.write("".join(f"{path}\n" for path in sorted(folder.iterdir())))
    return 0


def kept_config(config: RunConfig, name: str) -> RunConfig:
    """Return the configuration without the places of one machine."""
    initial = config.initial and f"models/{name}/{Path(config.initial).name}"
    data = DataConfig(folder="data", cache=".cache/training", workers=config.data.workers)
    kept = replace(config, output=f"runs/{name}", name=name, initial=initial, data=data)
    if isinstance(kept, StreamFMTrainingConfig) and kept.damage.codec:
        codec = Path(kept.damage.codec).name
        place = f"models/{codec.removesuffix('.gguf').removesuffix('-f32')}/{codec}"
        kept = replace(kept, damage=replace(kept.damage, codec=place))
    return kept


if __name__ == "__main__":
    sys.exit(main())
