"""Folders of recordings become packed streams."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import soundfile

from voxhop.training.sounds.corpus import (
    ACTIVE_DBFS,
    CorpusError,
    active_rms,
    find_recordings,
    find_responses,
    load_streams,
)

if TYPE_CHECKING:
    from pathlib import Path


def stream(streams, index):
    first, length = int(streams.starts[index]), int(streams.lengths[index])
    return streams.samples[first : first + length].astype(np.float64) / 32768


def test_any_rate_and_channel_count_lands_at_16_khz_mono(corpus_folder: Path, cache: Path) -> None:
    speech = load_streams(corpus_folder, "train", cache=cache)["speech"]
    assert sorted(speech.sources) == [f"speaker{i}" for i in range(4)]
    for index, name in enumerate(speech.sources):
        audio = stream(speech, index)
        assert 3.0 * 16000 < len(audio) <= 3.9 * 16000  # the file and one pause
        spectrum = np.abs(np.fft.rfft(audio))
        peak_hz = np.argmax(spectrum) * 16000 / len(audio)
        assert peak_hz == pytest.approx(110 + 35 * int(name[-1]), abs=4)


def test_every_file_is_packed_at_one_active_level(bursts, tmp_path: Path, cache: Path) -> None:
    for index, gain in enumerate((1.0, 0.01, 0.3, 0.05)):
        folder = tmp_path / "speech" / ("train" if index < 2 else "valid") / f"s{index}"
        folder.mkdir(parents=True)
        soundfile.write(folder / "x.wav", gain * bursts(150, 2.0, 16000, index), 16000, "FLOAT")
    speech = load_streams(tmp_path, "train", cache=cache)["speech"]
    for index in range(2):
        level = 20 * np.log10(active_rms(stream(speech, index).astype(np.float32)))
        assert level == pytest.approx(ACTIVE_DBFS, abs=0.5)


def test_a_source_is_never_in_both_splits_without_named_splits(tmp_path: Path) -> None:
    for speaker in range(40):
        folder = tmp_path / "speech" / f"voice{speaker}"
        folder.mkdir(parents=True)
        for take in range(3):
            soundfile.write(folder / f"{take}.wav", np.zeros(16), 16000)
    splits: dict[str, set[str]] = {}
    for recording in find_recordings(tmp_path):
        splits.setdefault(recording.source, set()).add(recording.split)
    assert len(splits) == 40
    assert all(len(s) == 1 for s in splits.values())
    assert {s for each in splits.values() for s in each} == {"train", "valid"}


def test_a_new_file_is_packed(bursts, corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(corpus_folder, folder)
    before = load_streams(folder, "train", cache=tmp_path / "c")["speech"]
    new = folder / "speech" / "train" / "speaker9"
    new.mkdir()
    soundfile.write(new / "a.wav", bursts(200, 1.0, 16000, 9), 16000)
    after = load_streams(folder, "train", cache=tmp_path / "c")["speech"]
    assert set(after.sources) - set(before.sources) == {"speaker9"}


def test_manifest_overrules_folders(bursts, tmp_path: Path, cache: Path) -> None:
    rows = []
    for index in range(4):
        name = f"{index}.wav"
        soundfile.write(tmp_path / name, bursts(150, 1.0, 16000, index), 16000)
        rows.append([name, "speech", "train" if index < 2 else "valid", f"talker{index}"])
    soundfile.write(tmp_path / "k.wav", bursts(300, 1.0, 16000, 7), 16000)
    rows.append(["k.wav", "keyboard", "train", "keys"])
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "kind", "split", "source_id"], *rows])
    streams = load_streams(tmp_path, "train", cache=cache)
    assert streams["speech"].sources == ("speech/talker0", "speech/talker1")
    assert streams["noise"].sources == ("keyboard/keys",)


def test_too_few_speakers_and_broken_files_are_named(bursts, tmp_path: Path) -> None:
    folder = tmp_path / "speech" / "train" / "only"
    folder.mkdir(parents=True)
    (folder / "a.wav").write_bytes(b"RIFF no audio")
    with pytest.raises(CorpusError, match="1 speakers in the train split"):
        find_recordings(tmp_path)
    for name in ("train/two", "valid/three", "valid/four"):
        other = tmp_path / "speech" / name
        other.mkdir(parents=True)
        soundfile.write(other / "a.wav", bursts(150, 1.0, 16000, 1), 16000)
    with pytest.raises(CorpusError, match=r"a\.wav: cannot be read"):
        load_streams(tmp_path, "train", cache=tmp_path / "c")


def test_measured_responses_group_by_room(tmp_path: Path) -> None:
    for name in ("train/hall/1.wav", "train/hall/2.wav", "train/lone.wav", "valid/den/1.wav"):
        path = tmp_path / "rir" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.eye(1, 800)[0], 16000)
    rooms = find_responses(tmp_path, "train")
    assert {k: len(v) for k, v in rooms.items()} == {"hall": 2, "lone": 1}
