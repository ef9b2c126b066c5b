#!/usr/bin/env python3
"""Write the mean of models of one shape: weights of several moments of a training.

    python tools/mean_of_models.py ONE-f32.gguf OTHER-f32.gguf --out MEAN.gguf [--dtype f16]

What the ends of two runs do differently the mean does about half as much; training goes on from
an f32 file. Metadata are those of the first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from kept_metadata import LICENCE, NAME, kept_metadata

from voxhop.errors import VoxhopError
from voxhop.models import load
from voxhop.training.recipes import recipe_named


def main() -> int:
    """Read, average, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", type=Path, nargs="+", help="two or more f32 files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f32")
    args = parser.parse_args()
    if len(args.models) == 1:
        parser.error(f"{args.models[0]}: one model, expected two or more")
    try:
        write_mean(args.models, args.out, args.dtype)
    except VoxhopError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def write_mean(paths: list[Path], out: Path, dtype: str) -> None:
    """Write the mean of the models at `paths`."""
    with load(paths[0]) as first:
        recipe = recipe_named(first.info.architecture)
    metadata = kept_metadata(paths[0], NAME, LICENCE)
    models = [recipe.read(path) for path in paths]
    states = [model.state_dict() for model in models]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    for path, found in zip(paths, shapes, strict=True):
        if found != shapes[0]:
            raise VoxhopError(f"{path}: another shape, expected that of {paths[0]}")
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
    models[0].load_state_dict(mean)
    recipe.write(models[0], out, dtype=dtype, metadata=metadata)


if __name__ == "__main__":
    raise SystemExit(main())
