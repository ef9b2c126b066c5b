"""Curves over time as SVG that takes the colours of the page around it."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Series = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 960, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 26, 28
_COLOURS: Final = ("#3b82f6", "#f59e0b", "#10b981")
_STEPS: Final = (1.0, 2.0, 5.0, 10.0)


def curve_svg(time_s: Series, series: Mapping[str, Series], label: str) -> str:
    """Return one picture with one line per series; NaN interrupts a line.

    Parameters
    ----------
    time_s
        ``(n,)``, rising.
    series
        Name to ``(n,)``.
    label
        Written above.
    """
    values = np.concatenate([y[np.isfinite(y)] for y in series.values()])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    end = float(time_s[-1])

    def x_of(t: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * t / end

    def y_of(v: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - v) / (high - low)

    head = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(label)}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
    )
    names = "".join(
        f'<tspan dx="16" fill="{_COLOURS[i % len(_COLOURS)]}">{html.escape(name)}</tspan>'
        for i, name in enumerate(series if len(series) > 1 else ())
    )
    parts = [head, f'<text x="{_LEFT}" y="16">{html.escape(label)}{names}</text>']
    parts += [_grid_line(y_of(tick), tick) for tick in ticks]
    for tick in nice_ticks(0.0, end):
        if tick <= end:
            at = f'x="{x_of(tick):.1f}" y="{_HEIGHT - 8}" text-anchor="middle"'
            parts.append(f"<text {at}>{tick:g} s</text>")
    for i, line in enumerate(series.values()):
        colour = _COLOURS[i % len(_COLOURS)]
        path = _path([x_of(t) for t in time_s], [y_of(v) for v in line])
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "".join(parts) + "</svg>"


def nice_ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers that reach from `low` to `high`."""
    span = max(high - low, 1e-6 * max(1.0, abs(high)))
    raw = span / 5.0
    scale = 10.0 ** math.floor(math.log10(raw))
    step = scale * next(s for s in _STEPS if s * scale >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _grid_line(y: float, value: float) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
        'stroke="currentColor" stroke-opacity="0.15"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    )


def _path(xs: list[float], ys: list[float]) -> str:
    parts, pen_down = [], False
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        pen_down = True
    return "".join(parts)
