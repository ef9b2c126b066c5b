"""What a SEFlow model does to noise, rooms, clipping and lost packets, network by network.

    python benchmarks/seflow_quality.py MODEL --data FOLDER [--cache FOLDER] [--clips 12]

draws clips of speakers, noises and rooms that training never sees (a corpus's valid split), one
degradation each, runs them through the engine, and prints a Markdown table: SI-SDR, PESQ, DNSMOS
OVRL, and PLCMOS for losses, with rows for the input as it is and, for losses, for repetition with
fade. Noise is at 0 dB SNR; 10 % of the packets are lost in bursts of 20 to 120 ms.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

import voxhop
from voxhop.evaluation.perceptual import dnsmos, pesq_wb, plcmos
from voxhop.training.bank import DataConfig, load_bank
from voxhop.training.degrade import degrade
from voxhop.training.draw import Draw
from voxhop.training.rooms import RoomConfig
from voxhop.training.seflow_judge import KINDS
from voxhop.training.validate import si_sdr

if TYPE_CHECKING:
    from voxhop.training.bank import SoundBank

RATE = 16000
SECONDS = 8
PACKET = RATE // 100
LOST_SHARE = 0.1
BURST_PACKETS = (2, 12)
FADE_PACKETS = 10
MEASURES = {
    "noise": ("si_sdr", "pesq", "ovrl"),
    "reverb": ("pesq", "ovrl"),
    "clipping": ("si_sdr", "pesq"),
    "loss": ("plcmos", "pesq"),
}
TITLES = {"si_sdr": "SI-SDR", "pesq": "PESQ", "ovrl": "OVRL", "plcmos": "PLCMOS"}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Quality of a SEFlow model, network by network.")
    parser.add_argument("model", help="name or path")
    parser.add_argument("--data", required=True, help="recordings")
    parser.add_argument("--cache", default=".cache/training", help="packed recordings")
    parser.add_argument("--clips", type=int, default=12, help="of each degradation")
    parser.add_argument("--window", type=int, help="hops of the past; the file's")
    parser.add_argument("--networks", default="", help="such as 6,4 1,1; some of all by default")
    args = parser.parse_args()
    data = DataConfig(folder=args.data, cache=args.cache)
    bank = load_bank(data, "valid", RoomConfig(count=40), seed=0)
    sets = {kind: clips(bank, kind, args.clips) for kind in KINDS}
    rows = {"unprocessed": {kind: noisy for kind, (noisy, _) in sets.items()}}
    rows["repetition, fade"] = {"loss": np.stack([repeated(x) for x in sets["loss"][0]])}
    with voxhop.load(args.model) as model:
        for depth, heads in networks(model, args.networks):
            how = {"sample_rate": RATE, "depth": depth, "heads": heads}
            if args.window:
                how["window"] = args.window
            rows[f"{depth}, {heads}"] = {
                kind: np.stack([run(model, how, x) for x in noisy])
                for kind, (noisy, _) in sets.items()
            }
    sys.stdout.write(table(rows, {kind: target for kind, (_, target) in sets.items()}))
    return 0


def networks(model: voxhop.Model, wanted: str) -> list[tuple[int, int]]:
    """Return the networks to run, the full one first."""
    if wanted:
        pairs = [pair.split(",") for pair in wanted.split()]
        return [(int(depth), int(heads)) for depth, heads in pairs]
    most = {option.name: int(option.default) for option in model.options if option.highest}
    b, h = most["depth"], most["heads"]
    chosen = [(b, h), (b, max(1, h // 2)), (max(1, b // 2), h), (max(1, b // 2), max(1, h // 2))]
    return list(dict.fromkeys([*chosen, (b, 1), (1, h), (1, 1)]))


def clips(bank: SoundBank, kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw degraded and target clips of one kind, (count, samples) each."""
    batch = degrade(
        bank,
        replace(KINDS[kind], packet_loss=0.0),
        Draw(20263, list(KINDS).index(kind)),
        clips=count,
        samples=SECONDS * RATE // 256 * 256,
        sample_rate=RATE,
    )
    noisy = batch.noisy.numpy().copy()
    if kind == "loss":
        for row, x in enumerate(noisy):
            x[lost_samples(np.random.default_rng(row), len(x))] = 0
    return noisy, batch.target.numpy()


def lost_samples(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Draw bursts until a tenth of the packets is lost, (samples,) bool."""
    lost = np.zeros(-(-samples // PACKET), bool)
    while lost.mean() < LOST_SHARE:
        length = rng.integers(BURST_PACKETS[0], BURST_PACKETS[1] + 1)
        first = rng.integers(0, len(lost) - length)
        lost[first : first + length] = True
    return np.repeat(lost, PACKET)[:samples]


def repeated(x: np.ndarray) -> np.ndarray:
    """Fill packets of zeros with the last good packet, faded out over 100 ms."""
    out, last, age = x.copy(), np.zeros(PACKET, np.float32), 0
    for start in range(0, len(x) - PACKET + 1, PACKET):
        packet = out[start : start + PACKET]
        if packet.any():
            last, age = packet.copy(), 0
        else:
            age += 1
            packet[:] = last * max(0.0, 1 - age / FADE_PACKETS)
    return out


def run(model: voxhop.Model, how: dict[str, int], x: np.ndarray) -> np.ndarray:
    """Stream a clip, and take its lag away."""
    with model.session(**how) as session:
        hop = session.hop_length
        padded = np.concatenate([x, np.zeros(hop, np.float32)])
        return np.concatenate([session.process_hop(h) for h in padded.reshape(-1, hop)])[hop:]


def table(rows: dict[str, dict[str, np.ndarray]], targets: dict[str, np.ndarray]) -> str:
    """Score everything and lay it out."""
    columns = [(kind, measure) for kind, names in MEASURES.items() for measure in names]
    head = " | ".join(f"{kind}, {TITLES[measure]}" for kind, measure in columns)
    lines = [f"| | {head} |", "|---|" + "--:|" * len(columns)]
    for name, outputs in rows.items():
        cells = []
        for kind, measure in columns:
            if kind not in outputs:
                cells.append("")
                continue
            pairs = zip(outputs[kind], targets[kind], strict=True)
            values = [scored(measure, out, target) for out, target in pairs]
            cells.append(f"{np.nanmean(values):.2f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def scored(measure: str, out: np.ndarray, target: np.ndarray) -> float:
    """Return one figure of one clip."""
    if measure == "si_sdr":
        return float(si_sdr(torch.from_numpy(out)[None], torch.from_numpy(target)[None]))
    if measure == "pesq":
        return pesq_wb(target, out) or np.nan
    return plcmos(out) if measure == "plcmos" else dnsmos(out)["ovrl"]


if __name__ == "__main__":
    sys.exit(main())
