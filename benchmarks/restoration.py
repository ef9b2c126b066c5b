"""What restoring models make of damaged speech, measured beside what they were given.

    python benchmarks/restoration.py MODEL... --data FOLDER [--cache FOLDER] [--write FILE]

takes clips of speakers that training never hears (a corpus's valid split), damages them as each
model's task says (`bwe`: through 8 kHz; `codec`: through the package's codec at 6 and 1 kbit/s;
`derev`: in rooms; `enhance`: noise), restores them with each of the named solvers, and writes a
table of both and the figures as JSON. `bwe` also gets clips that are whole. Measures that are not
installed are named and left out; `--cache` keeps scores by what was scored.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr
import torch
from parts.codec_measures import RATE, KeptScores, Measure, measures, usable
from parts.kept_page import machine_text, write_study
from parts.targets import Target, met, target_table

import voxhop
from voxhop.files.restorers import solver_of, task_of
from voxhop.training.draw import Draw
from voxhop.training.simulation import acoustics
from voxhop.training.simulation.degrade import DegradationConfig, degrade
from voxhop.training.sounds.bank import DataConfig, load_bank
from voxhop.training.sounds.rooms import RoomConfig
from voxhop.training.streamfm.judge import log_spectral_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxhop.training.sounds.bank import SoundBank

    Sound = NDArray[np.float32]

SEED: Final = 20266
SECONDS: Final = 6.0
KEYS: Final = ("lsd", "pesq", "estoi", "sig", "ovrl", "distillmos", "wer")
GIVEN: Final = "as given"
_DIGITS: Final = {"estoi": 3, "wer": 1}
_NARROW_HZ: Final = 8000
# One damage; the level is that of the codec's comparison.
_ONE: Final = DegradationConfig(
    noise=0.0, reverberation=0.0, clipping=0.0, packet_loss=0.0, silence=0.0,
    level_dbfs=(-26.0, -26.0), snr_db=(0.0, 10.0),
)  # fmt: skip
_DEGRADED: Final = {"derev": "reverberation", "enhance": "noise"}


@dataclass
class Row:
    """What is heard in one condition: means over clips, `None` where nothing could be measured."""

    task: str
    condition: str
    system: str
    means: dict[str, float | None]


@dataclass
class Study:
    """All rows, and what could not be measured."""

    models: dict[str, str] = field(default_factory=dict)  # task: name
    solvers: dict[str, list[str]] = field(default_factory=dict)  # task: the first has to reach it
    clips: int = 0
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def value(self, task: str, condition: str, system: str, key: str) -> float:
        """Return a mean, NaN where there is none."""
        for row in self.rows:
            if (row.task, row.condition, row.system) == (task, condition, system):
                found = row.means.get(key)
                return float("nan") if found is None else found
        return float("nan")


def main() -> int:
    """Restore, measure, and write or print the page."""
    args = _arguments()
    torch.set_num_threads(1)
    data = DataConfig(folder=args.data, cache=args.packed)
    bank = load_bank(data, "valid", RoomConfig(count=40), seed=0, sample_rate=RATE)
    kept = KeptScores(Path(args.cache) / "restoration-scores.json")
    study = Study(clips=args.clips)
    known = _known(Path(args.cache))
    wanted = args.measures.split(",") if args.measures else KEYS
    found = usable(known, wanted, study.missing)
    for name in args.models:
        with voxhop.load(name) as model:
            task = task_of(model).name
            study.models[task] = model.info.name or name
            study.solvers[task] = (
                args.solvers.split(",") if args.solvers else [solver_of(model, None, None)]
            )
            for condition, (given, target) in damaged(bank, task, args.clips).items():
                _say(f"{task}, {condition}")
                means = {k: kept.mean(m, given, target) for k, m in found.items()}
                study.rows.append(Row(task, condition, GIVEN, means))
                for solver in study.solvers[task]:
                    _say(f"{task}, {condition}: {solver}")
                    out = np.stack(
                        [
                            voxhop.restore(clip, sample_rate=RATE, model=model, solver=solver)
                            for clip in given
                        ]
                    )
                    means = {k: kept.mean(m, out, target) for k, m in found.items()}
                    study.rows.append(Row(task, condition, solver, means))
                    kept.save()
    text = page(study)
    if args.write:
        write_study(Path(args.write), text, study)
    else:
        sys.stdout.write(text)
    return 0


def damaged(bank: SoundBank, task: str, count: int) -> dict[str, tuple[Sound, Sound]]:
    """Return by condition what a task's model gets and what should come out, (count, samples)."""
    if task in _DEGRADED:
        batch = degrade(
            bank,
            dataclasses.replace(_ONE, **{_DEGRADED[task]: 1.0}),
            Draw(SEED, 1),
            clips=count,
            samples=int(SECONDS * RATE),
            sample_rate=RATE,
        )
        return {_DEGRADED[task]: (batch.noisy.numpy(), batch.target.numpy())}
    clean = _clean(bank, count)
    if task == "bwe":
        narrow = np.stack([_at(_at(clip, RATE, _NARROW_HZ), _NARROW_HZ, RATE) for clip in clean])
        return {"narrow": (narrow, clean), "whole": (clean, clean)}
    return {f"{kbps} kbit/s": (_coded(clean, kbps), clean) for kbps in (6, 1)}


def _clean(bank: SoundBank, count: int) -> Sound:
    """Return clips of different speakers as they were recorded."""
    draw, speech = Draw(SEED, 0), bank.speech
    samples = int(SECONDS * RATE)
    order = draw.uniform(0, 1, len(speech.lengths)).argsort()
    long = order[speech.lengths[order] > samples][:count]
    return acoustics.crop(speech, long, draw.uniform(0, 1, len(long)), samples).numpy()


def _coded(clips: Sound, kbps: int) -> Sound:
    """Send clips through the package's codec."""
    out = []
    for clip in clips:
        pcm, rate = voxhop.decode(voxhop.encode(clip, sample_rate=RATE, kbps=kbps))
        out.append(_at(np.asarray(pcm, np.float32), rate, RATE)[: len(clip)])
    return np.stack(out)


def _at(clip: Sound, rate: int, to_rate: int) -> Sound:
    return clip if rate == to_rate else soxr.resample(clip, rate, to_rate, "VHQ")


def _lsd(out: Sound, target: Sound) -> float:
    pair = (torch.from_numpy(x[None].copy()) for x in (out, target))
    return float(log_spectral_distance(*pair))


def _known(cache: Path) -> list[Measure]:
    """Return all measures."""
    return [*measures(cache), Measure("lsd", "LSD dB", (), _lsd)]


def page(study: Study) -> str:
    """Return the page in Markdown."""
    named = {measure.key: measure.title for measure in _known(Path())}
    names = ", ".join(f"{name} (`{task}`)" for task, name in study.models.items())
    lines = [
        "# Restoring models",
        "",
        (
            f"Made by `benchmarks/restoration.py` with {names} on {study.clips} clips of "
            f"{SECONDS:g} s of speakers that training has not heard; means, so differences below "
            "about 0.1 MOS are noise. The reference of LSD (log-spectral distance), PESQ, ESTOI "
            "and word errors is the clean speech, whose words are those recognised in it."
        ),
        f"Machine: {machine_text()}.",
        *(f"Not measured: {what}." for what in study.missing),
        "",
        "## Targets",
        "",
        target_table(
            [t for task, (s, *_) in study.solvers.items() for t in targets(study, task, s)]
        ),
    ]
    for task, condition in dict.fromkeys((row.task, row.condition) for row in study.rows):
        rows = [row for row in study.rows if (row.task, row.condition) == (task, condition)]
        keys = list(rows[0].means)
        titles = [named[key] for key in keys]
        lines += [
            f"## `{task}`, {condition}",
            "",
            f"| | {' | '.join(titles)} |",
            "|---|" + "--:|" * len(keys),
            *(f"| {row.system} | {' | '.join(_cell(row, key) for key in keys)} |" for row in rows),
            "",
        ]
    return "\n".join(lines)


def targets(study: Study, task: str, solver: str) -> list[Target]:
    """Return what the first solver has to reach."""

    def both(condition: str, key: str) -> tuple[float, float]:
        given, out = (study.value(task, condition, name, key) for name in (GIVEN, solver))
        return given, out

    found = []
    for condition in dict.fromkeys(row.condition for row in study.rows if row.task == task):
        if task == "bwe" and condition == "narrow":
            given, out = both(condition, "lsd")
            less = 100 * (1 - out / given)
            found.append(
                Target("log-spectral distance below the input's", f"{less:.0f} %", "25 %",
                       met(less - 25))
            )  # fmt: skip
            given, out = both(condition, "ovrl")
            found.append(
                Target("OVRL over the input's", f"{out - given:+.2f}", "0", met(out - given))
            )
        if task == "codec":
            gains = {key: np.subtract(*both(condition, key)[::-1]) for key in ("pesq", "sig")}
            best = max(gains.values())
            words = f"{gains['pesq']:+.2f} / {gains['sig']:+.2f}"
            found.append(
                Target(f"{condition}: PESQ / SIG over the codec's", words, "+0.15 one of both",
                       met(best - 0.15))
            )  # fmt: skip
        given, out = both(condition, "estoi")
        limit = 0.0 if task == "codec" else -0.02
        found.append(
            Target(f"{condition}: ESTOI over the input's", f"{out - given:+.3f}", f"{limit:g}",
                   met(out - given - limit))
        )  # fmt: skip
    return found


def _cell(row: Row, key: str) -> str:
    value = row.means[key]
    return "-" if value is None else f"{value:.{_DIGITS.get(key, 2)}f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="names or paths, one of a task")
    parser.add_argument("--data", required=True, help="recordings")
    parser.add_argument("--packed", default=".cache/training", help="packed recordings")
    parser.add_argument("--cache", default=".cache/codec", help="scores that were found before")
    parser.add_argument("--clips", type=int, default=16, help="of each condition (default 16)")
    parser.add_argument("--solvers", help="such as euler4,euler2 (default: the model's own)")
    parser.add_argument("--measures", help="such as lsd,pesq (default: all)")
    parser.add_argument("--write", help="page to make, its figures as JSON beside it")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
