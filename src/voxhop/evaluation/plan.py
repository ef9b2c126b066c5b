"""What an evaluation will do: its settings, and the systems, protocol and measures they name."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.evaluation import perceptual
from voxhop.evaluation.alignment import LARGEST_DELAY, measure_lag
from voxhop.evaluation.cases import SAMPLE_RATE, Case, load_clip
from voxhop.evaluation.energy import is_active
from voxhop.evaluation.scoring import FAMILIES, PLAIN_FAMILIES, PROTOCOLS, Protocol
from voxhop.evaluation.systems import Configured, build

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]

_PROBE_S: Final = 8.0


@dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes
    ----------
    folder
        Cases, see `voxhop.evaluation.cases`.
    systems
        Specifications, see `voxhop.evaluation.systems`; at least one.
    work
        Where finished clips are kept.
    protocol
        A key of `PROTOCOLS`, or ``auto``: ``report`` for the AEC Challenge's layout, else
        ``whole``.
    families
        Which measures; empty: all.
    jobs
        Processes.
    limit
        Clips of each scenario; None: all.
    fresh
        Do everything again.
    without_ref
        Beside every row of voxhop one more that is given no reference and, where a case has
        an ``unheard.wav``, one that is given that.
    """

    folder: Path
    systems: tuple[str, ...]
    work: Path
    protocol: str = "auto"
    families: tuple[str, ...] = ()
    jobs: int = 1
    limit: int | None = None
    fresh: bool = False
    without_ref: bool = False


@dataclass(frozen=True)
class SystemRow:
    """A system that was run: its name, specification, lag in samples and fingerprint."""

    name: str
    specification: str
    lag_samples: int
    lag_measured: bool
    fingerprint: str


def all_specifications(settings: Settings, cases: list[Case]) -> tuple[str, ...]:
    """Return the specifications to run, with those that `Settings.without_ref` adds."""
    if not settings.without_ref:
        return settings.systems
    references = ["none"] + ["unheard"] * any(case.unheard is not None for case in cases)
    wanted = []
    for specification in settings.systems:
        wanted.append(specification)
        name, *options = specification.split(",")
        if name == "voxhop" and not any(option.startswith("ref=") for option in options):
            wanted += [f"{specification},ref={reference}" for reference in references]
    return tuple(dict.fromkeys(wanted))


def system_rows(specifications: tuple[str, ...], cases: list[Case]) -> tuple[SystemRow, ...]:
    """Make every system, measure the lag of those that declare none, refuse twins of a name."""
    if not specifications:
        raise ArgumentError("no system to score")
    rows = []
    for specification in specifications:
        system = built(specification)
        if not any(system.runs_on(case) for case in cases):
            raise ArgumentError(f"system {specification!r}: no case has an unheard.wav")
        measured = system.delay_samples is None
        lag = _measured_lag(system, cases) if measured else int(system.delay_samples or 0)
        rows.append(SystemRow(system.name, specification, lag, measured, system.fingerprint))
    names = [row.name for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(f"two systems are called {name!r}; give one of them label=...")
    return tuple(rows)


def _measured_lag(system: Configured, cases: list[Case]) -> int:
    """Lag behind clean speech with a silent reference."""
    speech = _clean_speech(cases)[: int(_PROBE_S * SAMPLE_RATE)]
    padded = np.pad(speech, (0, LARGEST_DELAY))
    out = system.process(padded, np.zeros_like(padded), SAMPLE_RATE)
    return measure_lag(padded, out)


def _clean_speech(cases: list[Case]) -> Signal:
    """Return the first clean recording of speech in the set: a target, or a reference."""
    for name in ("target", "ref"):
        for case in cases:
            signal = getattr(load_clip(case), name) if getattr(case, name) is not None else None
            if signal is not None and is_active(signal):
                return np.asarray(signal, np.float32)
    raise ArgumentError("no clean speech in the set: a system's delay cannot be measured")


def chosen_families(wanted: tuple[str, ...]) -> frozenset[str]:
    """Return the measures to compute; raise when one is unknown or its package is missing."""
    unknown = set(wanted) - set(FAMILIES)
    if unknown:
        raise ArgumentError(f"measure {min(unknown)!r}, expected one of {', '.join(FAMILIES)}")
    families = frozenset(wanted or FAMILIES)
    if families - PLAIN_FAMILIES:
        perceptual.check_installed()
    return families


def chosen_protocol(name: str, cases: list[Case]) -> Protocol:
    """Return the protocol of that name, or for ``auto`` the one that fits the layout."""
    if name == "auto":
        name = "report" if all(case.challenge for case in cases) else "whole"
    if name not in PROTOCOLS:
        raise ArgumentError(f"protocol {name!r}, expected auto or one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


@functools.lru_cache(maxsize=32)
def built(specification: str) -> Configured:
    """Make the system of a specification, once per process."""
    return build(specification)
