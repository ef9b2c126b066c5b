"""Which clips went worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from voxhop.evaluation.runner import ClipScore, Results

# What a listener would complain of, per kind of clip; the least of them counts. All are mean
# opinion scores, so that clips of different scenarios can be compared.
_COMPLAINTS: Final[dict[str, tuple[str, ...]]] = {
    "farend": ("aecmos_echo",),
    "doubletalk": ("aecmos_echo", "aecmos_deg"),
    "nearend": ("aecmos_deg",),
}
_OTHERS: Final = ("dnsmos_ovrl",)
_WITHOUT_MODELS: Final = ("si_sdr", "erle")


def worst_clips(results: Results, subject: str, count: int) -> list[tuple[str, str, float]]:
    """Return (case, measure, value) of the `count` worst clips of a system, worst first.

    Where no opinion score was computed, SI-SDR or ERLE stands in.

    Raises
    ------
    ArgumentError
        No system of that name.
    """
    if subject not in [system.name for system in results.systems]:
        names = ", ".join(system.name for system in results.systems)
        raise ArgumentError(f"no system {subject!r} in the results; there are: {names}")
    found = []
    for clip in results.clips:
        complaint = _complaint(clip) if clip.system == subject else None
        if complaint is not None:
            value, measure = complaint
            found.append((clip.case_id, measure, value))
    return sorted(found, key=lambda entry: (entry[2], entry[0]))[:count]


def _complaint(clip: ClipScore) -> tuple[float, str] | None:
    kind = next((name for name in _COMPLAINTS if clip.scenario.startswith(name)), "")
    for keys in (_COMPLAINTS.get(kind, _OTHERS), _WITHOUT_MODELS):
        values = [(v, key) for key in keys if (v := clip.scores.get(key)) is not None]
        if values:
            return min(values)
    return None
