"""What `voxhop.LevelFollower` makes a model hear: peaks of 2 s of speech around -6 dBFS.

    python benchmarks/level_study.py FOLDER

FOLDER holds recordings of speech, at any depth. Each is brought to several levels, with and
without noise 30 dB below, and sent through the follower; printed are percentiles of the peak
of every 2 s that hold speech, relative to -6 dBFS, from the first second on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import voxhop
import voxhop.io
from voxhop.media.sources import at_rate
from voxhop.stream.level import NOMINAL_PEAK

RATE, HOP = 16000, 256
LEVELS_DBFS = (-6, -20, -35, -45)
WINDOW_S = 2
SPEECH_DB = -25.0  # a window whose peak is further below the recording's holds none


def speech_of(path: Path, seconds: int) -> np.ndarray:
    """Return up to `seconds` of the first channel at 16 kHz, whole hops, with a peak of 1."""
    with voxhop.io.AudioReader(path) as reader:
        samples = at_rate(reader, RATE).read(seconds * RATE)[:, 0]
    samples = samples[: len(samples) // HOP * HOP]
    return samples / max(float(np.abs(samples).max()), 1e-9)


def heard(signal: np.ndarray) -> np.ndarray:
    """Return what a model behind the follower hears."""
    level = voxhop.LevelFollower(HOP, RATE, 0)
    out = []
    for hop in signal.reshape(-1, HOP):
        out.append(level.lift(hop))
        level.lower(out[-1])
    return np.concatenate(out)


def peaks_db(signal: np.ndarray) -> np.ndarray:
    """Return the peak of every whole window after the first second, in dB."""
    size = WINDOW_S * RATE
    rest = signal[RATE:]
    windows = rest[: len(rest) // size * size].reshape(-1, size)
    return 20 * np.log10(np.abs(windows).max(axis=1) + 1e-12)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=30)
    args = parser.parse_args()
    paths = sorted(p for p in args.folder.rglob("*") if p.suffix in voxhop.io.AUDIO_SUFFIXES)
    paths = paths[:: max(1, len(paths) // args.files)][: args.files]
    rng = np.random.default_rng(0)
    print(f"{len(paths)} recordings; dB around -6 dBFS: level, noise, 5 %, 50 %, 95 %")
    for dbfs in LEVELS_DBFS:
        for noisy in (False, True):
            found = []
            for path in paths:
                speech = speech_of(path, args.seconds)
                windows = peaks_db(speech) > SPEECH_DB
                if noisy:
                    power = np.mean(speech**2) * 1e-3
                    speech = speech + rng.normal(0, np.sqrt(power), len(speech))
                speech = (speech * 10 ** (dbfs / 20)).astype(np.float32)
                found.append(peaks_db(heard(speech))[windows] - 20 * np.log10(NOMINAL_PEAK))
            low, middle, high = np.percentile(np.concatenate(found), (5, 50, 95))
            print(
                f"{dbfs:5} {'30 dB' if noisy else '-':>6} {low:+5.1f} {middle:+5.1f} {high:+5.1f}"
            )


if __name__ == "__main__":
    main()
