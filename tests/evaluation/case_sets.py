"""Small sets of cases, made of deterministic signals, and systems to run on them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def speech(seconds: float, seed: int) -> np.ndarray:
    """A voice-like signal: gliding harmonics under three formants, in syllables, with breath."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    pitch = rng.uniform(90, 200) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.3, 0.6) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = rng.uniform([400, 1100, 2300], [800, 1900, 3000])
    voice = np.zeros(n)
    for k in range(1, 25):
        gain = sum(np.exp(-(((k * pitch - f) / 180) ** 2)) for f in formants) + 0.02
        voice += gain / k**0.3 * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2.5, 3.5) * t + rng.uniform(0, 6)), 0, 1)
    phrases = (np.sin(2 * np.pi * 0.4 * t + rng.uniform(0, 6)) > -0.3).astype(float)
    out = (voice + 0.05 * rng.standard_normal(n)) * syllables * phrases
    return (0.05 * out / np.sqrt(np.mean(out**2) + 1e-12)).astype(np.float32)


def echo_of(ref: np.ndarray, delay: int, seed: int) -> np.ndarray:
    """The reference through a short decaying room, `delay` samples late."""
    rng = np.random.default_rng(seed)
    room = rng.standard_normal(400) * np.exp(-np.arange(400) / 80)
    room[0] += 3
    wet = np.convolve(ref, room / np.sqrt(np.sum(room**2)))[: len(ref)]
    return np.concatenate([np.zeros(delay), wet])[: len(ref)].astype(np.float32)


def write_case(folder, case_id: str, scenario: str, signals: dict, **meta) -> None:
    place = folder / case_id
    place.mkdir(parents=True)
    for name, signal in signals.items():
        soundfile.write(place / f"{name}.wav", signal, RATE, subtype="FLOAT")
    (place / "meta.json").write_text(json.dumps({"id": case_id, "scenario": scenario, **meta}))


def make_set(folder, *, seconds: float = 3.0, scenarios=("farend", "doubletalk", "noise")):
    """Write one case per scenario and return the folder."""
    rng = np.random.default_rng(5)
    far, near = speech(seconds, 1), speech(seconds, 2)
    noise = (0.02 * rng.standard_normal(len(far))).astype(np.float32)
    echo = echo_of(far, 800, 3)
    silence = np.zeros_like(far)
    signals = {
        "farend": {"mic": echo, "ref": far, "target": silence},
        "doubletalk": {"mic": echo + near, "ref": far, "target": near, "nearend": near},
        "nearend": {"mic": near + 0.1 * noise, "ref": far, "target": near, "nearend": near},
        "noise": {"mic": near + noise, "target": near, "nearend": near},
    }
    for scenario in scenarios:
        write_case(folder, f"{scenario}-0", scenario, signals[scenario], delay_ms=50.0)
    return folder


class LateCopy:
    """The microphone, late by some samples; counts its calls in a file and takes its time."""

    def __init__(
        self, *, late=300, declared=True, name="late copy", log="", gain=1.0, seconds=0.0
    ) -> None:
        self.name = name
        self.delay_samples = late if declared else None
        self.fingerprint = f"late {late} gain {gain}"
        self._late, self._log, self._gain = late, log, np.float32(gain)
        self._seconds = seconds

    def process(self, mic, ref, sample_rate):
        assert sample_rate == RATE
        assert ref is None or ref.shape == mic.shape
        if self._log:
            with Path(self._log).open("a", encoding="utf-8") as stream:
                stream.write("call\n")
        time.sleep(self._seconds)
        return self._gain * np.concatenate([np.zeros(self._late, np.float32), mic])[: len(mic)]


class Broken:
    """Fails in the way it is asked to."""

    def __init__(self, *, how: str) -> None:
        self.name, self.delay_samples, self.fingerprint, self._how = how, 0, how, how

    def process(self, mic, ref, sample_rate):
        del ref, sample_rate
        if self._how == "raises":
            raise RuntimeError("out of luck")
        return mic[:-1] if self._how == "short" else np.full_like(mic, np.nan)


def nothing(**_options):
    """A factory that makes no system."""
    return object()
