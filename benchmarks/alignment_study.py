"""How well a stream finds and follows the delay of an echo, in simulated rooms.

    voxhop train CONFIG --cases cases/
    python benchmarks/alignment_study.py --cases cases/ [--only jump,loss] [--json FILE]

Every condition draws rooms, speech and delays of its own from the seed. ERLE is compared with
the same audio whose reference was aligned by hand; that of lost blocks with the same stream
without losses. Needs the extras ``[train]`` (rooms) and, for ``near``, ``[eval]`` (AECMOS).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from parts.alignment_scenes import RATE, Scene, drifting, load_rooms, load_speech, make_scene

import voxhop
from voxhop.evaluation.perceptual import AECMOS_LONGEST, aecmos

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Array = npt.NDArray[Any]

BLOCK = 1024  # samples between two looks at the figures
MARGIN_S = 0.032  # where a stream brings an echo from outside the window
SETTLED_S = 6.0
RIGHT_S = 1e-3
LOST = 0.05
LOSSES_MS = (20, 60, 100)


@dataclass
class Study:
    """What all conditions share."""

    model: voxhop.Model
    speech: list[Array]
    rooms: Array
    cases: Path
    seconds: float
    seed: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def scene(self, index: int, condition: int, **keywords: Any) -> Scene:  # noqa: ANN401
        """Draw scene `index` of a condition."""
        rng = np.random.default_rng([self.seed, condition, index])
        room = self.rooms[(index + 7 * condition) % len(self.rooms)]
        return make_scene(self.speech, room, rng, seconds=self.seconds, **keywords)


@dataclass
class Track:
    """A stream's output, aligned with its input, and its figures after every block."""

    out: Array
    time_s: Array
    delay_s: Array  # reported; NaN before the echo was found
    pre_delay_s: Array
    drift_ppm: float


def run(
    model: voxhop.Model,
    mic: Array,
    ref: Array,
    lost: Array | None = None,
    **settings: Any,  # noqa: ANN401
) -> Track:
    """Send a recording through a stream; `lost` says for every sample whether ref was lost."""
    parts, figures = [], []
    at = 0
    with voxhop.Stream(model, sample_rate=RATE, auto_bypass=False, **settings) as stream:
        while at < len(mic):
            end = min(at + BLOCK, len(mic))
            if lost is not None:  # cut where a lost block begins or ends
                changes = np.flatnonzero(lost[at:end] != lost[at])
                end = at + int(changes[0]) if len(changes) else end
            gone = lost is not None and bool(lost[at])
            parts.append(stream.process(mic[at:end], None if gone else ref[at:end]))
            m = stream.metrics
            delay = np.nan if m.delay_ms is None else m.delay_ms
            figures.append((end / RATE, delay / 1e3, m.pre_delay_ms / 1e3))
            at = end
        drift = stream.metrics.drift_ppm
        parts.append(stream.flush())
        out = np.concatenate(parts)[stream.latency_samples :]
    time_s, delay_s, pre_delay_s = np.array(figures).T
    return Track(out, time_s, delay_s, pre_delay_s, np.nan if drift is None else drift)


def erle_db(scene: Scene, out: Array, start_s: float = SETTLED_S) -> float:
    """Return microphone over output power from `start_s` on."""
    start = round(start_s * RATE)
    return float(10 * np.log10(np.mean(scene.mic[start:] ** 2) / np.mean(out[start:] ** 2)))


def aligned_by_hand(scene: Scene) -> Array:
    """Return the reference where a stream should bring it, drift and jump included."""
    clock = drifting(scene.far, scene.ppm) if scene.ppm else scene.far
    n = len(scene.far)

    def late(delay_s: float) -> Array:
        return np.concatenate([np.zeros(round(max(0.0, delay_s - MARGIN_S) * RATE)), clock])[:n]

    ref = late(scene.delay_s)
    if scene.jump_s:
        at = round(scene.jump_at_s * RATE)
        ref[at:] = late(scene.delay_s + scene.jump_s)[at:]
    return ref.astype(np.float32)


def against_aligned(study: Study, scene: Scene, track: Track, start_s: float = SETTLED_S) -> float:
    """Return by how many dB the ERLE misses that of the reference aligned by hand."""
    best = run(study.model, scene.mic, aligned_by_hand(scene), delay_ms=0.0)
    return erle_db(scene, best.out, start_s) - erle_db(scene, track.out, start_s)


def delay(study: Study, index: int) -> dict[str, float]:
    """Measure a delay of 0 to 2 s that stays."""
    scene = study.scene(index, 1)
    found = voxhop.probe_delay(scene.mic, scene.far, RATE)
    track = run(study.model, scene.mic, scene.far)
    return {
        "probe_error_ms": abs((found.delay_ms or 1e9) - 1e3 * scene.delay_s),
        "erle_loss_db": against_aligned(study, scene, track),
    }


def drift(study: Study, index: int) -> dict[str, float]:
    """Measure clocks up to 100 ppm apart."""
    ppm = float(np.random.default_rng([study.seed, index]).uniform(-100, 100))
    scene = study.scene(index, 2, ppm=ppm)
    track = run(study.model, scene.mic, scene.far)
    truth = scene.delay_at(track.time_s)
    return {
        "probe_error_ms": 1e3 * abs(float(track.delay_s[-1] - truth[-1])),
        "drift_error_ppm": abs(track.drift_ppm - ppm),
        "erle_loss_db": against_aligned(study, scene, track),
    }


def jump(study: Study, index: int) -> dict[str, float]:
    """Measure a jump of 200 ms, there or back, somewhere around the middle."""
    at = study.seconds / 2 + float(np.random.default_rng([study.seed, index]).uniform(-2, 2))
    scene = study.scene(index, 3, jump=(at, 0.2 if index % 2 else -0.2))
    track = run(study.model, scene.mic, scene.far)
    truth = scene.delay_at(track.time_s)
    after = track.time_s > at
    wrong = ~(np.abs(track.delay_s - truth) <= RIGHT_S)  # NaN is wrong
    residual = truth - track.pre_delay_s
    unusable = (residual < -RIGHT_S) | (residual > window_s(study.model))
    times = {}
    for name, bad in (("realigned", wrong), ("usable", unusable)):
        late = track.time_s[after & bad]
        until = late[-1] if len(late) else at
        times[f"{name}_s"] = float(until - at)
        times[f"{name}_speech_s"] = sounding_s(scene, at, float(until))
    return {
        **times,
        "erle_loss_db": against_aligned(study, scene, track, at + 2.0),
        "before_ms": 1e3 * float(np.abs(track.delay_s - truth)[~after][-1]),
    }


def window_s(model: voxhop.Model) -> float:
    """Return the longest delay that the model's own alignment covers."""
    info = model.info
    return (info.d_max - 1) * info.hop_samples / info.sample_rate


def sounding_s(scene: Scene, start_s: float, end_s: float) -> float:
    """Return for how long the echo sounded in a stretch of the microphone."""
    lag = scene.delay_s + scene.jump_s
    first, last = (max(0, round((t - lag) * RATE)) for t in (start_s, end_s))
    power = np.mean(scene.far[: len(scene.far) // BLOCK * BLOCK].reshape(-1, BLOCK) ** 2, axis=1)
    sounds = power > 0.03 * np.mean(power)
    return float(np.sum(sounds[first // BLOCK : last // BLOCK]) * BLOCK / RATE)


def loss(**settings: Any) -> Callable[[Study, int], dict[str, float]]:  # noqa: ANN401
    """Make the condition that loses 5 % of the reference, in blocks of several lengths."""

    def measure(study: Study, index: int) -> dict[str, float]:
        scene = study.scene(index, 4)
        whole = erle_db(scene, run(study.model, scene.mic, scene.far).out)
        found = {}
        for ms in LOSSES_MS:
            rng = np.random.default_rng([study.seed, 4, index, ms])
            block = ms * RATE // 1000
            lost = np.repeat(rng.random(len(scene.mic) // block + 1) < LOST, block)
            track = run(study.model, scene.mic, scene.far, lost[: len(scene.mic)], **settings)
            error_s = abs(float(track.delay_s[-1] - scene.delay_at(track.time_s)[-1]))
            found[f"probe_error_{ms}ms_ms"] = 1e3 * error_s
            found[f"erle_loss_{ms}ms_db"] = whole - erle_db(scene, track.out)
        return {"erle_db": whole, **found}

    return measure


def near(study: Study, index: int) -> dict[str, float]:
    """Measure near-end speech with an unrelated and a silent reference against a bypass."""
    talks = sorted(study.cases.glob("nearend-*"))
    mic, _ = soundfile.read(talks[index % len(talks)] / "mic.wav", dtype="float32")
    rng = np.random.default_rng([study.seed, 5, index])
    other = study.speech[int(rng.integers(len(study.speech)))]
    mic = np.tile(mic, 2)[:AECMOS_LONGEST]
    other = np.resize(other, len(mic)).astype(np.float32)
    silence = np.zeros_like(mic)
    scores = {"bypass": aecmos("nst", silence, mic, mic)[1]}
    for name, ref in (("unrelated", other), ("silent", silence)):
        out = run(study.model, mic, ref).out
        scores[name] = aecmos("nst", silence, mic, out)[1]
    return {
        "bypass_mos": scores["bypass"],
        **{f"{name}_worse_by": scores["bypass"] - scores[name] for name in ("unrelated", "silent")},
    }


CONDITIONS: dict[str, Callable[[Study, int], dict[str, float]]] = {
    "delay": delay,
    "drift": drift,
    "jump": jump,
    "loss": loss(),
    "loss-plain": loss(missing_ref="zeros", gap_guard=False),
    "near": near,
}
LIMITS = {
    "probe_error_ms": 1.0,
    "drift_error_ppm": 5.0,
    "realigned_s": 2.0,
    "realigned_speech_s": 2.0,
    "usable_s": 2.0,
    "usable_speech_s": 2.0,
    "erle_loss_db": 3.0,
    **{f"probe_error_{ms}ms_ms": 1.0 for ms in LOSSES_MS},
    **{f"erle_loss_{ms}ms_db": 3.0 for ms in LOSSES_MS},
    "unrelated_worse_by": 0.1,
    "silent_worse_by": 0.1,
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown table of what was measured."""
    lines = [
        "| condition | figure | median | worst | limit | within |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for condition in dict.fromkeys(row["condition"] for row in rows):
        chosen = [row for row in rows if row["condition"] == condition]
        for name in chosen[0]:
            values = np.array([row[name] for row in chosen]) if name in LIMITS else None
            if values is None:
                continue
            within = f"{int(np.sum(values <= LIMITS[name]))}/{len(values)}"
            figures = f"{np.median(values):.2f} | {values.max():.2f} | {LIMITS[name]:g}"
            lines.append(f"| {condition} | {name} | {figures} | {within} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the conditions and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, required=True, help="case folder")
    parser.add_argument("--rooms", type=int, default=20, help="scenes per condition")
    parser.add_argument("--seconds", type=float, default=24.0, help="length of a scene")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--only", help=f"of {', '.join(CONDITIONS)}; default all")
    parser.add_argument("--cache", type=Path, default=Path(".cache/alignment"), help="of rooms")
    parser.add_argument("--json", type=Path, help="also write every scene's figures there")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(CONDITIONS)
    if unknown := sorted(set(names) - set(CONDITIONS)):
        parser.error(f"--only {unknown[0]}: expected one of {', '.join(CONDITIONS)}")
    with voxhop.load() as model:
        speech, rooms = load_speech(args.cases), load_rooms(args.rooms, args.seed, args.cache)
        study = Study(model, speech, rooms, args.cases, args.seconds, args.seed)
        for name in names:
            for index in range(args.rooms):
                measured = CONDITIONS[name](study, index)
                study.rows.append({"condition": name, "scene": index, **measured})
                if args.json:
                    args.json.write_text(json.dumps(study.rows, indent=1) + "\n")
    print(table(study.rows))


if __name__ == "__main__":
    main()
