"""Runs systems over cases and scores them; finished clips are kept and never done twice."""

from __future__ import annotations

import concurrent.futures
import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import VoxhopError
from voxhop.evaluation import perceptual
from voxhop.evaluation.alignment import advance
from voxhop.evaluation.cases import SAMPLE_RATE, Case, load_cases, load_clip
from voxhop.evaluation.delays import delay_scores, read_delays
from voxhop.evaluation.plan import (
    Settings,
    SystemRow,
    all_specifications,
    built,
    chosen_families,
    chosen_protocol,
    system_rows,
)
from voxhop.evaluation.scoring import FAMILIES, PLAIN_FAMILIES, SCORING_VERSION, Protocol, score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from voxhop.evaluation.systems import Configured

    Signal = npt.NDArray[np.float32]

HOP_S: Final = 0.016  # cost is quoted per 16 ms, whatever a system's own frame is


@dataclass(frozen=True)
class ClipScore:
    """One clip through one system; `cpu_ms_per_hop` is CPU time of 16 ms of audio."""

    system: str
    case_id: str
    scenario: str
    groups: tuple[str, ...]
    scores: dict[str, float | None]
    cpu_ms_per_hop: float


@dataclass(frozen=True)
class Results:
    """Everything that was scored, in the order of systems and cases."""

    protocol: str
    families: tuple[str, ...]
    versions: dict[str, str]
    systems: tuple[SystemRow, ...]
    cases: tuple[Case, ...]
    clips: tuple[ClipScore, ...]


@dataclass(frozen=True)
class _Task:
    """One clip to do, small enough to hand to another process."""

    specification: str
    system: str
    lag_samples: int
    case: Case
    protocol: Protocol
    families: frozenset[str]
    path: Path


def evaluate(
    settings: Settings, *, progress: Callable[[float, float], None] | None = None
) -> Results:
    """Score every system on every case.

    Parameters
    ----------
    settings
        What to run.
    progress
        Called with (clips done, clips in all).

    Raises
    ------
    ArgumentError
        A folder without cases, a system, protocol or measure that does not exist, two systems
        of one name, or a package that is not installed.
    VoxhopError
        A system failed; the message names it and the case.
    """
    families = chosen_families(settings.families)
    cases = load_cases(settings.folder, limit=settings.limit)
    protocol = chosen_protocol(settings.protocol, cases)
    rows = system_rows(all_specifications(settings, cases), cases)
    versions = perceptual.versions() if families - PLAIN_FAMILIES else {}
    digests = [case.digest() for case in cases]
    tasks = [
        _Task(
            specification=row.specification,
            system=row.name,
            lag_samples=row.lag_samples,
            case=case,
            protocol=protocol,
            families=families,
            path=settings.work / f"{_key(row, digest, protocol, families, versions)}.json",
        )
        for row in rows
        for case, digest in zip(cases, digests, strict=True)
        if built(row.specification).runs_on(case)
    ]
    settings.work.mkdir(parents=True, exist_ok=True)
    waiting = [task for task in tasks if settings.fresh or _kept(task) is None]
    done = len(tasks) - len(waiting)
    for _ in _work_through(waiting, settings.jobs):
        done += 1
        if progress is not None:
            progress(float(done), float(len(tasks)))
    clips = [found for task in tasks if (found := _kept(task)) is not None]
    ordered = tuple(family for family in FAMILIES if family in families)
    return Results(protocol.name, ordered, versions, rows, tuple(cases), tuple(clips))


def run_aligned(system: Configured, lag_samples: int, case: Case) -> tuple[Signal, float]:
    """Process one case; return its aligned output, as long as the microphone, and CPU seconds.

    The input is continued with silence for the length of the lag, so that the end of the clip
    comes out too.
    """
    clip = load_clip(case)
    tail = max(0, lag_samples)
    mic = np.pad(clip.mic, (0, tail))
    passed = system.reference_of(clip)
    ref = None if passed is None else np.pad(passed, (0, tail))
    lost = None if clip.lost is None else np.pad(clip.lost, (0, tail))
    start = time.process_time()
    try:
        if lost is None:
            raw = system.process(mic, ref, SAMPLE_RATE)
        else:
            sent = np.pad(clip.mic if clip.sent is None else clip.sent, (0, tail))
            raw = system.conceal(sent, ref, lost, SAMPLE_RATE)
    except VoxhopError:
        raise
    except Exception as error:
        raise VoxhopError(f"{system.name}: {case.case_id}: {error}") from error
    spent = time.process_time() - start
    if raw.shape != mic.shape:
        raise VoxhopError(
            f"{system.name}: {case.case_id}: output {raw.shape}, expected {mic.shape}"
        )
    return advance(np.asarray(raw, np.float32), lag_samples, len(clip.mic)), spent


def _key(
    row: SystemRow,
    case_digest: str,
    protocol: Protocol,
    families: frozenset[str],
    versions: dict[str, str],
) -> str:
    """Name of the kept result: everything that it depends on."""
    facts = (
        SCORING_VERSION,
        row.name,
        row.fingerprint,
        row.lag_samples,
        case_digest,
        asdict(protocol),
        sorted(families),
        versions,
    )
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:40]


def _kept(task: _Task) -> ClipScore | None:
    """Read a finished clip; None where there is none or it is damaged."""
    try:
        found = json.loads(task.path.read_text(encoding="utf-8"))
        return ClipScore(
            system=task.system,
            case_id=task.case.case_id,
            scenario=task.case.scenario,
            groups=task.case.groups,
            scores=dict(found["scores"]),
            cpu_ms_per_hop=float(found["cpu_ms_per_hop"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _work_through(tasks: list[_Task], jobs: int) -> Iterator[None]:
    """Do the tasks, here or in other processes; yields once per finished one."""
    if jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            _do(task)
            yield
        return
    # A forked child would inherit locks of the scoring libraries' threads.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        min(jobs, len(tasks)), context, initializer=_leave_interrupts_to_the_parent
    ) as pool:
        # No more than run at once: what the pool has queued cannot be called back.
        waiting = iter(tasks)
        running = {pool.submit(_do, task) for task in itertools.islice(waiting, jobs)}
        while running:
            done, running = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                future.result()
                running |= {pool.submit(_do, task) for task in itertools.islice(waiting, 1)}
                yield


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches every process of the terminal; one of them answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(task: _Task) -> None:
    """Process, score and keep one clip; the file appears whole or not at all."""
    system = built(task.specification)
    out, spent = run_aligned(system, task.lag_samples, task.case)
    clip = load_clip(task.case)
    scores = score(task.case, clip, out, protocol=task.protocol, families=task.families)
    if "delay" in task.families and task.case.delays is not None:
        found = system.delays(clip, SAMPLE_RATE)
        if found is not None:
            true = read_delays(task.case.delays, found.hop_samples)
            scores.update(delay_scores(found.samples, true, found.hop_samples))
    record: dict[str, Any] = {
        "system": task.system,
        "case": task.case.case_id,
        "scores": scores,
        "cpu_ms_per_hop": 1000.0 * spent * HOP_S / (len(clip.mic) / SAMPLE_RATE),
    }
    whole = task.path.with_suffix(f".{os.getpid()}.tmp")
    whole.write_text(json.dumps(record, indent=1), encoding="utf-8")
    whole.replace(task.path)
