"""Looks at the fixed set during a run: which weights to keep, and how to steer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from voxhop.training.recipes import recipe_of
from voxhop.training.run.start import best_content
from voxhop.training.state import save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from voxhop.training.config import RunConfig
    from voxhop.training.state import Average, Progress

BEST = "best.pt"


class Referee:
    """Scores a run's weights; belongs to the first process.

    Parameters
    ----------
    config : RunConfig
        The run.
    device : torch.device
        Where the clips are kept and the model is run.
    """

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self._config, self._recipe = config, recipe_of(config)
        self._judge = self._recipe.judge(device)

    def anchors(self, emit: Callable[[dict[str, Any]], None]) -> None:
        """Emit the figures of what has to be beaten."""
        for figures in self._judge.anchors():
            emit({"kind": "anchor", **figures})

    def look(
        self,
        objective: nn.Module,
        average: Average,
        progress: Progress,
        emit: Callable[[dict[str, Any]], None],
    ) -> None:
        """Score raw and averaged weights, save the best so far, let the recipe steer."""
        figures = {}
        model = objective.model
        assert isinstance(model, nn.Module)  # noqa: S101 - what an objective promises
        objective.eval()
        for weights in ("raw", "ema"):
            if weights == "ema":
                average.swap(objective)
            figures = self._judge.figures(model)
            emit({"kind": "valid", "weights": weights, **figures})
            if figures["score"] > progress.best_score:
                progress.best_score = figures["score"]
                content = best_content(model, self._config, figures)
                save_checkpoint(Path(self._config.output) / BEST, content)
        average.swap(objective)
        objective.train()
        if progress.step:
            self._recipe.steer(progress, figures)
