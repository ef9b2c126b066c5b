"""The page of a comparison of codecs: what is reached, tables by condition, delay and cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from parts.kept_page import machine_text
from parts.targets import Target, met, target_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codec_comparison import Comparison, Row

TITLES = {
    "pesq": "PESQ", "estoi": "ESTOI", "sig": "SIG", "ovrl": "OVRL", "distillmos": "DistillMOS",
    "mel": "mel distance", "speaker": "speaker", "wer": "WER %", "plcmos": "PLCMOS",
}  # fmt: skip
_DIGITS = {"estoi": 3, "mel": 3, "wer": 1}
_OPUS, _CODEC2 = "Opus", "Codec2"


class Figures:
    """Figures by system, condition and measure; NaN where there is none.

    Parameters
    ----------
    rows
        Of a comparison.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {(row.system, row.condition): row for row in rows}

    def __call__(self, system: str, condition: str, key: str) -> float:
        """Return a mean."""
        row = self._rows.get((system, condition))
        value = None if row is None else row.means.get(key)
        return math.nan if value is None else value

    def named(self, start: str, end: str = "") -> str:
        """Return the system whose name begins and ends so; "" for none."""
        names = (name for name, _ in self._rows)
        return next((n for n in names if n.startswith(start) and n.endswith(end)), "")


def page(found: Comparison, command: str) -> str:
    """Return the page in Markdown."""
    clean = [row for row in found.rows if row.condition == "clean"]
    lines = [
        "# The speech codec beside others",
        "",
        "Made by",
        "",
        f"    {command}",
        "",
        (
            f"with {found.model}, weights in {found.precision}, on clips of {found.seconds:g} s "
            f"of speakers, noises and rooms that training has not heard, {clean[0].clips} clean "
            "ones; means, so differences below about 0.1 MOS are noise. Clean clips are as "
            "recorded; noise is at 5 to 15 dB. Reference of PESQ, ESTOI, mel distance, speaker "
            "similarity and word errors is what should be heard: the clean voice; words are those "
            "recognised in it, at 16 kHz."
        ),
        f"Machine: {machine_text()}.",
        *(["Rows of other codecs are of an earlier run on the same clips."] * found.others_kept),
        *(f"Not compared: {what}." for what in found.missing),
        "",
        "## Targets",
        "",
        target_table(targets(found)),
    ]
    for condition in dict.fromkeys(row.condition for row in found.rows):
        rows = [row for row in found.rows if row.condition == condition]
        lines += [f"## {condition.capitalize()}, {rows[0].clips} clips", "", *_table(rows), ""]
    lines += ["## Delay and cost", "", *_costs(clean), ""]
    return "\n".join(lines)


def targets(found: Comparison) -> list[Target]:
    """Return what the codec has to reach, and whether it does."""
    of = Figures(found.rows)
    high, low = of.named("voxhop, 6"), of.named("voxhop, 1")
    opus = of.named(_OPUS, "6 kbit/s")
    wide, narrow = (of.named(_CODEC2, rate) for rate in ("3200", "1300"))
    least = found.code_usage.get("least", math.nan)
    heard = max(
        (of(name, "noisy", "ovrl") for name in {high, of.named("voxhop, 6", "enhanced")}),
        key=lambda value: -math.inf if math.isnan(value) else value,
    )
    gain = heard - of(opus, "noisy", "ovrl")
    voice = of(high, "clean", "speaker")
    fall = of(high, "clean", "estoi") - of(high, "10% lost", "estoi")
    return [
        *_quality(of, high, (2.0, 0.80), opus, opus),
        *_quality(of, low, (1.4, 0.60), wide, narrow),
        Target("codes in use, worst group", f"{100 * least:.0f} %", "90 %", met(least - 0.9)),
        Target(f"noisy: OVRL above {opus}", f"{gain:+.2f}", "+0.5", met(gain - 0.5)),
        Target("speaker similarity at 6 kbit/s", f"{voice:.2f}", "0.80", met(voice - 0.8)),
        Target("10 % of frames lost: fall of ESTOI", f"{fall:.3f}", "0.08", met(0.08 - fall)),
    ]


def _quality(
    of: Figures, ours: str, least: tuple[float, float], rival: str, goal: str
) -> Iterator[Target]:
    pesq, estoi, mos = (of(ours, "clean", key) for key in ("pesq", "estoi", "distillmos"))
    others = [of(goal, "clean", key) for key in ("pesq", "estoi", "distillmos")]
    yield Target(
        f"{ours}, clean: PESQ / ESTOI",
        f"{pesq:.2f} / {estoi:.2f}",
        f"{least[0]:.1f} / {least[1]:.2f}",
        met(pesq - least[0], estoi - least[1]),
        f"{goal}: {others[0]:.2f} / {others[1]:.2f}",
        met(pesq - others[0], estoi - others[1]),
    )
    above = of(rival, "clean", "distillmos")
    yield Target(
        f"{ours}, clean: DistillMOS",
        f"{mos:.2f}",
        f"{rival}: {above:.2f}",
        met(mos - above),
        f"{goal}: {others[2]:.2f}",
        met(mos - others[2]),
    )


def _table(rows: Sequence[Row]) -> Iterator[str]:
    keys = [key for key in TITLES if any(key in row.means for row in rows)]
    yield "| | " + " | ".join(TITLES[key] for key in keys) + " |"
    yield "|---|" + "--:|" * len(keys)
    for row in rows:
        cells = (_cell(row.means.get(key), _DIGITS.get(key, 2)) for key in keys)
        yield f"| {row.system} | " + " | ".join(cells) + " |"


def _costs(rows: Sequence[Row]) -> Iterator[str]:
    yield "CPU time of one thread per 20 ms of sound, back to back, of the clip that took least."
    yield ""
    yield "| | kbit/s | delay ms | encoder ms | decoder ms |"
    yield "|---|--:|--:|--:|--:|"
    for row in rows:
        if row.delay_ms is not None:
            values = ((row.kbps, 2), (row.delay_ms, 1), (row.encode_ms, 3), (row.decode_ms, 3))
            cells = (_cell(value, digits) for value, digits in values)
            yield f"| {row.system} | " + " | ".join(cells) + " |"


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
