#!/usr/bin/env python3
"""Copy the part of a corpus that fits a given size, for training on a machine far away.

    tools/subset_corpus.py data small-data --megabytes 50

Both layouts of docs/training.md are read; the plain folders are written. Sources take turns
until the size is used up, so every speaker stays and only the long ones are cut. Lossless
files become Opus at about 34 kbit/s, an eighth of their size; others are copied.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile
import soxr

from voxhop.training.sounds.corpus import (
    SAMPLE_RATE,
    CorpusError,
    Recording,
    decode,
    find_recordings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHARES = {"speech": 0.74, "noise": 0.18, "music": 0.08}
VALID_SHARE = 0.1
LOSSLESS = (".aif", ".aiff", ".flac", ".w64", ".wav")
OPUS_RATE, OPUS_LEVEL = 24000, 0.9
GIVE_UP = 50  # files in a row that did not fit


def in_turns(recordings: Iterable[Recording]) -> Iterator[Recording]:
    """Yield one recording of every source, then the next of each, while there are any."""
    by_source: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        by_source[recording.source].append(recording)
    for turn in itertools.zip_longest(*by_source.values()):
        yield from (recording for recording in turn if recording is not None)


def place(recording: Recording, folder: Path, left: int) -> int:
    """Put a recording into `folder` if it takes at most `left` bytes; return what it took."""
    name = recording.path.name
    source = recording.source.replace("/", "-")
    path = folder / recording.group / recording.split / source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if recording.path.suffix.lower() in LOSSLESS:
        path = path.with_suffix(".opus")
        # Opus knows few rates; 24 kHz keeps all that training at 16 kHz uses.
        samples = soxr.resample(decode(recording.path), SAMPLE_RATE, OPUS_RATE)
        soundfile.write(
            path, samples, OPUS_RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL
        )
    else:
        shutil.copyfile(recording.path, path)
    size = path.stat().st_size
    if size > left:
        path.unlink()
        return 0
    return size


def fill(corpus: Path, folder: Path, budget: int) -> None:
    """Write recordings of at most `budget` bytes in all into `folder`."""
    recordings = find_recordings(corpus)
    for group, share in SHARES.items():
        for split, part in (("train", 1 - VALID_SHARE), ("valid", VALID_SHARE)):
            left = int(budget * share * part)
            these = (r for r in recordings if r.group == group and r.split == split)
            refused = 0
            for recording in in_turns(these):
                taken = place(recording, folder, left)
                left -= taken
                refused = 0 if taken else refused + 1
                if refused == GIVE_UP:
                    break


def describe(folder: Path) -> None:
    """Print a line per group."""
    for group in SHARES:
        these = [r for r in find_recordings(folder) if r.group == group]
        hours = sum(soundfile.info(r.path).duration for r in these) / 3600
        sources = len({r.source for r in these})
        size = sum(r.path.stat().st_size for r in these) / 1e6
        print(f"{group}: {len(these)} files, {sources} sources, {hours:.2f} h, {size:.1f} MB")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--megabytes", type=float, default=50.0, help="size of all files [50]")
    args = parser.parse_args()
    if args.output.exists():
        parser.error(f"{args.output}: exists, expected a new folder")
    if args.megabytes <= 0:
        parser.error(f"--megabytes: {args.megabytes:g}, expected more than 0")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.output.parent) as partial:
        folder = Path(partial) / "corpus"
        try:
            fill(args.corpus, folder, int(args.megabytes * 1e6))
            describe(folder)
        except CorpusError as error:
            parser.error(str(error))
        folder.rename(args.output)


if __name__ == "__main__":
    main()
