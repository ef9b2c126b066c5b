"""What the linear canceller does by itself, in simulated rooms.

    python benchmarks/canceller_study.py --data CORPUS --cache FOLDER [--clips 8] [--follow]
        [--json FILE]

CORPUS is a training corpus (see docs/training.md). Prints a row per kind of scene: ERLE of the
echo alone, what the talker lost, recovery after a change, and the loudest 100 ms against the
microphone. Runs the engine, with a network behind the canceller that gives back what it hears;
needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from parts.canceller_scenes import CHANGES_AT_S, Scenes, make_scenes

import voxhop
from voxhop.export import write_gguf
from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.training.sounds.corpus import SAMPLE_RATE

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
    parser.add_argument("--follow", action="store_true", help="with the follower")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    args = parser.parse_args()
    scenes = make_scenes(
        args.data, args.cache, clips=args.clips, seconds=args.seconds, seed=args.seed
    )
    rows = {}
    with identity(args.partitions, follow=args.follow) as model, identity(0) as network:
        for name, part in scenes.items():
            row = rows[name] = measure(part, model, network)
            figures = ", ".join(f"{key} {value:.2f}" for key, value in row.items())
            print(f"{name:32s}", figures, flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


def identity(partitions: int, *, follow: bool = False) -> voxhop.Model:
    """Return a network that gives back what the canceller leaves, or, for 0, what it hears."""
    config = LocalVQEConfig(
        mic_channels=(2, 4, 4, 4, 4, 4),
        far_channels=(2, 4, 4),
        align_hidden=4,
        bottleneck_hidden=8,
        d_max=4,
        echo_partitions=partitions,
        echo_follower=follow,
    )
    network = LocalVQE(config)
    network.identity_mask_(0.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "identity.gguf"
        write_gguf(network, path)
        return voxhop.load(path)


def measure(scenes: Scenes, model: voxhop.Model, network: voxhop.Model) -> dict[str, float]:
    """Cancel the clips of one kind and return its figures, dB."""
    whole = scenes.far.shape[1] // HOP * HOP
    far, echo, near = (
        np.ascontiguousarray(part[:, :whole], np.float32)
        for part in (scenes.far, scenes.echo, scenes.near)
    )
    silence = np.zeros_like(far)
    out = _run(model, echo + near, far)
    mic, echo, near = (_run(network, audio, silence) for audio in (echo + near, echo, near))
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


def _run(model: voxhop.Model, mics: Array, refs: Array) -> Array:
    """Every clip through a session of its own, float64 and less the lag of a hop."""
    outs = []
    for mic, ref in zip(mics, refs, strict=True):
        with model.session() as session:
            hops = [
                session.process_hop(mic[at : at + HOP], ref[at : at + HOP])
                for at in range(0, len(mic), HOP)
            ]
        outs.append(np.concatenate(hops[1:]))
    return np.stack(outs).astype(np.float64)


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
