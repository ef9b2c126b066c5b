"""One recording of a batch: enhanced, judged, and told as one row of figures."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.batching.manifest import stamp_of
from voxhop.batching.recipe import restores
from voxhop.batching.verdict import flags_of
from voxhop.engine.plain import plain
from voxhop.errors import VoxhopError
from voxhop.files.enhance import enhance_file
from voxhop.files.restoration import restore_file
from voxhop.io import AudioReader, target_of
from voxhop.media.formats import ChannelRule
from voxhop.media.outputs import choose_output, open_output
from voxhop.media.partial import partial_beside

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxhop.batching.jobs import Job
    from voxhop.batching.manifest import Row
    from voxhop.batching.recipe import Recipe
    from voxhop.files.enhance import EnhanceReport
    from voxhop.files.restoration import RestoreReport
    from voxhop.models import Model

_BLOCK: Final = 1 << 16
# Of a report: files, which the row has under its own names, and what is kept of `sides` below.
_NO_FIGURES: Final = ("mic", "ref", "source", "out", "model", "sides")
_SIDE: Final = (
    "delay_ms",
    "delay_confidence",
    "drift_ppm",
    "erle_db",
    "clipped_samples",
    "nonfinite_samples",
    "failed_hops",
)


@dataclass(frozen=True)
class Work:
    """What all recordings of a batch share.

    Attributes
    ----------
    model
        A loaded model; its pickle opens it elsewhere.
    base, out
        The folder that recordings are named from, and the output folder; absolute.
    recipe
        What is done.
    """

    model: Model
    base: str
    out: str
    recipe: Recipe

    def stamps(self, job: Job) -> list[Any]:
        """Return the stamps of microphone, reference and output as they are now."""
        return [stamp_of(self._file(name)) for name in (job.mic, job.ref)] + [
            stamp_of(Path(self.out, job.out))
        ]

    def _file(self, name: str | None) -> Path | None:
        return None if name is None else Path(self.base, name)

    def do(self, job: Job, progress: Callable[[float, float], None] | None = None) -> Row:
        """Do one recording and return its row; never raises for what is wrong with it."""
        row: Row = {"file": job.name, "status": "failed", "out": job.out}
        if job.problem is not None:
            return row | {"error": job.problem}
        before = self.stamps(job)
        try:
            done = self._enhance(job, progress)
        except (VoxhopError, OSError) as error:
            return row | {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - one recording must not end the batch
            return row | {"error": f"{job.mic}: {type(error).__name__}: {error}"}
        after = self.stamps(job)
        if after[:2] != before[:2]:
            return row | {"error": f"{job.mic}: changed while it was read"}
        return row | {"status": "done", "stamps": after} | done

    def _enhance(self, job: Job, progress: Callable[[float, float], None] | None) -> Row:
        mic, ref = Path(self.base, job.mic), self._file(job.ref)
        out = Path(self.out, job.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        how = self.recipe
        common: dict[str, Any] = {
            "model": self.model,
            "subtype": how.subtype,
            "progress": progress,
            "options": how.options,
            **how.settings,
        }
        report: EnhanceReport | RestoreReport
        if restores(self.model):
            report = restore_file(mic, out, **common)
        else:
            report = enhance_file(
                mic,
                out,
                ref=ref,
                cross=how.cross,
                mic_channel=how.mic_channel,
                ref_channel=how.ref_channel,
                **common,
            )
        flags = flags_of(report)
        passed = bool(flags) and how.pass_through
        if passed:
            self._pass_through(mic, out, has_ref=ref is not None)
        return _row(report, flags) | {"passed_through": passed}

    def _pass_through(self, mic: Path, out: Path, *, has_ref: bool) -> None:
        """Make the output the recording itself: byte for byte where it is the same format."""
        how = self.recipe
        with AudioReader(mic) as reader:
            rule = ChannelRule(how.mic_channel, how.ref_channel)
            channels = list(rule.mic_channels(reader.channels, has_ref=has_ref))
            same = len(channels) == reader.channels and how.subtype is None
            if same and mic.suffix.lower() == out.suffix.lower():
                _copy(mic, target_of(out))
                return
            encoding = choose_output(out, reader, how.subtype)
            with open_output(out, channels=len(channels), like=reader, encoding=encoding) as writer:
                while len(block := reader.read(_BLOCK)):
                    writer.write(block[:, channels])


def _copy(source: Path, target: Path) -> None:
    partial = partial_beside(target)
    try:
        shutil.copyfile(source, partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _row(report: EnhanceReport | RestoreReport, flags: tuple[str, ...]) -> Row:
    names = [f.name for f in fields(report) if f.name not in _NO_FIGURES]
    sides = [{name: getattr(side, name) for name in _SIDE} for side in getattr(report, "sides", ())]
    figures = {name: getattr(report, name) for name in names}
    row: Row = plain({"flags": flags, **figures, "sides": sides})
    return row
