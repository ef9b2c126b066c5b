"""Means per system and group, and the tables and JSON made of them."""

from __future__ import annotations

import operator
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from voxhop._version import __version__
from voxhop.evaluation.cases import SAMPLE_RATE, TALK
from voxhop.evaluation.runner import HOP_S
from voxhop.evaluation.scoring import MEASURES

if TYPE_CHECKING:
    from voxhop.evaluation.runner import ClipScore, Results
    from voxhop.evaluation.scoring import Measure

FORMAT: Final = 1
_NOTE: Final = "Means over clips; (n) where fewer clips have a value."
_SPEECH_QUALITY: Final = ("dnsmos", "plcmos")
# Columns of the technical report's table, in its order.
REPORT_COLUMNS: Final = ("aecmos_echo", "aecmos_deg", "blind_erle", "dnsmos_ovrl")


@dataclass(frozen=True)
class Mean:
    """Mean of a measure over `count` clips, weighted where it says so, and their deviation."""

    mean: float
    spread: float
    count: int


@dataclass(frozen=True)
class Row:
    """One system on one group of clips; `means` holds the measures that have any value."""

    system: str
    group: str
    count: int
    means: dict[str, Mean]


def summarise(results: Results) -> tuple[Row, ...]:
    """Return one row per group and system, groups in the order of the scenarios."""
    rows = []
    for group in groups_of(results):
        for system in results.systems:
            clips = [
                clip
                for clip in results.clips
                if clip.system == system.name and group in clip.groups
            ]
            if clips:
                rows.append(Row(system.name, group, len(clips), _means(clips)))
    return tuple(rows)


def groups_of(results: Results) -> list[str]:
    """Return the groups that occur: each scenario, followed by its finer ones."""
    found = {group for clip in results.clips for group in clip.groups}
    order = {scenario: i for i, scenario in enumerate(TALK)}
    return sorted(found, key=lambda group: (order[group.split(",")[0]], group))


def columns_of(rows: tuple[Row, ...], group: str) -> list[Measure]:
    """Return the measures that have a value for any system in `group`."""
    keys = {key for row in rows if row.group == group for key in row.means}
    return [measure for measure in MEASURES if measure.key in keys]


def as_json(results: Results) -> dict[str, Any]:
    """Return everything as JSON types: settings, systems, means and single clips.

    Equal input gives equal output but for the ``cost`` of each system.
    """
    return {
        "format": FORMAT,
        "voxhop": __version__,
        "protocol": results.protocol,
        "measures": {m.key: f"{m.title} {m.unit}".strip() for m in MEASURES},
        "packages": results.versions,
        "systems": [
            {**asdict(row), "lag_ms": 1000.0 * row.lag_samples / SAMPLE_RATE, "cost": cost}
            for row, cost in zip(results.systems, _costs(results), strict=True)
        ],
        "means": [asdict(row) for row in summarise(results)],
        "clips": [
            {
                "system": clip.system,
                "case": clip.case_id,
                "scenario": clip.scenario,
                "scores": clip.scores,
            }
            for clip in results.clips
        ],
    }


def markdown(results: Results) -> str:
    """Return the tables as Markdown; the best value of a column is bold."""
    rows = summarise(results)
    count = count_text(len(results.cases))
    parts = [f"# voxhop eval\n\n{count}, protocol `{results.protocol}`. {_NOTE}\n"]
    if results.protocol == "report":
        parts.append("## The report's table\n\n" + _report_tables(rows, results))
    for group in groups_of(results):
        columns = columns_of(rows, group)
        of_group = [row for row in rows if row.group == group]
        parts.append(
            f"## {group} ({count_text(of_group[0].count)})\n\n" + _table(of_group, columns)
        )
    parts.append("## Cost and delay\n\n" + _cost_table(results))
    return "\n".join(parts)


def is_best(row: Row, rows: list[Row], measure: Measure) -> bool:
    """Whether no other row has a higher mean as printed, and some row a lower one.

    Never for speech quality where nobody near talks: there, speech that is left is echo.
    """
    if measure.family in _SPEECH_QUALITY and TALK[row.group.split(",")[0]] == "st":
        return False
    means = [
        round(r.means[measure.key].mean, measure.digits) for r in rows if measure.key in r.means
    ]
    if measure.key not in row.means or min(means) == max(means):
        return False
    return round(row.means[measure.key].mean, measure.digits) == max(means)


def count_text(count: int) -> str:
    """Return "1 clip" or "n clips"."""
    return f"{count} clip" if count == 1 else f"{count} clips"


def cell(row: Row, measure: Measure) -> str:
    """Return a mean as text, with (n) where it covers fewer clips than the row."""
    mean = row.means.get(measure.key)
    if mean is None:
        return "-"
    text = f"{mean.mean:.{measure.digits}f}"
    return text if mean.count == row.count else f"{text} ({mean.count})"


def heading(measure: Measure) -> str:
    """Return a column's title with its unit."""
    return f"{measure.title} {measure.unit}".strip()


def _means(clips: list[ClipScore]) -> dict[str, Mean]:
    means = {}
    for measure in MEASURES:
        found = [clip.scores for clip in clips if clip.scores.get(measure.key) is not None]
        values = [float(scores[measure.key] or 0.0) for scores in found]
        if values:
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            if measure.weight:
                weights = [float(scores[measure.weight] or 0.0) for scores in found]
                mean = sum(map(operator.mul, values, weights)) / sum(weights)
            else:
                mean = statistics.fmean(values)
            means[measure.key] = Mean(mean, spread, len(values))
    return means


def _table(rows: list[Row], columns: list[Measure]) -> str:
    lines = [
        "| system | " + " | ".join(heading(m) for m in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for row in rows:
        cells = []
        for measure in columns:
            text = cell(row, measure)
            cells.append(f"**{text}**" if is_best(row, rows, measure) else text)
        lines.append(f"| {row.system} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _report_tables(rows: tuple[Row, ...], results: Results) -> str:
    columns = [m for key in REPORT_COLUMNS for m in MEASURES if m.key == key]
    lines = []
    for system in results.systems:
        lines.append(f"{system.name}\n")
        lines.append("| Scenario | n | " + " | ".join(heading(m) for m in columns) + " |")
        lines.append("|---|--:|" + "--:|" * len(columns))
        for row in rows:
            if row.system == system.name:
                cells = " | ".join(cell(row, m) for m in columns)
                lines.append(f"| {row.group} | {row.count} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def _costs(results: Results) -> list[dict[str, float]]:
    """Return median CPU time per 16 ms over the clips, and how many times real time it is."""
    costs = []
    for system in results.systems:
        spent = [c.cpu_ms_per_hop for c in results.clips if c.system == system.name]
        median = statistics.median(spent)
        costs.append({"cpu_ms_per_16_ms": median, "real_time": 1000.0 * HOP_S / max(median, 1e-6)})
    return costs


def _cost_table(results: Results) -> str:
    lines = [
        "| system | output lags by | how known | CPU ms per 16 ms |",
        "|---|--:|---|--:|",
    ]
    for row, cost in zip(results.systems, _costs(results), strict=True):
        lag_ms = 1000.0 * row.lag_samples / SAMPLE_RATE
        known = "measured" if row.lag_measured else "declared"
        lines.append(f"| {row.name} | {lag_ms:.1f} ms | {known} | {cost['cpu_ms_per_16_ms']:.2f} |")
    return "\n".join(lines) + "\n"
