"""Which clips went worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voxhop.errors import ArgumentError
from voxhop.evaluation.cases import TALK

if TYPE_CHECKING:
    from voxhop.evaluation.runner import ClipScore, Results

# Double talk first: it is where a system has most to lose.
_SCENARIOS: Final = tuple(sorted(TALK, key=lambda scenario: TALK[scenario] != "dt"))
# What a listener would complain of, per kind of clip; the least of them counts. All are mean
# opinion scores.
_COMPLAINTS: Final[dict[str, tuple[str, ...]]] = {
    "farend": ("aecmos_echo",),
    "doubletalk": ("aecmos_echo", "aecmos_deg"),
    "nearend": ("aecmos_deg",),
}
_OTHERS: Final = ("dnsmos_ovrl",)
_WITHOUT_MODELS: Final = ("si_sdr", "erle")


def worst_clips(results: Results, subject: str, count: int) -> list[tuple[str, str, float]]:
    """Return (case, measure, value) of the `count` worst clips of a system.

    The worst clip of every scenario comes first, double talk before all, then the second
    worst of each: opinion scores of one scenario say little about another, and noisy clips,
    whose scores are low anyhow, would crowd out all others. Where no opinion score was
    computed, SI-SDR or ERLE stands in.

    Raises
    ------
    ArgumentError
        No system of that name.
    """
    if subject not in [system.name for system in results.systems]:
        names = ", ".join(system.name for system in results.systems)
        raise ArgumentError(f"no system {subject!r} in the results; there are: {names}")
    found: dict[str, list[tuple[float, str, str]]] = {}
    for clip in results.clips:
        complaint = _complaint(clip) if clip.system == subject else None
        if complaint is not None:
            value, measure = complaint
            found.setdefault(clip.scenario, []).append((value, clip.case_id, measure))
    in_turn = [
        (rank, _SCENARIOS.index(scenario), case_id, measure, value)
        for scenario, clips in found.items()
        for rank, (value, case_id, measure) in enumerate(sorted(clips))
    ]
    return [(case_id, measure, value) for _, _, case_id, measure, value in sorted(in_turn)[:count]]


def _complaint(clip: ClipScore) -> tuple[float, str] | None:
    kind = next((name for name in _COMPLAINTS if clip.scenario.startswith(name)), "")
    for keys in (_COMPLAINTS.get(kind, _OTHERS), _WITHOUT_MODELS):
        values = [(v, key) for key in keys if (v := clip.scores.get(key)) is not None]
        if values:
            return min(values)
    return None
