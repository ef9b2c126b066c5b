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
        Mono, at `sample_rate`. Memory-mapped: processes on one machine share the pages.
    starts, lengths : ndarray of int64, shape (sources,)
        Where each source lies.
    sources : tuple of str
        Their names.
    sample_rate : int
        Hz.
    """

    samples: NDArray[np.int16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    sources: tuple[str, ...]
    sample_rate: int = SAMPLE_RATE

    @property
    def seconds(self) -> float:
        """Total length in seconds."""
        return float(self.lengths.sum()) / self.sample_rate


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
    folder: Path,
    split: Split,
    *,
    cache: Path,
    workers: int = 1,
    sample_rate: int = SAMPLE_RATE,
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
    sample_rate : int
        Hz. Above 16000 only speech recorded at that rate or a higher one is taken, unless
        fewer than two speakers were: what was cut off is not there to be learnt.

    Returns
    -------
    dict
        `Streams` by group (``speech`` always; ``noise`` and ``music`` when present).
    """
    recordings = [r for r in find_recordings(folder) if r.split == split]
    streams = {}
    for group in GROUPS:
        chosen = sorted((r for r in recordings if r.group == group), key=lambda r: str(r.path))
        if chosen and group == "speech" and sample_rate > SAMPLE_RATE:
            chosen = _wide(chosen, sample_rate)
        if chosen:
            streams[group] = _packed(chosen, cache, f"{split}-{group}", workers, sample_rate)
    return streams


def _wide(recordings: list[Recording], sample_rate: int) -> list[Recording]:
    """Leave out what was recorded below a rate; nothing, if that left no two speakers."""
    import soundfile  # noqa: PLC0415 - heavy imports stay where files are read

    wide = [r for r in recordings if soundfile.info(r.path).samplerate >= sample_rate]
    return wide if len({r.source for r in wide}) > 1 else recordings


def decode(path: Path, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Read any file soundfile reads as mono float32 at a rate, mean removed."""
    import soundfile  # noqa: PLC0415 - heavy imports stay where files are read
    import soxr  # noqa: PLC0415

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate)
    return np.asarray(mono - mono.mean(), np.float32)


def active_rms(
    samples: NDArray[np.float32], range_db: float = 30.0, sample_rate: int = SAMPLE_RATE
) -> float:
    """RMS over the 20 ms frames within `range_db` of the loudest one; 0 for silence."""
    frame = sample_rate // 50
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
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


def _packed(
    recordings: Sequence[Recording], cache: Path, label: str, workers: int, rate: int
) -> Streams:
    if rate != SAMPLE_RATE:
        label = f"{label}-{rate}"
    described = [[str(r.path), r.source, r.path.stat().st_size] for r in recordings]
    digest = hashlib.sha256(json.dumps([_PACK_VERSION, described]).encode()).hexdigest()[:16]
    table_path = cache / f"{label}-{digest}.json"
    samples_path = cache / f"{label}-{digest}.npy"
    if not table_path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _pack(recordings, samples_path, table_path, workers, rate)
    table = json.loads(table_path.read_text())
    return Streams(
        np.load(samples_path, mmap_mode="c"),
        np.asarray(table["starts"], np.int64),
        np.asarray(table["lengths"], np.int64),
        tuple(table["sources"]),
        rate,
    )


def _pack(
    recordings: Sequence[Recording], samples: Path, table: Path, workers: int, rate: int
) -> None:
    """Write the samples, then the table: a table on disk means complete samples."""
    paths = [r.path for r in recordings]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            decoded = list(pool.map(_levelled, paths, [rate] * len(paths), chunksize=16))
    else:
        decoded = [_levelled(path, rate) for path in paths]
    rng = np.random.default_rng(len(recordings))
    by_source: dict[str, list[NDArray[np.int16]]] = {}
    for recording, pcm in zip(recordings, decoded, strict=True):
        pause = np.zeros(int(rng.uniform(0.1, 0.8) * rate), np.int16)
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


def _levelled(path: Path, rate: int) -> NDArray[np.int16]:
    """Decode one file at the packed level; empty when shorter than 0.1 s or silent."""
    try:
        samples = decode(path, rate)
    except RuntimeError as error:  # soundfile's own errors derive from it
        raise CorpusError(f"{path}: cannot be read as audio ({error})") from error
    level = active_rms(samples, sample_rate=rate) if len(samples) >= rate // 10 else 0.0
    if level < 1e-5:  # noqa: PLR2004 - below -100 dBFS: digital silence
        return np.zeros(0, np.int16)
    scaled = samples * (10 ** (ACTIVE_DBFS / 20) / level)
    return np.round(np.clip(scaled, -1, 1) * 32767).astype(np.int16)


def _write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as file:
        write(file)
    partial.replace(path)
