"""Curves of a run as one PNG, drawn from its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError
from voxhop.training.recipes.localvqe import LocalVQERecipe
from voxhop.training.state import read_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from voxhop.training.recipes.recipe import Recipe


def plot_curves(
    log: Path, target: Path, recipe: Recipe[Any] | type[Recipe[Any]] = LocalVQERecipe
) -> None:
    """Draw a run's losses and its recipe's validation figures.

    Parameters
    ----------
    log : Path
        ``log.jsonl`` of a run.
    target : Path
        PNG to write.
    recipe : Recipe
        Of the run; the class will do.

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
    for name in recipe.losses:
        panels[0, 0].plot(seconds, [_number(r, name) for r in steps], label=name)
    panels[0, 0].set(title="loss terms", yscale="log")
    for panel, (title, names) in zip(panels.flat[1:], recipe.panels, strict=True):
        _validation(panel, records, names)
        panel.set_title(title)
    for panel in panels.flat:
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize="small")
    for panel in panels[1]:
        panel.set_xlabel("audio seconds seen")
    figure.savefig(target, dpi=110, metadata={"Software": None})


def _validation(panel: Axes, records: list[dict[str, Any]], names: Mapping[str, str]) -> None:
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
