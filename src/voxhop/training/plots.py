"""Curves of a run as one PNG, drawn from its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError
from voxhop.training.state import read_log

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_LOSSES = ("loss", "spectral", "delay", "deep")
_SEPARATIONS = {"dt_separation": "double talk", "ne_separation": "noise"}
_LEVELS = {"dt_level": "double talk", "ne_level": "near end"}
_GAINS = {"dt_si_sdr_gain": "double talk", "ne_si_sdr_gain": "noise"}
_SUPPRESSIONS = {
    "fe_suppression": "far end",
    "change_suppression": "after path change",
    "noise_suppression": "noise",
}


def plot_curves(log: Path, target: Path) -> None:
    """Draw losses, separation, near-end level, SI-SDR gain, suppression and delay accuracy.

    Parameters
    ----------
    log : Path
        ``log.jsonl`` of a run.
    target : Path
        PNG to write.

    Raises
    ------
    ArgumentError
        If the log holds no training step yet.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy
    from matplotlib.figure import Figure  # noqa: PLC0415

    records = read_log(log)
    steps = [r for r in records if r["kind"] == "train"]
    if not steps:
        raise ArgumentError(f"{log}: no training step, expected at least one line of kind 'train'")
    figure = Figure(figsize=(13, 7), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3, sharex=True)
    seconds = [r["audio_seconds"] for r in steps]
    for name in _LOSSES:
        panels[0, 0].plot(seconds, [_number(r, name) for r in steps], label=name)
    panels[0, 0].set(title="loss terms", yscale="log")
    for panel, names, title in (
        (panels[0, 1], _SEPARATIONS, "separation, dB"),
        (panels[0, 2], _GAINS, "SI-SDR gain, dB"),
        (panels[1, 0], _LEVELS, "near-end level, dB"),
        (panels[1, 1], _SUPPRESSIONS, "suppression, dB"),
        (panels[1, 2], {"delay_accuracy": "within one frame"}, "delay accuracy"),
    ):
        _validation(panel, records, names)
        panel.set_title(title)
    for panel in panels.flat:
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize="small")
    for panel in panels[1]:
        panel.set_xlabel("audio seconds seen")
    figure.savefig(target, dpi=110, metadata={"Software": None})


def _validation(panel: Axes, records: list[dict[str, Any]], names: dict[str, str]) -> None:
    """Draw figures of the averaged weights solid, of the raw ones dotted."""
    for index, (name, label) in enumerate(names.items()):
        for weights, style in (("ema", "-"), ("raw", ":")):
            looks = [r for r in records if r["kind"] == "valid" and r["weights"] == weights]
            panel.plot(
                [r["audio_seconds"] for r in looks],
                [_number(r, name) for r in looks],
                style,
                color=f"C{index}",
                marker=".",
                label=label if style == "-" else None,
            )


def _number(record: dict[str, Any], name: str) -> float:
    """Read a figure; one that was not finite, or not measured, leaves a gap."""
    value = record.get(name)
    return float("nan") if value is None else float(value)
