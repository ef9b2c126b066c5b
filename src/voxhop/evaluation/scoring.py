"""Scores of one processed clip: which measures apply, on which part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError
from voxhop.evaluation import energy, perceptual
from voxhop.evaluation.cases import SAMPLE_RATE, Case, Clip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Scores = dict[str, float | None]

# Changing what a score means must change this, or cached scores would mix with new ones.
SCORING_VERSION: Final = 1

_DOUBLE_TALK_LEAD_S: Final = 15.0


@dataclass(frozen=True)
class Measure:
    """One column: its key, heading, unit, digits after the point, and family.

    A clip counts in the mean with the score under `weight`; without one, all count alike.
    """

    key: str
    title: str
    unit: str = ""
    digits: int = 2
    family: str = ""
    weight: str = ""


MEASURES: Final[tuple[Measure, ...]] = (
    Measure("aecmos_echo", "AECMOS echo", family="aecmos"),
    Measure("aecmos_deg", "AECMOS deg", family="aecmos"),
    Measure("dnsmos_ovrl", "DNSMOS OVRL", family="dnsmos"),
    Measure("dnsmos_sig", "SIG", family="dnsmos"),
    Measure("dnsmos_bak", "BAK", family="dnsmos"),
    Measure("dnsmos_p808", "P.808", family="dnsmos"),
    Measure("plcmos", "PLCMOS", family="plcmos"),
    Measure("pesq", "PESQ", family="pesq"),
    Measure("estoi", "ESTOI", digits=3, family="estoi"),
    Measure("si_sdr", "SI-SDR", "dB", 1, "si_sdr"),
    Measure("sdr", "SDR", "dB", 1, "sdr"),
    Measure("pesq_reverberant", "PESQ vs reverberant", family="pesq"),
    Measure("si_sdr_reverberant", "SI-SDR vs reverberant", "dB", 1, "si_sdr"),
    Measure("erle", "ERLE", "dB", 1, "erle"),
    Measure("blind_erle", "blind ERLE", "dB", 1, "blind_erle"),
    Measure("delay_right_1s", "delay right after 1 s", "%", 1, "delay", "delay_right_1s_hops"),
    Measure("delay_right_03s", "after 0.3 s", "%", 1, "delay", "delay_right_03s_hops"),
)
FAMILIES: Final[tuple[str, ...]] = tuple(dict.fromkeys(m.family for m in MEASURES))
# What the base install can do without the extra [eval]; SDR needs scipy.
PLAIN_FAMILIES: Final = frozenset({"si_sdr", "erle", "blind_erle", "delay"})


@dataclass(frozen=True)
class Protocol:
    """How a set is scored.

    Attributes
    ----------
    name
        ``whole``: scenario-aware AECMOS on the whole clip, or from the case's own
        ``rate_from_s``. ``challenge``: the AEC Challenge's rule, which leaves out the time for
        convergence: the last half of far-end single talk, the last (length - 15 s) / 2 of
        double talk. ``report``: how the published table was made: the older AECMOS without
        scenario on the first 20 s, ERLE on the whole clip, DNSMOS on the challenge's part.
    scenario_aware
        Which AECMOS model.
    late_aecmos, late_dnsmos, late_rest
        Whether the family is scored on the challenge's part.
    """

    name: str
    scenario_aware: bool = True
    late_aecmos: bool = False
    late_dnsmos: bool = False
    late_rest: bool = False


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "whole": Protocol("whole"),
    "challenge": Protocol("challenge", late_aecmos=True, late_dnsmos=True, late_rest=True),
    "report": Protocol("report", scenario_aware=False, late_dnsmos=True),
}


def score(
    case: Case, clip: Clip, out: Array, *, protocol: Protocol, families: frozenset[str]
) -> Scores:
    """Score one aligned output.

    Parameters
    ----------
    case, clip
        What was processed.
    out
        Aligned with the microphone and as long, float32.
    protocol
        Which part of the clip, which AECMOS.
    families
        Which of `FAMILIES`.

    Returns
    -------
    dict
        Key of `MEASURES` to value; None where the measure applies and has no value. Measures
        that do not apply are absent.
    """
    if out.shape != clip.mic.shape:
        raise ArgumentError(f"{case.case_id}: output {out.shape}, expected {clip.mic.shape}")
    if not np.isfinite(out).all():
        raise ArgumentError(f"{case.case_id}: the output holds samples that are not finite")
    late = late_start(case, len(out), challenge=True)
    early = late_start(case, len(out), challenge=False)
    scores: Scores = {}
    if "aecmos" in families and case.talk is not None:
        part = slice(late if protocol.late_aecmos else early, None)
        talk = case.talk if protocol.scenario_aware else None
        ref = np.zeros_like(clip.mic) if clip.ref is None else clip.ref
        scores["aecmos_echo"], scores["aecmos_deg"] = perceptual.aecmos(
            talk, ref[part], clip.mic[part], out[part]
        )
    if "dnsmos" in families:
        found = perceptual.dnsmos(out[late if protocol.late_dnsmos else early :])
        scores.update({f"dnsmos_{key}": value for key, value in found.items()})
    part = slice(late if protocol.late_rest else early, None)
    if "plcmos" in families:
        scores["plcmos"] = perceptual.plcmos(out[part])
    scores.update(_intrusive(clip, out, part, families))
    scores.update(_echo(case, clip, out, part, families))
    return {measure.key: scores[measure.key] for measure in MEASURES if measure.key in scores}


def late_start(case: Case, length: int, *, challenge: bool) -> int:
    """First sample that is rated; the case's own ``rate_from_s`` goes before any rule."""
    if case.rate_from_s > 0.0:
        return min(round(case.rate_from_s * SAMPLE_RATE), length - 1)
    if not challenge:
        return 0
    if case.talk == "st":
        return length // 2
    lead = round(_DOUBLE_TALK_LEAD_S * SAMPLE_RATE)
    if case.talk == "dt" and length > lead:
        return min(length - (length - lead) // 2, length - 1)
    return 0


def _intrusive(clip: Clip, out: Array, part: slice, families: frozenset[str]) -> Scores:
    """Scores against the near end, where there is one."""
    measures: dict[str, Callable[[Array, Array], float | None]] = {
        "pesq": perceptual.pesq_wb,
        "estoi": perceptual.estoi,
        "si_sdr": energy.si_sdr_db,
        "sdr": energy.sdr_db,
    }
    scores: Scores = {}
    for suffix, target in (("", clip.target), ("_reverberant", clip.nearend)):
        if target is None or not energy.is_active(target[part]):
            continue
        for family, measure in measures.items():
            key = family + suffix
            if family in families and any(m.key == key for m in MEASURES):
                scores[key] = measure(target[part], out[part])
    return scores


def _echo(case: Case, clip: Clip, out: Array, part: slice, families: frozenset[str]) -> Scores:
    """Energy ratios, where there may be an echo, and everywhere in the challenge's layout."""
    scores: Scores = {}
    if case.talk not in ("st", "dt") and not case.challenge:
        return scores
    if "erle" in families:
        scores["erle"] = energy.erle_db(clip.mic[part], out[part])
    if "blind_erle" in families and clip.ref is not None:
        scores["blind_erle"] = energy.blind_erle_db(clip.mic[part], clip.ref[part], out[part])
    return scores
