"""What whole systems leave where the echo's path is linear, and of tones, hum and offset.

    python benchmarks/plain_rooms.py --data CORPUS --cache FOLDER \
        [--system webrtc] [--model NEW.gguf] [--write benchmarks/results/plain-rooms.md]

CORPUS is a training corpus (see docs/training.md), of which the validation split is heard, in
rooms of `canceller_scenes`. Systems are those of `voxhop eval`, each clip a new stream; voxhop
puts out no comfort noise here, and hears an offset through `voxhop.enhance`, which has a
high-pass at its door. Needs the extras ``[train]`` and ``[eval]``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from parts.canceller_scenes import (
    DELAY_S,
    LEVEL,
    NOISE_DB,
    RT60_S,
    crop,
    draw_rooms,
    echo_of,
    levelled,
)
from parts.kept_page import machine_text, model_name, write_study

import voxhop
from voxhop.cli.verb import ProgressBar
from voxhop.evaluation.alignment import advance
from voxhop.evaluation.energy import erle_db, si_sdr_db
from voxhop.evaluation.systems import build
from voxhop.training.sounds.corpus import SAMPLE_RATE, load_streams
from voxhop.training.sounds.rooms import LOUDSPEAKER

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from voxhop.evaluation.systems import System

    Array = npt.NDArray[Any]
    Run = Callable[[Array, Array], Array]

SECONDS = 10.0
SETTLED_S = 2.0  # figures are of what comes later
TALKERS, PIECES, PAIRS, SPEAKERS = 20, 4, 6, 4
TALKER_DB = -10.0  # against the echo
TONES_HZ = (50.0, 100.0, 400.0, 1000.0, 3000.0)
HUM_HZ = tuple(50.0 * k for k in range(1, 11))
PAUSE_S = 2.0
OFFSET = 0.2
MUST = ("*must*", "32 / 42", "35", "+8", *["-20 (0.5)"] * (len(TONES_HZ) + 1), "-58")
GOAL = ("*goal*", "40 / 50", "45", "+12", *["-30 (0.5)"] * (len(TONES_HZ) + 1), "as without")
HEAD = """\
# Systems in plain rooms

Made by `python benchmarks/plain_rooms.py --data CORPUS --cache FOLDER --write PAGE`.
Simulated rooms of RT60 {rt60:g} s, echo after {delay:.0f} ms through a linear path, everything
at {level:.0f} dBFS; talkers, music and rooms of the validation split. Clips of {seconds:g} s, of
which the first {settled:g} s do not count. No comfort noise. Machine: {machine}.

* *talkers*, *music*: ERLE of {talkers} far-end talkers and {pieces} pieces one by one, dB;
* *echo 10 dB above*: SI-SDR of the talker in double talk of {pairs} pairs, dB;
* *tones, hum*: what is left of a tone as loud as the speech of {speakers} talkers over it (hum:
  of 50 Hz and nine harmonics together), dB, and by how much the talker's own level is another
  than without it, dB;
* *offset*: output in a pause of speech with an offset of {offset:g} and without, dBFS. Systems
  of others get what they get; voxhop's stream has its high-pass.

"""


@dataclass(frozen=True)
class Row:
    """Figures of one system; dB, dBFS for pauses."""

    talkers: list[float]
    music: list[float]
    below_echo: list[float]
    tones_left: dict[str, float]
    tones_talker: dict[str, float]
    offset: float
    no_offset: float


@dataclass(frozen=True)
class Study:
    """Rows by their system's name."""

    rows: dict[str, Row]


class Sounds:
    """Everything that systems hear, drawn once."""

    def __init__(self, data: Path, cache: Path) -> None:
        self._streams = load_streams(data, "valid", cache=cache)
        self._rooms = draw_rooms(TALKERS, cache)[:, LOUDSPEAKER]
        self.samples = round(SECONDS * SAMPLE_RATE)
        rng = np.random.default_rng(0)
        self.noise = LEVEL * 10 ** (NOISE_DB / 20) * rng.standard_normal(self.samples)
        self.talkers = [self._sound("speech", i, rng) for i in range(TALKERS)]
        self.music = [self._sound("music", i, rng) for i in range(PIECES)]

    def _sound(self, kind: str, index: int, rng: np.random.Generator) -> Array:
        """Return one of as many sources as the split has, spread over all."""
        sources = len(self._streams[kind].lengths)
        step = max(sources // (TALKERS if kind == "speech" else PIECES), 1)
        return levelled(crop(self._streams[kind], index * step, self.samples, rng))

    def echo(self, far: Array, index: int) -> Array:
        """Return the echo of a signal in a room."""
        return echo_of(far, self._rooms[index])


def main() -> None:
    """Measure and print, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="training corpus")
    parser.add_argument("--cache", type=Path, required=True, help="folder for samples and rooms")
    parser.add_argument("--system", action="append", default=[], help="as for voxhop eval")
    parser.add_argument("--model", action="append", default=[], help="name or file of a model")
    parser.add_argument("--write", type=Path, help="page to write, figures beside it")
    args = parser.parse_args()
    sounds = Sounds(args.data, args.cache)
    names = [*args.system, *(f"voxhop,model={m}" for m in args.model or [voxhop.DEFAULT_MODEL])]
    rows = {}
    with ProgressBar("plain rooms") as bar:
        for at, name in enumerate(names):
            bar.update(at, len(names))
            model = name.partition("model=")[2]
            system = build(f"{name},comfort_noise=false" if model else name)
            rows[model_name(model) if model else system.name] = _measure(system, model, sounds)
        bar.update(len(names), len(names))
    study = Study(rows)
    text = _page(study)
    print(text)
    if args.write:
        write_study(args.write, text, study)


def _measure(system: System, model: str, sounds: Sounds) -> Row:
    lag = system.delay_samples or 0

    def run(mic: Array, ref: Array) -> Array:
        mic, ref = (np.concatenate((x, np.zeros(lag))).astype(np.float32) for x in (mic, ref))
        return advance(system.process(mic, ref, SAMPLE_RATE), lag, len(mic) - lag)

    left, talker = _tones(run, sounds)
    return Row(
        [_erle(run, sounds, far, i) for i, far in enumerate(sounds.talkers)],
        [_erle(run, sounds, far, i) for i, far in enumerate(sounds.music)],
        [_below_echo(run, sounds, i) for i in range(PAIRS)],
        left,
        talker,
        *(_in_pause(run, model, sounds, offset) for offset in (OFFSET, 0.0)),
    )


def _later(x: Array) -> Array:
    return x[round(SETTLED_S * SAMPLE_RATE) :]


def _erle(run: Run, sounds: Sounds, far: Array, index: int) -> float:
    mic = sounds.echo(far, index) + sounds.noise
    return erle_db(_later(mic), _later(run(mic, far)))


def _below_echo(run: Run, sounds: Sounds, index: int) -> float:
    far, near = sounds.talkers[index], sounds.talkers[index + PAIRS]
    near = near * 10 ** (TALKER_DB / 20)
    out = run(sounds.echo(far, index) + near + sounds.noise, far)
    return si_sdr_db(_later(near), _later(out))


def _tones(run: Run, sounds: Sounds) -> tuple[dict[str, float], dict[str, float]]:
    """Return by tone what is left of it, and the change of the talker's level."""
    time = np.arange(sounds.samples) / SAMPLE_RATE
    silence = np.zeros(sounds.samples)
    left: dict[str, list[float]] = {}
    changed: dict[str, list[float]] = {}
    for near in sounds.talkers[:SPEAKERS]:
        usual = _gain_db(_later(near), _later(run(near + sounds.noise, silence)))
        for name, hertz in [*((f"{f:g} Hz", (f,)) for f in TONES_HZ), ("hum", HUM_HZ)]:
            tone = np.sum([np.sin(2 * np.pi * f * time + k) for k, f in enumerate(hertz)], axis=0)
            tone *= LEVEL / np.sqrt(np.mean(tone**2))
            out = _later(run(near + tone + sounds.noise, silence))
            # What of the speech lies at these frequencies by chance is 40 dB below the tone.
            power = [sum(_power_at(x, f) for f in hertz) for x in (out, _later(tone))]
            left.setdefault(name, []).append(10 * np.log10(power[0] / power[1]))
            changed.setdefault(name, []).append(abs(_gain_db(_later(near), out) - usual))
    means = [{k: float(np.mean(v)) for k, v in d.items()} for d in (left, changed)]
    return means[0], means[1]


def _power_at(x: Array, hertz: float) -> float:
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(x)) / SAMPLE_RATE)
    return float(2 * np.abs(np.mean(x * turns)) ** 2)


def _gain_db(near: Array, out: Array) -> float:
    """Return the level at which a talker stands in an output."""
    return float(20 * np.log10(abs(np.dot(near, out)) / np.dot(near, near)))


def _in_pause(run: Run, model: str, sounds: Sounds, offset: float) -> float:
    """Return the mean level of the last second of pauses behind speech, dBFS."""
    pause = round(PAUSE_S * SAMPLE_RATE)
    levels = []
    for near in sounds.talkers[:SPEAKERS]:
        mic = near + sounds.noise
        mic[-pause:] = sounds.noise[-pause:]
        mic += offset
        if model:
            options = voxhop.SessionOptions(comfort_noise=False)
            out = voxhop.enhance(
                mic.astype(np.float32), sample_rate=SAMPLE_RATE, model=model, options=options
            )
        else:
            out = run(mic, np.zeros_like(mic))
        levels.append(np.mean(out[-pause // 2 :].astype(np.float64) ** 2))
    return float(10 * np.log10(np.mean(levels) + 1e-12))


def _page(study: Study) -> str:
    head = HEAD.format(
        rt60=RT60_S,
        delay=1000 * DELAY_S,
        level=20 * np.log10(LEVEL),
        seconds=SECONDS,
        settled=SETTLED_S,
        talkers=TALKERS,
        pieces=PIECES,
        pairs=PAIRS,
        speakers=SPEAKERS,
        offset=OFFSET,
        machine=machine_text(),
    )
    tones = next(iter(study.rows.values())).tones_left
    columns = ("", "talkers: lowest / median", "music", "echo 10 dB above", *tones, "offset")
    lines = [f"| {' | '.join(columns)} |", "|---|" + "--:|" * (len(columns) - 1)]
    for name, row in study.rows.items():
        cells = [
            f"{min(row.talkers):.1f} / {np.median(row.talkers):.1f}",
            ", ".join(f"{x:.0f}" for x in row.music),
            f"{np.mean(row.below_echo):+.1f}",
            *(f"{row.tones_left[t]:.0f} ({row.tones_talker[t]:.1f})" for t in tones),
            f"{row.offset:.0f} ({row.no_offset:.0f})",
        ]
        lines.append(f"| {' | '.join((name, *cells))} |")
    lines += [f"| {' | '.join(row)} |" for row in (MUST, GOAL)]
    return head + "\n".join(lines) + "\n\nBehind a tone, in brackets: the talker's change.\n"


if __name__ == "__main__":
    main()
