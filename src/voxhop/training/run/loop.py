"""The training loop: one process, or several under PyTorch's launcher."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from voxhop.errors import ArgumentError
from voxhop.training.config import load_config, to_table
from voxhop.training.draw import Draw
from voxhop.training.recipes import recipe_of
from voxhop.training.run.batches import Batches
from voxhop.training.run.launch import first_alone, pick_device, processes, signals_to
from voxhop.training.run.muon import Muon
from voxhop.training.run.referee import BEST, Referee
from voxhop.training.run.start import initial_model, new_parameters
from voxhop.training.state import Average, Progress, append_log, save_checkpoint, trim_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxhop.training.config import Phase, RunConfig

LOG_EVERY = 25
LAST = "last.pt"
LOG = "log.jsonl"

_log = logging.getLogger(__name__)


def train(config: RunConfig, *, report: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """Train until the budget is spent; go on where a killed run stopped.

    Parameters
    ----------
    config : RunConfig
        The run. ``config.output`` holds its checkpoints; the draw of clips after
        resuming is the one the run would have seen, to the bit.
    report : callable, optional
        Receives every record that is also written to the log: losses with rate, speed
        and ``eta_s``, validation figures.

    Returns
    -------
    Path
        ``best.pt`` in the output folder: the state dict of the best validated weights.

    Notes
    -----
    Started by ``torchrun`` every process takes its share of each batch and gradients
    are averaged (gloo on CPU, nccl on GPU).
    """
    with processes(config.device) as (rank, world):
        # Not bound to a name: what refers to the process group must end before it does.
        Trainer(config, rank=rank, world=world, report=report).run()
    return Path(config.output) / BEST


def main(path: str) -> Path:
    """Train by a TOML file."""
    return train(load_config(path))


class Trainer:
    """One process of a run.

    Parameters
    ----------
    config : RunConfig
        The run.
    rank, world : int
        This process and the number of processes.
    report : callable, optional
        See `train`.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        rank: int = 0,
        world: int = 1,
        report: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        fewest = min(phase.clips for phase in config.phases)
        if fewest < world:
            raise ArgumentError(
                f"phases: {fewest} clips per step, expected one per process: {world}"
            )
        self.config, self.rank, self.world = config, rank, world
        self._report = report
        self._stop = False
        self._folder = Path(config.output)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.device = pick_device(config.device, rank)
        torch.manual_seed(config.seed)
        self.recipe = recipe_of(config)
        self.objective = self.recipe.objective(initial_model(config)).to(self.device)
        self.optimizer = Muon(
            self._groups(),
            lr=0.0,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
            fused=True,
        )
        self._batches = Batches(self.draw_clips, config.times)
        self.average = Average(self.objective, config.optimizer.ema)
        self.progress = self.recipe.progress()
        self._resume()
        self._step_module: torch.nn.Module = self.objective
        if world > 1:
            self._step_module = DistributedDataParallel(
                self.objective,
                find_unused_parameters=self.recipe.partial,
                gradient_as_bucket_view=True,
            )
        with first_alone(rank, world):
            self.bank = self.recipe.load("train", self.device)
        if self.progress.step == 0:
            new = new_parameters(config, self.objective.get_submodule("model"))
            self.recipe.begin(self.objective, self.bank, new)
            self.average = Average(self.objective, config.optimizer.ema)
        self._referee = Referee(config, self.device) if rank == 0 else None

    def _groups(self) -> list[dict[str, Any]]:
        """Sort the parameters by how they learn."""
        factors = self.recipe.factors()
        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        orthogonal = self.config.optimizer.orthogonal
        hidden = self.recipe.hidden if orthogonal else ()
        if orthogonal and not hidden:
            raise ArgumentError(
                f"optimizer.orthogonal: {orthogonal:g}, expected 0: {self.config.recipe} has no "
                "matrices that take such steps"
            )
        for name, parameter in self.objective.named_parameters():
            inner = name.removeprefix("model.")
            factor = next((f for start, f in factors.items() if inner.startswith(start)), 1.0)
            matrix = parameter.dim() == 2 and inner.startswith(hidden)  # noqa: PLR2004
            groups.setdefault((factor, matrix), []).append(parameter)
        return [
            {"params": group, "factor": factor, "orthogonal": orthogonal * matrix}
            for (factor, matrix), group in groups.items()
        ]

    @property
    def share(self) -> float:
        """Part of the budget that is spent, 0 to 1."""
        config, progress = self.config, self.progress
        spent = [0.0]
        if config.minutes > 0:
            spent.append(progress.elapsed_s / (60 * config.minutes))
        if config.audio_seconds > 0:
            spent.append(progress.audio_seconds / config.audio_seconds)
        return min(1.0, max(spent))

    def run(self) -> None:
        """Step until the budget is spent or the process is told to end."""
        with signals_to(self._ask_to_stop):
            if self._referee and self.progress.step == 0:
                self._emit({"kind": "start", "config": to_table(self.config)})
                self._referee.anchors(self._emit)
                self._look()
            self._train()
            if self.share >= 1 and self.progress.validated_share < 1:
                self._look()
            if self._referee:
                self.save()

    def _train(self) -> None:
        saved = clock = time.monotonic()
        meter = _Meter()
        share, stop = self._agree()
        while share < 1 and not stop:
            meter.add(self._step(share))
            if self._referee:
                if self.progress.step % LOG_EVERY == 0 or self.progress.step == 1:
                    self._emit({"kind": "train", **meter.take(), **self._outlook(meter)})
                since = share - self.progress.validated_share
                if since >= self.config.validation.every_share:
                    self._look()
                if time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                    self.save()
                    saved = time.monotonic()
            now = time.monotonic()
            self.progress.elapsed_s += now - clock
            clock = now
            share, stop = self._agree()

    def _ask_to_stop(self) -> None:
        self._stop = True

    def _look(self) -> None:
        if self._referee:
            self.progress.validated_share = self.share
            self._referee.look(self.objective, self.average, self.progress, self._emit)

    def draw_clips(self, step: int, phase: Phase) -> Any:  # noqa: ANN401 - the recipe's own
        """Draw this process's part of a step's batch; a pure function of its arguments."""
        count = phase.clips // self.world + (self.rank < phase.clips % self.world)
        draw = Draw(self.config.seed, step, self.rank, device=self.device)
        return self.recipe.draw(self.bank, draw, step=step, clips=count, seconds=phase.seconds)

    def save(self) -> None:
        """Write ``last.pt``: everything that resuming needs."""
        save_checkpoint(
            self._folder / LAST,
            {
                "objective": self.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.values,
                "average_updates": self.average.updates,
                "progress": vars(self.progress),
                "config": to_table(self.config),
            },
        )

    def _step(self, share: float) -> dict[str, float]:
        config, progress = self.config, self.progress
        phase = config.phase_at(share)
        with torch.no_grad():
            clips = self._batches.at(progress.step, phase)
        bf16 = config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            terms = self._step_module(clips, **self.recipe.options(progress, phase, share))
        self.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        parameters = list(self.objective.parameters())
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.clip_norm)
        # The norm is of averaged gradients, so all processes skip the same steps.
        if torch.isfinite(norm):
            rate = learning_rate(config, progress.step, share)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            self.optimizer.step()
            self.average.update(self.objective)
        progress.step += 1
        progress.audio_seconds += phase.clips * self.recipe.seconds(clips)
        return {name: float(value.detach()) for name, value in terms.items()} | {
            "norm": float(norm)
        }

    def _agree(self) -> tuple[float, bool]:
        """Let all processes go by the first one's clock, signals and loss weight."""
        if self.world == 1:
            return self.share, self._stop
        mine = [self.share, float(self._stop), self.progress.over_suppression]
        values = torch.tensor(mine, dtype=torch.float64, device=self.device)
        distributed.broadcast(values, 0)
        share, stop, self.progress.over_suppression = values.tolist()
        return share, bool(stop)

    def _outlook(self, meter: _Meter) -> dict[str, float]:
        share = self.share
        left = self.progress.elapsed_s * (1 - share) / share if share else math.nan
        rate = learning_rate(self.config, self.progress.step, share)
        return {"rate": rate, "eta_s": left, **meter.speed(self)}

    def _emit(self, record: dict[str, Any]) -> None:
        progress = self.progress
        record = {
            **record,
            "step": progress.step,
            "audio_seconds": progress.audio_seconds,
            "elapsed_s": round(progress.elapsed_s, 1),
            "over_suppression": progress.over_suppression,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        append_log(self._folder / LOG, record)
        if self._report:
            self._report(record)

    def _resume(self) -> None:
        path = self._folder / LAST
        if not path.exists():
            if self.rank == 0:
                (self._folder / LOG).unlink(missing_ok=True)
            return
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.objective.load_state_dict(saved["objective"])
        # How parameters learn is told by the configuration of today.
        today = [{k: g[k] for k in ("factor", "orthogonal")} for g in self.optimizer.param_groups]
        self.optimizer.load_state_dict(saved["optimizer"])
        for group, own in zip(self.optimizer.param_groups, today, strict=True):
            group.update(own)
        for name, value in saved["average"].items():
            self.average.values[name].copy_(value)
        self.average.updates = saved["average_updates"]
        self.progress = Progress(**saved["progress"])
        # A larger budget of today: what was its end is on the way now.
        self.progress.validated_share = min(self.progress.validated_share, self.share)
        if self.rank == 0:
            trim_log(self._folder / LOG, self.progress.step)
        _log.info("resumed %s at step %d", path, self.progress.step)


class _Meter:
    """Mean of the loss terms, and speed, between two log lines."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0
        self._began = time.monotonic()
        self._audio = -1.0

    def add(self, terms: dict[str, float]) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def take(self) -> dict[str, float]:
        means = {name: value / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means

    def speed(self, trainer: Trainer) -> dict[str, float]:
        now, audio = time.monotonic(), trainer.progress.audio_seconds
        rate = (audio - self._audio) / (now - self._began) if self._audio >= 0 else math.nan
        self._began, self._audio = now, audio
        return {"audio_per_s": rate}


def learning_rate(config: RunConfig, step: int, share: float) -> float:
    """Warm up over steps, hold, then fall to 1 % over the last part of the budget."""
    settings = config.optimizer
    warm = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    left = min(1.0, (1 - share) / settings.decay_share) if settings.decay_share > 0 else 1.0
    return settings.rate * config.phase_at(share).rate * warm * max(left, 0.01)
