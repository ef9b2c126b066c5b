"""Recordings on disk, packed once into flat int16 streams that simulation crops from.

Two layouts are read (see ``docs/training.md``): a folder with a ``manifest.csv``, or
plain folders ``speech/``, ``noise/`` and, optionally, ``music/`` and ``rir/``.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

import numpy as np

from voxhop.errors import VoxhopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLE_RATE = 16000
Split = Literal["train", "valid"]
SPLITS: tuple[Split, Split] = ("train", "valid")
GROUPS = ("speech", "noise", "music")
NOISE_KINDS = ("noise", "keyboard", "roomtone", "sfx")
"""Kinds of a manifest that make up the group ``noise``."""

ACTIVE_DBFS = -26.0
"""Active level every packed file is brought to; full scale is clipped, rarely."""

_PACK_VERSION = 2
_VALID_SHARE = 0.1
_SUFFIXES = {".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"}
_FRAME = SAMPLE_RATE // 50


class CorpusError(VoxhopError, ValueError):
    """A folder of recordings cannot be trained on as it is."""


@dataclass(frozen=True)
class Recording:
    """One file: its group, split and source (a speaker, or an original recording)."""

    path: Path
    group: str
    split: Split
    source: str


class Streams(NamedTuple):
    """All sources of one group and split, end to end.

    Attributes
    ----------
    samples : ndarray of int16, shape (n,)
        Mono, 16 kHz. Memory-mapped: processes on one machine share the pages.
    starts, lengths : ndarray of int64, shape (sources,)
        Where each source lies.
    sources : tuple of str
        Their names.
    """

    samples: NDArray[np.int16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    sources: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Total length in seconds."""
        return float(self.lengths.sum()) / SAMPLE_RATE


def find_recordings(folder: Path) -> list[Recording]:
    """List the recordings of a folder in either layout.

    Raises
    ------
    CorpusError
        If there is no speech, or a split would be empty.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: not a folder")
    manifest = folder / "manifest.csv"
    found = _from_manifest(manifest) if manifest.exists() else _from_folders(folder)
    for split in SPLITS:
        speakers = {r.source for r in found if r.group == "speech" and r.split == split}
        if len(speakers) < 2:  # noqa: PLR2004 - a near and a far talker
            raise CorpusError(
                f"{folder}: {len(speakers)} speakers in the {split} split, expected at least 2 "
                f"(speech/{split}/<speaker>/<file>, or speech/<speaker>/<file>)"
            )
    return found


def find_responses(folder: Path, split: Split) -> dict[str, list[Path]]:
    """Map every measured room of ``rir/`` to its files; empty when there are none.

    A sub-folder is one room, a file outside any sub-folder is a room of its own.
    Rooms are split like sources: by the ``train``/``valid`` folder, or by name.
    """
    rooms: dict[str, list[Path]] = {}
    for path, owner, place in _walk(folder / "rir"):
        if place == split:
            rooms.setdefault(owner, []).append(path)
    return rooms


def load_streams(
    folder: Path, split: Split, *, cache: Path, workers: int = 1
) -> dict[str, Streams]:
    """Pack the recordings of one split, or map the packed ones.

    Parameters
    ----------
    folder : Path
        Recordings in one of the two layouts.
    split : {"train", "valid"}
        Which sources.
    cache : Path
        Folder for the packed samples. They are made again when a file is added,
        removed or changed in size.
    workers : int
        Processes that decode.

    Returns
    -------
    dict
        `Streams` by group (``speech`` always; ``noise`` and ``music`` when present).
    """
    recordings = [r for r in find_recordings(folder) if r.split == split]
    streams = {}
    for group in GROUPS:
        chosen = sorted((r for r in recordings if r.group == group), key=lambda r: str(r.path))
        if chosen:
            streams[group] = _packed(chosen, cache, f"{split}-{group}", workers)
    return streams


def decode(path: Path) -> NDArray[np.float32]:
    """Read any file soundfile reads as mono float32 at 16 kHz, mean removed."""
    import soundfile  # noqa: PLC0415 - heavy imports stay where files are read
    import soxr  # noqa: PLC0415

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.asarray(mono - mono.mean(), np.float32)


def active_rms(samples: NDArray[np.float32], range_db: float = 30.0) -> float:
    """RMS over the 20 ms frames within `range_db` of the loudest one; 0 for silence."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if not len(frames):
        frames = samples[None]
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    active = power[power >= power.max() * 10 ** (-range_db / 10)]
    return float(np.sqrt(active.mean()))


def _from_manifest(manifest: Path) -> list[Recording]:
    found = []
    with manifest.open(newline="") as file:
        for row in csv.DictReader(file):
            kind = "noise" if row["kind"] in NOISE_KINDS else row["kind"]
            if kind in GROUPS and row["split"] in SPLITS:
                split: Split = "train" if row["split"] == "train" else "valid"
                path = manifest.parent / row["file"]
                found.append(Recording(path, kind, split, f"{row['kind']}/{row['source_id']}"))
    return found


def _from_folders(folder: Path) -> list[Recording]:
    return [
        Recording(path, group, split, source)
        for group in GROUPS
        for path, source, split in _walk(folder / group)
    ]


def _walk(root: Path) -> Iterable[tuple[Path, str, Split]]:
    """Yield audio files of ``root[/split][/source]/...`` with their source and split."""
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        parts = path.relative_to(root).parts
        named = parts[0] if parts[0] in SPLITS and len(parts) > 1 else None
        inner = parts[1:] if named else parts
        source = inner[0] if len(inner) > 1 else path.stem
        if named == "train" or named == "valid":  # noqa: PLR1714 - narrows the type
            yield path, source, named
        else:
            yield path, source, _split_of(source)


def _split_of(source: str) -> Split:
    """Choose a split from the name alone, so that adding files moves no source."""
    return "valid" if zlib.crc32(source.encode()) % 1000 < _VALID_SHARE * 1000 else "train"


def _packed(recordings: Sequence[Recording], cache: Path, label: str, workers: int) -> Streams:
    described = [[str(r.path), r.source, r.path.stat().st_size] for r in recordings]
    digest = hashlib.sha256(json.dumps([_PACK_VERSION, described]).encode()).hexdigest()[:16]
    table_path = cache / f"{label}-{digest}.json"
    samples_path = cache / f"{label}-{digest}.npy"
    if not table_path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _pack(recordings, samples_path, table_path, workers)
    table = json.loads(table_path.read_text())
    return Streams(
        np.load(samples_path, mmap_mode="c"),
        np.asarray(table["starts"], np.int64),
        np.asarray(table["lengths"], np.int64),
        tuple(table["sources"]),
    )


def _pack(recordings: Sequence[Recording], samples: Path, table: Path, workers: int) -> None:
    """Write the samples, then the table: a table on disk means complete samples."""
    paths = [r.path for r in recordings]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            decoded = list(pool.map(_levelled, paths, chunksize=16))
    else:
        decoded = [_levelled(path) for path in paths]
    rng = np.random.default_rng(len(recordings))
    by_source: dict[str, list[NDArray[np.int16]]] = {}
    for recording, pcm in zip(recordings, decoded, strict=True):
        pause = np.zeros(int(rng.uniform(0.1, 0.8) * SAMPLE_RATE), np.int16)
        pieces = [pcm, pause] if recording.group == "speech" else [pcm]
        if len(pcm):
            by_source.setdefault(recording.source, []).extend(pieces)
    joined = [np.concatenate(pieces) for pieces in by_source.values()]
    if not joined:
        raise CorpusError(f"{paths[0].parent}: every recording is silent or too short")
    lengths = [len(pcm) for pcm in joined]
    starts = [0, *np.cumsum(lengths[:-1]).tolist()]
    _write_atomically(samples, lambda file: np.save(file, np.concatenate(joined)))
    text = json.dumps({"starts": starts, "lengths": lengths, "sources": list(by_source)})
    _write_atomically(table, lambda file: file.write(text.encode()))


def _levelled(path: Path) -> NDArray[np.int16]:
    """Decode one file at the packed level; empty when shorter than 0.1 s or silent."""
    try:
        samples = decode(path)
    except RuntimeError as error:  # soundfile's own errors derive from it
        raise CorpusError(f"{path}: cannot be read as audio ({error})") from error
    level = active_rms(samples) if len(samples) >= SAMPLE_RATE // 10 else 0.0
    if level < 1e-5:  # noqa: PLR2004 - below -100 dBFS: digital silence
        return np.zeros(0, np.int16)
    scaled = samples * (10 ** (ACTIVE_DBFS / 20) / level)
    return np.round(np.clip(scaled, -1, 1) * 32767).astype(np.int16)


def _write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as file:
        write(file)
    partial.replace(path)
