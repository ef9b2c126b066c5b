#!/usr/bin/env python3
"""Let a speech codec of this package move its levels away from those around them as it speaks.

    python tools/sharpen_codec.py MODEL.gguf OUT.gguf --sharpness 0.3 0 [--bins 12] [--dtype f16]

The numbers are of frames of 1 and of 6 kbit/s. The weights are unchanged; what it does to the
sound: docs/training.md. 0 0 takes it away again.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from kept_metadata import CARD, LICENCE, NAME, kept_metadata

from voxhop.errors import VoxhopError
from voxhop.export.sublime import read_sublime, write_sublime
from voxhop.reference import Sublime

SECTION = "\n\n## Sharpness\n"


def main() -> int:
    """Read, change what the file says of levels, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--sharpness", type=float, nargs=2, required=True, metavar=("A", "BOTH"), help="0 to 1"
    )
    parser.add_argument("--bins", type=int, default=12, help="on either side, of 25 Hz")
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f16")
    args = parser.parse_args()
    try:
        a, both = args.sharpness
        write_sharpened(args.model, args.out, (a, both), args.bins, args.dtype)
    except VoxhopError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def write_sharpened(
    path: Path, out: Path, sharpness: tuple[float, float], bins: int, dtype: str
) -> None:
    """Write the codec at `path` with another sharpness, and say so in its card."""
    model = read_sublime(path)
    changed = Sublime(replace(model.config, sharpness=sharpness, sharpness_bins=bins))
    changed.load_state_dict(model.state_dict())
    metadata = kept_metadata(path, NAME, LICENCE, CARD)
    if CARD in metadata:
        metadata[CARD] = metadata[CARD].split(SECTION)[0].rstrip() + _section(sharpness, bins)
    write_sublime(changed, out, dtype=dtype, metadata=metadata)


def _section(sharpness: tuple[float, float], bins: int) -> str:
    if not any(sharpness):
        return ""
    return (
        f"{SECTION}\nSet without training: levels are moved away from the mean of {bins} bins on "
        f"either side by\n{sharpness[0]:g} (1 kbit/s) and {sharpness[1]:g} (6 kbit/s) of their "
        "distance from it, at equal energy.\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
