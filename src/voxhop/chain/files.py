"""Whole recordings through a chain."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.files.enhancer import BLOCK_S, converted, stream_source
from voxhop.io import AudioReader
from voxhop.media.formats import ChannelRule
from voxhop.media.outputs import choose_output, open_output
from voxhop.media.sources import SharedReference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voxhop.chain.chain import Chain
    from voxhop.chain.metrics import ChainMetrics
    from voxhop.chain.recipe import ChainRecipe
    from voxhop.media.formats import Floats
    from voxhop.media.sources import Recording

    FilePath = str | os.PathLike[str]


@dataclass(frozen=True)
class ChainReport:
    """What `chain_file` did.

    Attributes
    ----------
    source, ref, out
        The files; `ref` is None without one.
    sample_rate, channels, seconds
        Of the output.
    format, subtype
        Of the output, in libsndfile's names.
    clipped_samples
        Output samples beyond full scale that were cut to it.
    sides
        The chain's figures at the end, one per channel.
    notes
        One line for each recording that ends before its header says, or gives no length.
    elapsed_s, speed
        Wall time, and seconds of audio per second of it.
    """

    source: str
    ref: str | None
    out: str
    sample_rate: int
    channels: int
    seconds: float
    format: str
    subtype: str
    clipped_samples: int
    sides: tuple[ChainMetrics, ...]
    notes: tuple[str, ...]
    elapsed_s: float
    speed: float


def chain_file(
    recipe: ChainRecipe,
    source: FilePath,
    out: FilePath,
    *,
    ref: FilePath | None = None,
    subtype: str | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> ChainReport:
    """Send a file through a chain, each channel through one of its own, in constant memory.

    Parameters
    ----------
    recipe
        From `read_recipe`, or made.
    source
        The recording, in any format, rate and number of channels.
    out
        The file to make, in the format of its suffix; it appears when it is complete. It is
        sample-aligned with the recording and as long, at its rate or the recipe's.
    ref
        What the loudspeaker played, starting at the same moment, for links that take it; its
        channels are averaged. A shorter one is followed by silence, a longer one is cut.
    subtype
        Encoding in libsndfile's names; by default that of `source` where it fits.
    progress
        Called with seconds done and seconds in all, now and then.

    Raises
    ------
    AudioFileError
        When a file cannot be read or written.
    ArgumentError, EngineError, ModelFileError
        For an output that is an input, an unknown suffix, and as `Chain`.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(source))
        ref_reader = None if ref is None else stack.enter_context(AudioReader(ref))
        for path in (source, ref):
            if path is not None and Path(out).exists() and Path(out).samefile(path):
                raise ArgumentError(f"{out}: an input too; expected another name")
        encoding = choose_output(out, reader, subtype)
        recording = SharedReference(stream_source(reader), ref_reader, ChannelRule())
        wanted = recipe.out_sample_rate or reader.rate
        chains = [stack.enter_context(recipe.open(recording.rate)) for _ in range(recording.sides)]
        if ref is not None and not chains[0].takes_ref:
            raise ArgumentError("ref: no link of this chain takes a reference, expected none")
        writer = stack.enter_context(
            open_output(out, channels=len(chains), like=reader, encoding=encoding, rate=wanted)
        )
        sides: list[ChainMetrics] = []
        blocks = _blocks(recording, chains, sides)
        frames = reader.frames * wanted // reader.rate
        for block in converted(blocks, chains[0].out_sample_rate, wanted, frames):
            writer.write(block)
            if progress is not None:
                progress(writer.frames / wanted, reader.seconds)
        readers = (reader,) if ref_reader is None else (reader, ref_reader)
        notes = tuple(each.note for each in readers if each.note is not None)
        seconds, channels = reader.seconds, len(chains)
    elapsed = time.monotonic() - start
    return ChainReport(
        source=os.fspath(source),
        ref=None if ref is None else os.fspath(ref),
        out=os.fspath(out),
        sample_rate=wanted,
        channels=channels,
        seconds=seconds,
        format=encoding[0],
        subtype=encoding[1],
        clipped_samples=writer.clipped,
        sides=tuple(sides),
        notes=notes,
        elapsed_s=elapsed,
        speed=seconds / elapsed,
    )


def _blocks(
    recording: Recording, chains: list[Chain], sides: list[ChainMetrics]
) -> Iterator[Floats]:
    """Yield ``(n, channels)``, aligned; leave the figures at the end in `sides`."""
    to_drop = chains[0].latency_samples
    step = max(1, round(BLOCK_S * recording.rate))
    while True:
        block, refs = recording.read(step)
        if not len(block):
            break
        out = np.stack(
            [
                chain.process(np.ascontiguousarray(block[:, i]), ref)
                for i, (chain, ref) in enumerate(zip(chains, refs, strict=True))
            ],
            axis=1,
        )
        dropped = min(to_drop, len(out))
        to_drop -= dropped
        yield out[dropped:]
    sides += [chain.metrics for chain in chains]
    yield np.stack([chain.flush() for chain in chains], axis=1)[to_drop:]
