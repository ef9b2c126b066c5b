"""What a run must remember to go on after a kill, and how it reaches the disk."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


@dataclass
class Progress:
    """Counters of a run.

    Attributes
    ----------
    step : int
        Optimiser steps taken; with the seed it decides the next clips.
    audio_seconds : float
        Seconds of clips passed through training, over all processes.
    elapsed_s : float
        Time spent training, over all starts of the run; validation included.
    over_suppression : float
        Steered loss weight.
    validated_share : float
        Share of the budget at the last look.
    best_score : float
        Highest validation score so far.
    """

    step: int = 0
    audio_seconds: float = 0.0
    elapsed_s: float = 0.0
    over_suppression: float = 2.0
    validated_share: float = 0.0
    best_score: float = float("-inf")


class Average:
    """Exponential moving average of a module's parameters.

    The decay ramps up as min(decay, (1 + n) / (10 + n)), so that the first updates
    do not carry the initial weights along.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self.updates = 0
        self.values = {n: p.detach().clone() for n, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module's present parameters."""
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        current = [p.detach() for _, p in module.named_parameters()]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - decay)

    @torch.no_grad()
    def swap(self, module: nn.Module) -> None:
        """Exchange averaged and present parameters; a second call undoes the first."""
        for name, parameter in module.named_parameters():
            kept = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(kept)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, force it to disk, and give it its name.

    A kill or power cut at any moment leaves the old file or the new one, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    write(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    write_atomically(path, lambda partial: torch.save(content, partial))


def append_log(path: Path, record: dict[str, Any]) -> None:
    """Add one JSON line; NaN and infinities are written as null."""
    clean = {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()
    }
    with path.open("a") as file:
        file.write(json.dumps(clean) + "\n")


def trim_log(path: Path, last_step: int) -> None:
    """Drop the lines after the checkpoint's step: resuming writes them again.

    A line cut short by the kill is dropped too.
    """
    if not path.exists():
        return
    kept = [line for line in read_log(path) if line.get("step", 0) <= last_step]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    write_atomically(path, lambda partial: partial.write_text(text))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log's JSON lines, without a last one that is incomplete."""
    whole, _, _cut = path.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]
