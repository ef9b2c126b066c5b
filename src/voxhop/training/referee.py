"""Looks at the fixed set during a run: which weights to keep, and how to steer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from voxhop.training.bank import load_bank
from voxhop.training.start import best_content
from voxhop.training.state import save_checkpoint
from voxhop.training.validate import (
    CONSTANT_GAINS,
    Enhanced,
    build_clips,
    constant_gain,
    run_model,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxhop.training.config import TrainingConfig
    from voxhop.training.losses import Objective
    from voxhop.training.simulate import Clips
    from voxhop.training.state import Average, Progress

BEST = "best.pt"
_OVER_SUPPRESSION_RANGE = (0.5, 6.0)


class Referee:
    """Scores a run's weights; belongs to the first process.

    Parameters
    ----------
    config : TrainingConfig
        The run.
    device : torch.device
        Where the clips are kept and the model is run.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self._config, self._device = config, device
        limits = config.validation
        bank = load_bank(config.data, "valid", config.rooms, seed=config.seed).to(device)
        self._fixed = build_clips(
            bank,
            config.simulation,
            per_scenario=limits.per_scenario,
            seconds=limits.seconds,
            seed=limits.seed,
        )

    def anchors(self, emit: Callable[[dict[str, Any]], None]) -> None:
        """Emit the figures of constant gains: what has to be beaten."""
        for gain in CONSTANT_GAINS:
            figures = validate(constant_gain(gain), self._fixed)
            emit({"kind": "anchor", "gain": gain, **figures})

    def look(
        self,
        objective: Objective,
        average: Average,
        progress: Progress,
        emit: Callable[[dict[str, Any]], None],
    ) -> None:
        """Score raw and averaged weights, save the best so far, steer the one-sided weight."""
        figures = {}
        objective.eval()
        for weights in ("raw", "ema"):
            if weights == "ema":
                average.swap(objective)
            figures = self._score(objective)
            emit({"kind": "valid", "weights": weights, **figures})
            if figures["score"] > progress.best_score:
                progress.best_score = figures["score"]
                content = best_content(objective.model, self._config, figures)
                save_checkpoint(Path(self._config.output) / BEST, content)
        average.swap(objective)
        objective.train()
        if progress.step:
            level = (figures["dt_level"] + figures["ne_level"]) / 2
            progress.over_suppression = self._steered(progress.over_suppression, level)

    def _score(self, objective: Objective) -> dict[str, float]:
        bf16 = self._config.precision == "bf16"

        def enhance(clips: Clips) -> Enhanced:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
                return run_model(objective.model, clips)

        return validate(enhance, self._fixed)

    def _steered(self, weight: float, level_db: float) -> float:
        """Raise the weight by half for a quiet near end, lower it by a third for a loud one."""
        limits = self._config.validation
        if level_db < limits.quiet_db:
            weight *= 1.5
        elif level_db > limits.loud_db:
            weight /= 1.5
        lowest, highest = _OVER_SUPPRESSION_RANGE
        return min(max(weight, lowest), highest)
