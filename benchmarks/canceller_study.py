"""What the linear canceller does by itself, in simulated rooms.

    python benchmarks/canceller_study.py --data CORPUS --cache FOLDER [--clips 8] [--json FILE]

CORPUS is a training corpus (see docs/training.md). Prints a row per kind of scene: ERLE of the
echo alone, what the talker lost, recovery after a change, and the loudest 100 ms against the
microphone. Runs the reference (`voxhop.reference.canceller`); needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from canceller_scenes import CHANGES_AT_S, Scenes, make_scenes

from voxhop.reference.canceller import Canceller
from voxhop.reference.filterbank import Analysis, Synthesis, stft_basis
from voxhop.training.corpus import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

HOP = 256
SETTLED_S = 2.0
TALKING_S = 4.0
TALKER_SHARE = 0.01  # of the echo's power: less is the microphone's noise
LOUD_WINDOW = SAMPLE_RATE // 10
LOUD_FLOOR = 1e-7  # -70 dBFS: what is quieter than that is not loud
RECOVERY_S = ((0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 3.0))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="training corpus")
    parser.add_argument("--cache", type=Path, required=True, help="folder for samples and rooms")
    parser.add_argument("--clips", type=int, default=8, help="of each kind")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--partitions", type=int, default=32, help="of 16 ms")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    args = parser.parse_args()
    scenes = make_scenes(
        args.data, args.cache, clips=args.clips, seconds=args.seconds, seed=args.seed
    )
    rows = {name: measure(part, args.partitions) for name, part in scenes.items()}
    for name, row in rows.items():
        print(f"{name:32s}", ", ".join(f"{key} {value:.2f}" for key, value in row.items()))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


def measure(scenes: Scenes, partitions: int) -> dict[str, float]:
    """Cancel the clips of one kind and return its figures, dB."""
    mic, echo, near, out = _cancelled(scenes, partitions)
    left = out - near
    row = {}
    if np.mean(near[:, _at(TALKING_S) :] ** 2) > TALKER_SHARE * np.mean(echo**2):
        erle = _erle(echo, left, TALKING_S)
        row["talker changed"] = float(np.mean(_changed(near, left)))
    else:
        erle = _erle(echo, left, SETTLED_S)
        row["first 2 s"] = float(np.mean(_erle(echo, left, 0.0, SETTLED_S)))
        for begin, end in RECOVERY_S:
            part = _erle(echo, left, CHANGES_AT_S + begin, CHANGES_AT_S + end)
            row[f"5 s + {end:g}"] = float(np.mean(part))
    row["louder"] = float(10 * np.log10(np.max(_windows(out) / _windows(mic))))
    return {"ERLE": float(np.mean(erle)), "lowest": float(np.min(erle)), **row}


def _cancelled(scenes: Scenes, partitions: int) -> list[Array]:
    """Microphone, echo, near end and output, all through the same filterbank."""
    whole = scenes.far.shape[1] // HOP * HOP
    parts = (scenes.far, scenes.echo, scenes.near)
    far, echo, near = (torch.tensor(part[:, :whole]) for part in parts)
    basis = stft_basis()
    analysis, synthesis = Analysis(basis[0]).double(), Synthesis(basis[1], 1.0).double()
    with torch.no_grad():
        spectrum = analysis(echo + near)[0]
        output, _ = Canceller(partitions).cancel(echo + near, far, analysis, spectrum)
        spectra = (spectrum, analysis(echo)[0], analysis(near)[0], output.residual)
        return [synthesis(z)[0].numpy() for z in spectra]


def _at(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SAMPLE_RATE)


def _erle(echo: Array, left: Array, start_s: float, end_s: float | None = None) -> Array:
    part = slice(_at(start_s), _at(end_s))
    power = [np.sum(x[:, part] ** 2, axis=1) for x in (echo, left)]
    return np.asarray(10 * np.log10(power[0] / power[1]))


def _changed(near: Array, left: Array) -> Array:
    """How far from 0 dB the talker is in what is left of everything."""
    part = slice(_at(TALKING_S), None)
    left, near = left[:, part], near[:, part]
    share = np.sum(left * near, axis=1) / np.sum(near**2, axis=1)
    return np.asarray(np.abs(20 * np.log10(np.abs(1 + share))))


def _windows(x: Array) -> Array:
    whole = x.shape[1] // LOUD_WINDOW * LOUD_WINDOW
    return np.mean(x[:, :whole].reshape(len(x), -1, LOUD_WINDOW) ** 2, axis=2) + LOUD_FLOOR


if __name__ == "__main__":
    main()
