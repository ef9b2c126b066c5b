"""What the default model and its small sibling have to reach, and whether they do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxhop.evaluation import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxhop.evaluation import Results

NO_ECHO = ("nearend", "noise", "reverb")
NO_REFERENCE, UNHEARD = " (no reference)", " (unheard reference)"
NO_COMFORT_NOISE = " (no comfort noise)"
# Opinion scores by which the small model may be 0.2 below.
OPINIONS = (
    "aecmos_echo",
    "aecmos_deg",
    "dnsmos_ovrl",
    "dnsmos_sig",
    "dnsmos_bak",
    "dnsmos_p808",
    "plcmos",
    "pesq",
)


@dataclass(frozen=True)
class Target:
    """One row: `found` and what of it must and should be; met is None where nothing is known."""

    what: str
    found: str
    must: str
    must_met: bool | None
    goal: str = ""
    goal_met: bool | None = None


class Means:
    """Means by system, group and measure; NaN where there is none."""

    def __init__(self, results: Results) -> None:
        self._rows = {(row.system, row.group): row.means for row in summarise(results)}
        self._results = results

    def __call__(self, system: str, group: str, key: str) -> float:
        """Return a mean."""
        found = self._rows.get((system, group), {}).get(key)
        return math.nan if found is None else found.mean

    def pooled(self, system: str, key: str) -> float:
        """Return a share of hops over all clips of a system."""
        clips = [clip.scores for clip in self._results.clips if clip.system == system]
        pairs = [
            (float(scores[key] or 0.0), float(scores[f"{key}_hops"] or 0.0))
            for scores in clips
            if scores.get(key) is not None
        ]
        hops = sum(count for _, count in pairs)
        return sum(share * count for share, count in pairs) / hops if hops else math.nan


def model_targets(of: Means, model: str, real: Means | None) -> list[Target]:
    """Return the rows for the default model; `real`: the means of the real recordings."""
    echo = of(model, "farend", "aecmos_echo")
    erle = of(model + NO_COMFORT_NOISE, "farend", "erle")
    both_echo, both_deg = (of(model, "doubletalk", f"aecmos_{key}") for key in ("echo", "deg"))
    estoi, both_pesq = (of(model, "doubletalk", key) for key in ("estoi", "pesq"))
    gain = _above(of, model, "doubletalk", "si_sdr")
    short, long = (of(model, f"farend, delay {side} 240 ms", "erle") for side in ("<", ">="))
    near, near_before = (of(name, "nearend", "aecmos_deg") for name in (model, "unprocessed"))
    noise, pesq = (_above(of, model, "noise", key) for key in ("dnsmos_ovrl", "pesq"))
    reverb = _above(of, model, "reverb", "dnsmos_ovrl")
    late, early = (of.pooled(model, f"delay_right_{after}") for after in ("1s", "03s"))
    return [
        Target("far-end single talk: AECMOS echo", f"{echo:.2f}", "4.4", met(echo - 4.4),
               "4.6", met(echo - 4.6)),
        Target("far-end single talk: ERLE without comfort noise", f"{erle:.1f} dB", "46 dB",
               met(erle - 46), "50 dB", met(erle - 50)),
        Target("double talk: AECMOS echo and degradation", f"{both_echo:.2f} and {both_deg:.2f}",
               "4.35 and 3.2", met(both_echo - 4.35, both_deg - 3.2),
               "4.5 and 3.6", met(both_echo - 4.5, both_deg - 3.6)),
        Target("double talk: ESTOI and PESQ", f"{estoi:.2f} and {both_pesq:.2f}", "0.66 and 1.7",
               met(estoi - 0.66, both_pesq - 1.7), "0.75 and 2.0",
               met(estoi - 0.75, both_pesq - 2.0)),
        Target("double talk: SI-SDR over unprocessed", f"{gain:+.1f} dB", "+9.5 dB",
               met(gain - 9.5), "+12 dB", met(gain - 12)),
        Target("far-end ERLE, delay below / from 240 ms", f"{short:.1f} / {long:.1f} dB",
               "within 3 dB", met(3 - (short - long)), "no difference", met(long - short)),
        Target("near-end single talk: degradation", f"{near:.2f}",
               f"3.23 (unprocessed: {near_before:.2f})", met(near - 3.23),
               "3.7", met(near - 3.7)),
        Target("noise: DNSMOS OVRL over unprocessed", f"{noise:+.2f}", "+1.25",
               met(noise - 1.25), "+1.4", met(noise - 1.4)),
        Target("noise: PESQ over unprocessed", f"{pesq:+.2f}", "+0.5", met(pesq - 0.5),
               "+0.7", met(pesq - 0.7)),
        Target("reverberation: DNSMOS OVRL over unprocessed", f"{reverb:+.2f}", "+0.8",
               met(reverb - 0.8), "+1.0", met(reverb - 1.0)),
        _missing_reference(of, model),
        _real_recordings(real, model),
        Target("delay within one bin, echo-active hops after 1 s / 0.3 s",
               f"{late:.1f} / {early:.1f} %", "95 % after 1 s", met(late - 95),
               "95 % after 0.3 s", met(early - 95)),
    ]  # fmt: skip


def small_targets(of: Means, model: str, small: str, cost: float) -> list[Target]:
    """Return the rows for the small sibling; `cost`: its time per hop over the default's."""
    falls = {}
    for group in ("farend", "doubletalk", *NO_ECHO):
        # Far-end talk that sounds well to DNSMOS and PLCMOS is echo.
        keys = OPINIONS[:2] if group == "farend" else OPINIONS
        for key in keys:
            fall = of(model, group, key) - of(small, group, key)
            if not math.isnan(fall):
                falls[f"{group}, {key}"] = fall
    where = max(falls, key=falls.__getitem__, default="")
    worst = falls.get(where, math.nan)
    return [
        Target("small sibling: CPU time of the default's", f"{100 * cost:.1f} %", "25 %",
               met(0.25 - cost)),
        Target("small sibling: opinion scores below the default's",
               f"at most {worst:.2f} ({where})", "0.2", met(0.2 - worst)),
    ]  # fmt: skip


def target_table(targets: Sequence[Target]) -> str:
    """Return the rows as a Markdown table."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    lines = ["| | measured | must | | goal | |", "|---|--:|--:|---|--:|---|"]
    for target in targets:
        goal = words[target.goal_met] if target.goal else ""
        lines.append(
            f"| {target.what} | {target.found} | {target.must} | {words[target.must_met]} "
            f"| {target.goal} | {goal} |"
        )
    return "\n".join(lines) + "\n"


def _missing_reference(of: Means, model: str) -> Target:
    """Compare no reference with one that plays and is not heard, where nobody hears an echo."""
    steps = [
        of(model + NO_REFERENCE, group, "dnsmos_ovrl") - of(model + UNHEARD, group, "dnsmos_ovrl")
        for group in NO_ECHO
    ]
    found = " / ".join(f"{step:+.3f}" for step in steps)
    worst = max(map(abs, steps))
    return Target(
        "no reference against an unheard one, near end / noise / reverberation: OVRL",
        found,
        "within 0.05",
        met(*(0.05 - abs(step) for step in steps)),
        "no difference",
        met(0.005 - worst),
    )


def _real_recordings(real: Means | None, model: str) -> Target:
    keys = ("aecmos_echo", "aecmos_deg", "dnsmos_ovrl")
    echo, deg, ovrl = (math.nan if real is None else real(model, "doubletalk", key) for key in keys)
    return Target(
        "real recordings of double talk: AECMOS echo and degradation, DNSMOS OVRL",
        "-" if real is None else f"{echo:.2f}, {deg:.2f} and {ovrl:.2f}",
        "4.3, 4.0 and 2.95",
        met(echo - 4.3, deg - 4.0, ovrl - 2.95),
        "4.5, 4.1 and 3.2",
        met(echo - 4.5, deg - 4.1, ovrl - 3.2),
    )


def _above(of: Means, model: str, group: str, key: str) -> float:
    return of(model, group, key) - of("unprocessed", group, key)


def met(*margins: float) -> bool | None:
    """Whether every margin is positive or nil; None where one is unknown."""
    return None if any(map(math.isnan, margins)) else all(margin >= 0 for margin in margins)
