"""What a batch amounts to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchReport:
    """What `voxhop.batch` did.

    Attributes
    ----------
    out, manifest
        The output folder, and the file with one line of figures per recording.
    model
        Where the model came from.
    recordings
        How many there are in all.
    already_done
        Of them, those that an earlier run had done.
    done
        Those that this run did.
    failed
        Name and reason of each that could not be done.
    flagged
        Name and flags of each that this run did with a doubtful result; see
        ``docs/how-to/batch.md``.
    passed_through
        How many of the flagged ones are the recording itself.
    noted
        How many end before their header says, or gave no length.
    left_out
        Names in the folder that are neither a microphone nor a reference.
    seconds
        Of audio that this run did.
    elapsed_s, speed
        Wall time, and seconds of audio per second of it.
    """

    out: str
    manifest: str
    model: str
    recordings: int
    already_done: int
    done: int
    failed: tuple[tuple[str, str], ...]
    flagged: tuple[tuple[str, tuple[str, ...]], ...]
    passed_through: int
    noted: int
    left_out: tuple[str, ...]
    seconds: float
    elapsed_s: float
    speed: float
