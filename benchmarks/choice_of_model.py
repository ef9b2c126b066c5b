"""Which model serves a recording without a reference best, at rates above 16 kHz.

    python benchmarks/choice_of_model.py --data FOLDER [--cache FOLDER] [--clips 8] [--json FILE]

draws clips at 24 and 48 kHz of speakers, noises and rooms that training never sees (a corpus's
valid split): noise at 0 to 15 dB, a room with noise at 20 to 30 dB, speech with little noise, 30 to
40 dB, and the same with the hum of the mains and a whine. Every model inside the package that
enhances a microphone runs over them as `voxhop.enhance` would, and a Markdown table is printed:
PESQ and DNSMOS OVRL (both at 16 kHz), their mean, which decides from 0.05 on, and the log-spectral
distance from the target above 8 kHz.
`voxhop.files.choice` holds what comes out of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

import voxhop
from voxhop.evaluation.perceptual import dnsmos, pesq_wb
from voxhop.training.draw import Draw
from voxhop.training.simulation.degrade import DegradationConfig, bank_rate, degrade
from voxhop.training.sounds.bank import DataConfig, load_bank
from voxhop.training.sounds.rooms import RoomConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    Process = Callable[[np.ndarray, int], np.ndarray]

RATES = (24_000, 48_000)
SECONDS = 6
SPEECH_RATE = 16_000
UPPER_BAND_HZ = 8_000.0
NOISE = 0.05  # of a mean: less than this is no difference
_BASE = DegradationConfig(
    noise=1.0, reverberation=0.0, clipping=0.0, packet_loss=0.0, silence=0.0, snr_db=(0.0, 15.0)
)
CONDITIONS = {
    "noise": _BASE,
    "room": replace(_BASE, reverberation=1.0, snr_db=(20.0, 30.0)),
    "little noise": replace(_BASE, snr_db=(30.0, 40.0)),
    "hum": replace(_BASE, snr_db=(30.0, 40.0)),
}
MAINS_HZ = (50.0, 60.0)
HARMONICS = 6
HUM_DBFS, WHINE_DBFS = -34.0, -40.0
COLUMNS = ("pesq", "ovrl", "mean", "lsd_above_8k")


def main() -> int:
    """Print the table, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description="Which model serves 24 and 48 kHz best.")
    parser.add_argument("--data", required=True, help="recordings")
    parser.add_argument("--cache", default=".cache/training", help="packed recordings")
    parser.add_argument("--clips", type=int, default=8, help="of each condition and rate")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    results = {str(rate): measure(args, rate) for rate in RATES}
    sys.stdout.write(table(results))
    if args.json:
        best = {rate: winner(rows) for rate, rows in results.items()}
        facts = {"clips": args.clips, "best": best, "rates": results}
        args.json.write_text(json.dumps(facts, indent=1) + "\n")
    return 0


def measure(args: argparse.Namespace, rate: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return system to condition to figures at one rate."""
    at = bank_rate(rate)
    data = DataConfig(folder=args.data, cache=args.cache)
    bank = load_bank(data, "valid", RoomConfig(count=40), seed=0, sample_rate=at)
    sets = {}
    for key, (name, condition) in enumerate(CONDITIONS.items()):
        batch = degrade(
            bank,
            condition,
            Draw(20264, key),
            clips=args.clips,
            samples=SECONDS * rate,
            sample_rate=rate,
        )
        noisy = batch.noisy.numpy()
        if name == "hum":
            noisy = noisy + np.stack([hum(i, rate) for i in range(args.clips)])
        sets[name] = (noisy, batch.target.numpy())
    rows = {}
    for system, process in systems().items():
        rows[system] = {
            name: figures([(process(x, rate), y) for x, y in zip(*pair, strict=True)], rate)
            for name, pair in sets.items()
        }
    return rows


def hum(clip: int, rate: int) -> np.ndarray:
    """Return the hum of the mains, falling by its harmonics, and a whine of 1 kHz and above."""
    turns = 2.0 * np.pi * np.arange(SECONDS * rate) / rate
    mains = MAINS_HZ[clip % len(MAINS_HZ)]
    low = sum(np.sin(k * mains * turns + k) / k for k in range(1, HARMONICS + 1))
    high = np.sin((1000.0 + 500.0 * clip) * turns)
    parts = ((low, HUM_DBFS), (high, WHINE_DBFS))
    return sum(10.0 ** (dbfs / 20.0) * x / x.std() for x, dbfs in parts).astype(np.float32)


def systems() -> dict[str, Process]:
    """Return what is compared, by name."""
    found: dict[str, Process] = {"unprocessed": lambda x, _rate: x}
    for name in voxhop.bundled_models():
        with voxhop.load(name) as model:
            if model.info.purpose == "enhancer":
                found[name] = lambda x, rate, name=name: voxhop.enhance(
                    x, sample_rate=rate, model=name
                )
    return found


def figures(pairs: list[tuple[np.ndarray, np.ndarray]], rate: int) -> dict[str, float]:
    """Return means over pairs of output and target."""
    pesqs, ovrls, distances = [], [], []
    for out, target in pairs:
        speech, wanted = (soxr.resample(x, rate, SPEECH_RATE) for x in (out, target))
        pesqs.append(pesq_wb(wanted, speech) or np.nan)
        ovrls.append(dnsmos(speech)["ovrl"])
        distances.append(spectral_distance(out, target, rate))
    pesq, ovrl = float(np.nanmean(pesqs)), float(np.mean(ovrls))
    values = (pesq, ovrl, (pesq + ovrl) / 2.0, float(np.mean(distances)))
    return dict(zip(COLUMNS, (round(value, 3) for value in values), strict=True))


def spectral_distance(out: np.ndarray, target: np.ndarray, rate: int) -> float:
    """Return the log-spectral distance above 8 kHz in dB, floor 60 dB under the loudest."""
    size = rate // 50
    window = np.hanning(size)
    spectra = []
    for x in (out, target):
        frames = np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2] * window
        spectra.append(np.abs(np.fft.rfft(frames)) ** 2)
    first = int(UPPER_BAND_HZ * size / rate)
    floor = 1e-6 * spectra[1].max()
    one, other = (10.0 * np.log10(s[:, first:] + floor) for s in spectra)
    return float(np.mean(np.sqrt(np.mean((one - other) ** 2, axis=1))))


def winner(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the model with the highest mean over the conditions; the default unless beaten."""
    means = {
        name: float(np.mean([values["mean"] for values in conditions.values()]))
        for name, conditions in rows.items()
        if name != "unprocessed"
    }
    best = max(means, key=means.__getitem__)
    ahead = means[best] > means[voxhop.DEFAULT_MODEL] + NOISE
    return best if ahead else voxhop.DEFAULT_MODEL


def table(results: dict[str, dict[str, dict[str, dict[str, float]]]]) -> str:
    """Lay the figures out."""
    titles = ("PESQ", "OVRL", "mean", "LSD > 8 kHz, dB")
    head = " | ".join(f"{name}: {title}" for name in CONDITIONS for title in titles)
    lines = [f"| rate | | {head} |", "|--:|---|" + "--:|" * (len(CONDITIONS) * len(titles))]
    for rate, rows in results.items():
        best = winner(rows)
        for name, conditions in rows.items():
            shown = f"**{name}**" if name == best else name
            cells = [f"{conditions[c][key]:.2f}" for c in CONDITIONS for key in COLUMNS]
            lines.append(f"| {rate} | {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
