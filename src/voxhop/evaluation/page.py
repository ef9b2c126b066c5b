"""The report as one HTML page that needs nothing else: tables, sound, spectrograms."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from voxhop.evaluation.cases import SAMPLE_RATE, load_clip
from voxhop.evaluation.pictures import sound, spectrogram_png
from voxhop.evaluation.runner import run_aligned
from voxhop.evaluation.scoring import MEASURES
from voxhop.evaluation.summary import (
    Row,
    as_json,
    cell,
    columns_of,
    count_text,
    groups_of,
    heading,
    is_best,
    summarise,
)
from voxhop.evaluation.systems import build
from voxhop.evaluation.worst import worst_clips

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from voxhop.evaluation.cases import Case
    from voxhop.evaluation.runner import ClipScore, Results
    from voxhop.evaluation.scoring import Measure

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --best: #2a8c4a; --soft: #767676; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 96rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
h3 { font-size: 1rem; margin-bottom: .3rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
         white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th { font-weight: 600; font-size: .8rem; vertical-align: bottom; white-space: normal;
     min-width: 3.6rem }
h2 .note, h3 .note { font-weight: 400 }
td.best { font-weight: 700; color: var(--best) }
.clip { display: grid; grid-template-columns: repeat(auto-fill, minmax(23rem, 1fr)); gap: 1rem }
figure { margin: 0 } figure img { width: 100%; height: auto; display: block }
figcaption { font-size: .85rem; margin-bottom: .2rem; min-height: 2.9em }
figcaption span { color: var(--soft) }
audio { width: 100%; height: 2.2rem }
.note { color: var(--soft); font-size: .85rem }
"""


def page(
    results: Results,
    *,
    worst: int = 5,
    subject: str | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> str:
    """Return the page.

    Parameters
    ----------
    results
        From `voxhop.evaluation.evaluate`.
    worst
        How many of the subject's worst clips are shown with sound; they are processed again.
    subject
        Name of the system whose clips are chosen; None: the last one with its reference.
    progress
        Called with (clips embedded, clips in all).

    Raises
    ------
    ArgumentError
        No system is called `subject`.
    """
    rows = summarise(results)
    name = subject or _default_subject(results)
    chosen = worst_clips(results, name, worst)
    count = count_text(len(results.cases))
    body = [
        "<h1>voxhop eval</h1>",
        f"<p>{count}, protocol <b>{escape(results.protocol)}</b>. {_NOTE}</p>",
    ]
    for group in groups_of(results):
        of_group = [row for row in rows if row.group == group]
        body.append(
            f"<h2>{escape(group)} <span class=note>{count_text(of_group[0].count)}</span></h2>"
        )
        body.append(_table(of_group, columns_of(rows, group)))
    body.append("<h2>Cost and delay</h2>" + _cost_table(results))
    if chosen:
        body.append(f"<h2>Worst clips of {escape(name)}</h2>{_WORST_NOTE}")
    for done, (case_id, measure, value) in enumerate(chosen):
        body.append(_clip_section(results, case_id, measure, value))
        if progress is not None:
            progress(float(done + 1), float(len(chosen)))
    return _document("\n".join(body))


_NOTE: Final = (
    "Means over clips; (n) where fewer clips have a value; the best of a column is green."
)
_WORST_NOTE: Final = (
    "<p class=note>The worst of each scenario in turn, by the opinion score named beside it: "
    "echo for far-end talk, the lower of echo and degradation for double talk, degradation for "
    "near-end talk, DNSMOS for the rest. Every system is shown on them, aligned with the "
    "microphone; spectrograms reach from -90 to -10 dB.</p>"
)


def _default_subject(results: Results) -> str:
    whole = [row for row in results.systems if build(row.specification).reference == "given"]
    return (whole or results.systems)[-1].name


def _document(body: str) -> str:
    return (
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>voxhop eval</title><style>{_STYLE}</style>\n{body}\n</html>\n"
    )


def _table(rows: list[Row], columns: list[Measure]) -> str:
    head = "".join(f"<th>{escape(heading(measure))}</th>" for measure in columns)
    lines = []
    for row in rows:
        cells = []
        for measure in columns:
            mark = " class=best" if is_best(row, rows, measure) else ""
            cells.append(f"<td{mark}>{escape(cell(row, measure))}</td>")
        lines.append(f"<tr><td>{escape(row.system)}</td>{''.join(cells)}</tr>")
    return f"<div class=wide><table><tr><th>system</th>{head}</tr>{''.join(lines)}</table></div>"


def _cost_table(results: Results) -> str:
    lines = []
    for system in as_json(results)["systems"]:
        known = "measured" if system["lag_measured"] else "declared"
        lines.append(
            f"<tr><td>{escape(system['name'])}</td><td>{system['lag_ms']:.1f} ms</td>"
            f"<td>{known}</td><td>{system['cost']['cpu_ms_per_16_ms']:.2f}</td></tr>"
        )
    return (
        "<div class=wide><table><tr><th>system</th><th>output lags by</th><th>how known</th>"
        f"<th>CPU ms per 16 ms</th></tr>{''.join(lines)}</table></div>"
    )


def _clip_section(results: Results, case_id: str, measure: str, value: float) -> str:
    case = next(case for case in results.cases if case.case_id == case_id)
    clip = load_clip(case)
    of_case = {c.system: _score_text(c) for c in results.clips if c.case_id == case_id}
    # What is only the microphone again is told by its scores.
    figures = [_figure("microphone", of_case.pop("unprocessed", ""), clip.mic)]
    for label, signal in (("reference", clip.ref), ("wanted near end", clip.target)):
        if signal is not None:
            figures.append(_figure(label, "", signal))
    for row in results.systems:
        if row.name in of_case:
            out, _ = run_aligned(build(row.specification), row.lag_samples, case)
            figures.append(_figure(row.name, of_case[row.name], out))
    title = next(m.title for m in MEASURES if m.key == measure)
    return (
        f"<h3>{escape(case_id)} <span class=note>{escape(_facts(case))}; "
        f"{escape(title)} {value:.2f}</span></h3><div class=clip>{''.join(figures)}</div>"
    )


def _facts(case: Case) -> str:
    facts = [case.scenario]
    if case.echo_path_change:
        facts.append("path change")
    if case.delay_ms is not None:
        facts.append(f"delay {case.delay_ms:.0f} ms")
    return ", ".join(facts)


def _score_text(clip: ClipScore) -> str:
    shown = []
    for measure in MEASURES:
        value = clip.scores.get(measure.key)
        if value is not None and measure.key in _SHOWN:
            shown.append(f"{measure.title} {value:.{measure.digits}f}")
    return ", ".join(shown)


_SHOWN: Final = (
    "aecmos_echo",
    "aecmos_deg",
    "dnsmos_ovrl",
    "pesq",
    "si_sdr",
    "erle",
    "delay_right_1s",
)


def _figure(label: str, scores: str, signal: npt.NDArray[Any]) -> str:
    return (
        f"<figure><figcaption>{escape(label)} <span>{escape(scores)}</span></figcaption>"
        f'<img alt="spectrogram of {escape(label)}" src="{spectrogram_png(signal, SAMPLE_RATE)}">'
        f'<audio controls preload=none src="{sound(signal, SAMPLE_RATE)}"></audio></figure>'
    )
