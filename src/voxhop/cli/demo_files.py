"""The recordings that ship with the package, and what the demos make of them: sound, a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]
    Segments = dict[str, tuple[float, float]]

DEMO: Final = Path(__file__).parent.parent / "demo"
NO_PICTURE: Final = 'no picture, matplotlib is missing; pip install "voxhop[plot]"'


def read_segments() -> Segments:
    """Return who talks when in the demo recordings: name to start and end in seconds."""
    text = (DEMO / "segments.json").read_text(encoding="utf-8")
    return {name: (start, end) for name, (start, end) in json.loads(text).items()}


def copy_recording(
    source: Path, target: Path, *, seconds: float | None = None
) -> tuple[int, Samples]:
    """Write a recording, or its first seconds, as a WAV that any player plays.

    Returns
    -------
    rate : int
    samples : numpy.ndarray
        ``(n,)`` float32, what was written.
    """
    from voxhop.io import AudioReader, AudioWriter  # noqa: PLC0415 - the parser needs none of it

    with AudioReader(source) as reader:
        count = reader.frames if seconds is None else round(seconds * reader.rate)
        block = reader.read(count)
        encoding = ("WAV", "PCM_16")
        with AudioWriter(target, rate=reader.rate, channels=1, encoding=encoding) as writer:
            writer.write(block)
        return reader.rate, block[:, 0]


def read_recording(path: Path) -> Samples:
    """Return the samples of a recording of one channel, ``(n,)`` float32."""
    from voxhop.io import AudioReader  # noqa: PLC0415 - the parser needs none of it

    with AudioReader(path) as reader:
        return reader.read(reader.frames)[:, 0]


def draw(
    path: Path,
    tracks: Mapping[str, Samples],
    rate: int,
    segments: Segments | None = None,
    *,
    lost: Sequence[tuple[float, float]] = (),
) -> Path | None:
    """Draw spectrograms, title to signal; None without matplotlib, which is an extra.

    `lost` holds start and end in seconds of what was lost.
    """
    from voxhop.plots import before_after  # noqa: PLC0415 - the parser needs none of it

    try:
        before_after(path, tracks, sample_rate=rate, segments=segments, lost=lost)
    except ImportError:
        return None
    return path
