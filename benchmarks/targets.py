"""What the default model and its small sibling have to reach, and whether they do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxhop.evaluation import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxhop.evaluation import Results

# Highest far-end echo score of any system on the three real clips, networks included.
BEST_REAL_ECHO = 4.28
NO_ECHO = ("nearend", "noise", "reverb")
NO_REFERENCE, UNHEARD = " (no reference)", " (unheard reference)"
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
    """Return the rows for the default model; `real`: the means of the real clips."""
    echo, erle = of(model, "farend", "aecmos_echo"), of(model, "farend", "erle")
    both_echo, both_deg = (of(model, "doubletalk", f"aecmos_{key}") for key in ("echo", "deg"))
    gain = _above(of, model, "doubletalk", "si_sdr")
    short, long = (of(model, f"farend, delay {side} 240 ms", "erle") for side in ("<", ">="))
    near, near_before = (of(name, "nearend", "aecmos_deg") for name in (model, "unprocessed"))
    noise, pesq = (_above(of, model, "noise", key) for key in ("dnsmos_ovrl", "pesq"))
    reverb = _above(of, model, "reverb", "dnsmos_ovrl")
    late, early = (of.pooled(model, f"delay_right_{after}") for after in ("1s", "03s"))
    return [
        Target("far-end single talk: AECMOS echo", f"{echo:.2f}", "3.9", met(echo - 3.9),
               "4.5", met(echo - 4.5)),
        Target("far-end single talk: ERLE", f"{erle:.1f} dB", "22 dB", met(erle - 22),
               "45 dB", met(erle - 45)),
        Target("double talk: AECMOS echo and degradation", f"{both_echo:.2f} and {both_deg:.2f}",
               "4.0 and 2.6", met(both_echo - 4.0, both_deg - 2.6),
               "4.4 and 3.5", met(both_echo - 4.4, both_deg - 3.5)),
        Target("double talk: SI-SDR over unprocessed", f"{gain:+.1f} dB", "+5 dB", met(gain - 5),
               "+8 dB", met(gain - 8)),
        Target("far-end ERLE, delay below / from 240 ms", f"{short:.1f} / {long:.1f} dB",
               "within 3 dB", met(3 - (short - long)), "no difference", met(long - short)),
        Target("near-end single talk: degradation", f"{near:.2f}",
               f"not below unprocessed ({near_before:.2f})", met(near - near_before),
               "3.7", met(near - 3.7)),
        Target("noise: DNSMOS OVRL over unprocessed", f"{noise:+.2f}", "+0.7", met(noise - 0.7),
               "+1.1", met(noise - 1.1)),
        Target("noise: PESQ over unprocessed", f"{pesq:+.2f}", "+0.3", met(pesq - 0.3),
               "+0.6", met(pesq - 0.6)),
        Target("reverberation: DNSMOS OVRL over unprocessed", f"{reverb:+.2f}", "+0.4",
               met(reverb - 0.4), "+0.9", met(reverb - 0.9)),
        _missing_reference(of, model),
        _real_clips(real, model),
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


def _real_clips(real: Means | None, model: str) -> Target:
    echo = math.nan if real is None else real(model, "farend", "aecmos_echo")
    return Target(
        "three real clips: far-end AECMOS echo",
        "-" if math.isnan(echo) else f"{echo:.2f}",
        "4.0",
        met(echo - 4.0),
        f"above {BEST_REAL_ECHO}",
        None if math.isnan(echo) else echo > BEST_REAL_ECHO,
    )


def _above(of: Means, model: str, group: str, key: str) -> float:
    return of(model, group, key) - of("unprocessed", group, key)


def met(*margins: float) -> bool | None:
    """Whether every margin is positive or nil; None where one is unknown."""
    return None if any(map(math.isnan, margins)) else all(margin >= 0 for margin in margins)
