"""The page of `voxhop report`: one file, no network, no script."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop._version import __version__
from voxhop.plots import spectrogram_png
from voxhop.report.curves import curve_svg
from voxhop.report.findings import findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from voxhop.report.analysis import Analysis

    Floats = npt.NDArray[np.float32]

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --good: #18794e; --bad: #c62828; --note: #666; }
@media (prefers-color-scheme: dark) { :root { --good: #4cc38a; --bad: #ff8a80; --note: #aaa; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.sub { color: var(--note); margin: 0 0 1rem; }
ul { list-style: none; padding: 0; } li { padding: .3rem 0 .3rem .8rem; margin: .4rem 0; }
li.good { border-left: 4px solid var(--good); } li.bad { border-left: 4px solid var(--bad); }
li.note { border-left: 4px solid var(--line); }
.track { border-top: 1px solid var(--line); padding: .8rem 0; }
.track b { display: inline-block; min-width: 7rem; }
audio { vertical-align: middle; width: 24rem; max-width: 100%; }
.wide { overflow-x: auto; }
img, svg { display: block; width: 100%; min-width: 44rem; height: auto; margin-top: .5rem; }
table { border-collapse: collapse; }
td { border-top: 1px solid var(--line); padding: .15rem 1rem .15rem 0; }
""".strip()
_NAMES: Final = {"mic": "Microphone", "ref": "Reference", "out": "Enhanced"}
_WORDS: Final = {
    "mic": "microphone",
    "ref": "reference",
    "out": "output",
    "erle": "ERLE",
    "nonfinite": "not finite",
    "p50": "time, half under",
    "p99": "time, 99 of 100 under",
}
_UNITS: Final = {"ms": "ms", "db": "dB", "dbfs": "dBFS", "ppm": "ppm"}
_CURVES: Final = (
    "ERLE is how far the output lies below the microphone while the reference sounds. The echo's "
    "delay is counted from the reference; the pre-delay is by how much the reference was held "
    "back so that the model sees the echo inside its window."
)
_LOST: Final = "Marks along the upper edge of a picture: packets that were lost."


def report_page(analysis: Analysis, title: str) -> str:
    """Return the whole page.

    Parameters
    ----------
    analysis
        What it shows; the players hold all of it as FLAC, so the page grows with its length.
    title
        Its heading.

    Raises
    ------
    ImportError
        When matplotlib is not installed; the message says how to.
    """
    tracks = {"mic": analysis.mic, "out": analysis.out}
    if analysis.ref is not None:
        tracks["ref"] = analysis.ref
    top_db = _loudest(tracks)
    said = "".join(
        f'<li class="{finding.kind}">{html.escape(finding.text)}</li>'
        for finding in findings(analysis)
    )
    lost = {"mic": analysis.lost, "out": analysis.lost}
    players = "".join(
        _track(name, tracks[name], analysis.sample_rate, top_db, lost.get(name, ()))
        for name in tracks
    )
    if analysis.lost:
        players = f'<p class="sub">{_LOST}</p>{players}'
    seconds, rate = analysis.seconds, analysis.sample_rate
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="sub">{seconds:.1f} s at {rate} Hz, voxhop {__version__}</p>\n'
        f"<h2>Findings</h2><ul>{said}</ul>\n"
        f"<h2>Before and after</h2>{players}\n"
        f"<h2>Over time</h2>{_curves(analysis)}\n"
        f"<h2>Figures</h2>{_figures(analysis)}\n</body></html>\n"
    )


def _track(
    name: str, signal: Floats, rate: int, top_db: float, lost: Sequence[tuple[float, float]]
) -> str:
    picture = spectrogram_png(signal, rate, top_db=top_db, lost=lost)
    image = base64.b64encode(picture).decode("ascii")
    label = _NAMES[name]
    return (
        f'<div class="track"><b>{label}</b> <audio controls preload="metadata" '
        f'src="data:audio/flac;base64,{_flac(signal, rate)}"></audio>'
        f'<div class="wide"><img alt="Spectrogram: {label}" '
        f'src="data:image/png;base64,{image}"></div></div>'
    )


def _curves(analysis: Analysis) -> str:
    c = analysis.curves
    parts = [
        curve_svg(c.time_s, {"microphone": c.mic_dbfs, "enhanced": c.out_dbfs}, "level, dBFS"),
    ]
    if analysis.ref is not None:
        parts.append(
            curve_svg(c.time_s, {"ERLE": c.erle_db}, "ERLE while the reference sounds, dB")
        )
        delays = {"echo": c.delay_ms, "pre-delay": c.pre_delay_ms}
        parts.append(curve_svg(c.time_s, delays, "delay, ms"))
    explained = "" if analysis.ref is None else f'<p class="sub">{_CURVES}</p>'
    return f'{explained}<div class="wide">{"".join(parts)}</div>'


def _figures(analysis: Analysis) -> str:
    rows = []
    for name, value in vars(analysis.metrics).items():
        *words, last = name.split("_")
        unit = _UNITS.get(last, "")
        label = " ".join(_WORDS.get(word, word) for word in (words if unit else [*words, last]))
        rows.append(f"<tr><td>{html.escape(label)}</td><td>{_shown(value, unit)}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g} {unit}" if isinstance(value, float) else str(value)


def _flac(signal: Floats, rate: int) -> str:
    import soundfile  # noqa: PLC0415 - not needed to import voxhop

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(signal, -1.0, 1.0), rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _loudest(tracks: dict[str, Floats]) -> float:
    """Return a level in dB that all spectrograms share as their brightest."""
    peak = max(float(np.sqrt(np.mean(np.square(x))) + 1e-9) for x in tracks.values())
    return 20.0 * float(np.log10(peak)) + 25.0
