"""The training loop: one process, or several under PyTorch's launcher."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from voxhop.training.bank import SoundBank, load_bank
from voxhop.training.config import TrainingConfig, load_config, to_table
from voxhop.training.draw import Draw
from voxhop.training.losses import Objective
from voxhop.training.simulate import HOP, draw_scenarios, simulate
from voxhop.training.start import best_content, initial_model
from voxhop.training.state import Average, Progress, append_log, save_checkpoint, trim_log
from voxhop.training.validate import (
    CONSTANT_GAINS,
    Enhanced,
    build_clips,
    constant_gain,
    run_model,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voxhop.training.config import Phase
    from voxhop.training.corpus import Split
    from voxhop.training.simulate import Clips, Scenario

SAMPLE_RATE = 16000
LOG_EVERY = 25
LAST = "last.pt"
BEST = "best.pt"
LOG = "log.jsonl"
_OVER_SUPPRESSION_RANGE = (0.5, 6.0)

_log = logging.getLogger(__name__)


def train(
    config: TrainingConfig, *, report: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    """Train until the budget is spent; go on where a killed run stopped.

    Parameters
    ----------
    config : TrainingConfig
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
    with _processes() as (rank, world):
        trainer = Trainer(config, rank=rank, world=world, report=report)
        trainer.run()
    return Path(config.output) / BEST


def main(path: str) -> Path:
    """Train by a TOML file."""
    return train(load_config(path))


class Trainer:
    """One process of a run.

    Parameters
    ----------
    config : TrainingConfig
        The run.
    rank, world : int
        This process and the number of processes.
    report : callable, optional
        See `train`.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        rank: int = 0,
        world: int = 1,
        report: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.config, self.rank, self.world = config, rank, world
        self._report = report
        self._stop = False
        self._folder = Path(config.output)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.device = _device(config.device, rank)
        torch.manual_seed(config.seed)
        model = initial_model(config)
        self.objective = Objective(model, config.loss).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.objective.parameters(),
            lr=0.0,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
        )
        self.average = Average(self.objective, config.optimizer.ema)
        self.progress = Progress(over_suppression=config.loss.over_suppression)
        self._resume()
        self._step_module: torch.nn.Module = self.objective
        if world > 1:
            self._step_module = DistributedDataParallel(self.objective)
        self.bank = self._load_bank("train")
        self._validation = self._load_validation() if rank == 0 else {}

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
        restore = self._catch_signals()
        try:
            self._run()
        finally:
            restore()

    def _run(self) -> None:
        if self.rank == 0 and self.progress.step == 0:
            self._emit({"kind": "start", "config": to_table(self.config)})
            for gain in CONSTANT_GAINS:
                figures = validate(constant_gain(gain), self._validation)
                self._emit({"kind": "anchor", "gain": gain, **figures})
            self._validate()
        saved = time.monotonic()
        meter = _Meter()
        share, stop = self._agree()
        while share < 1 and not stop:
            began = time.monotonic()
            terms = self._step(share)
            meter.add(terms)
            if self.rank == 0 and (self.progress.step % LOG_EVERY == 0 or self.progress.step == 1):
                self._emit({"kind": "train", **meter.take(), **self._speed(meter)})
            self.progress.elapsed_s += time.monotonic() - began
            due = share - self.progress.validated_share >= self.config.validation.every_share
            if self.rank == 0 and due:
                began = time.monotonic()
                self._validate()
                self.progress.elapsed_s += time.monotonic() - began
            if self.rank == 0 and time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
            share, stop = self._agree()
        if self.rank == 0:
            if share >= 1 and self.progress.validated_share < 1:
                self._validate()
            self.save()

    def draw_clips(self, step: int, phase: Phase) -> Clips:
        """Draw this process's part of a step's batch; a pure function of its arguments."""
        count = phase.clips // self.world + (self.rank < phase.clips % self.world)
        samples = int(phase.seconds * SAMPLE_RATE) // HOP * HOP
        draw = Draw(self.config.seed, step, self.rank, device=self.device)
        simulation = self.config.simulation
        scenario = draw_scenarios(simulation, draw, max(count, 1))
        return simulate(self.bank, simulation, draw, samples=samples, scenario=scenario)

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
            clips = self.draw_clips(progress.step, phase)
        bf16 = config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            terms = self._step_module(
                clips,
                progress.over_suppression,
                delay_factor=phase.delay,
                deep_factor=phase.deep,
                align_only=phase.align_only,
            )
        self.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        parameters = list(self.objective.parameters())
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.clip_norm)
        # The norm is of averaged gradients, so all processes skip the same steps.
        if torch.isfinite(norm):
            rate = learning_rate(config, progress.step, share)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.average.update(self.objective)
        progress.step += 1
        progress.audio_seconds += phase.clips * clips.mic.shape[1] / SAMPLE_RATE
        return {name: float(value.detach()) for name, value in terms.items()} | {
            "norm": float(norm)
        }

    def _validate(self) -> None:
        """Score raw and averaged weights, keep the better, steer the one-sided weight."""
        progress, limits = self.progress, self.config.validation
        progress.validated_share = self.share
        best: dict[str, float] = {}
        bf16 = self.config.precision == "bf16"

        def enhance(clips: Clips) -> Enhanced:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                return run_model(self.objective.model, clips)

        self.objective.eval()
        for weights in ("raw", "ema"):
            if weights == "ema":
                self.average.swap(self.objective)
            figures = validate(enhance, self._validation)
            self._emit({"kind": "valid", "weights": weights, **figures})
            if figures["score"] > progress.best_score:
                progress.best_score = figures["score"]
                content = best_content(self.objective.model, self.config, figures)
                save_checkpoint(self._folder / BEST, content)
            if weights == "ema":
                self.average.swap(self.objective)
                best = figures
        self.objective.train()
        level = (best["dt_level"] + best["ne_level"]) / 2
        factor = 1.5 if level < limits.quiet_db else 1 / 1.5 if level > limits.loud_db else 1.0
        low, high = _OVER_SUPPRESSION_RANGE
        if progress.step:
            progress.over_suppression = min(max(progress.over_suppression * factor, low), high)

    def _agree(self) -> tuple[float, bool]:
        """Let all processes go by the first one's clock, signals and loss weight."""
        if self.world == 1:
            return self.share, self._stop
        mine = [self.share, float(self._stop), self.progress.over_suppression]
        values = torch.tensor(mine, dtype=torch.float64, device=self.device)
        distributed.broadcast(values, 0)
        share, stop, self.progress.over_suppression = values.tolist()
        return share, bool(stop)

    def _speed(self, meter: _Meter) -> dict[str, float]:
        share = self.share
        left = self.progress.elapsed_s * (1 - share) / share if share else math.nan
        return {"rate": self.optimizer.param_groups[0]["lr"], "eta_s": left, **meter.speed(self)}

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
        self.optimizer.load_state_dict(saved["optimizer"])
        for name, value in saved["average"].items():
            self.average.values[name].copy_(value)
        self.average.updates = saved["average_updates"]
        self.progress = Progress(**saved["progress"])
        if self.rank == 0:
            trim_log(self._folder / LOG, self.progress.step)
        _log.info("resumed %s at step %d", path, self.progress.step)

    def _load_bank(self, split: Split) -> SoundBank:
        if self.world > 1 and self.rank > 0:
            distributed.barrier()  # the first process packs, the others map its files
        bank = load_bank(self.config.data, split, self.config.rooms, seed=self.config.seed)
        if self.world > 1 and self.rank == 0:
            distributed.barrier()
        return bank.to(self.device)

    def _load_validation(self) -> dict[Scenario, Clips]:
        limits = self.config.validation
        bank = load_bank(self.config.data, "valid", self.config.rooms, seed=self.config.seed)
        bank = bank.to(self.device)
        return build_clips(
            bank,
            self.config.simulation,
            per_scenario=limits.per_scenario,
            seconds=limits.seconds,
            seed=limits.seed,
        )

    def _catch_signals(self) -> Callable[[], None]:
        """End at the next step, with a checkpoint, on SIGTERM and SIGINT."""

        def ask(_signal: int, _frame: object) -> None:
            self._stop = True

        try:
            before = {s: signal.signal(s, ask) for s in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not in the main thread: the caller handles signals
            return lambda: None

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore


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


def learning_rate(config: TrainingConfig, step: int, share: float) -> float:
    """Warm up over steps, hold, then fall to 1 % over the last part of the budget."""
    settings = config.optimizer
    warm = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    left = min(1.0, (1 - share) / settings.decay_share) if settings.decay_share > 0 else 1.0
    return settings.rate * warm * max(left, 0.01)


def _device(name: str, rank: int) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", rank % torch.cuda.device_count())
    return torch.device("cpu")


@contextlib.contextmanager
def _processes() -> Iterator[tuple[int, int]]:
    """Join the process group that ``torchrun`` describes, if it started us."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1
        return
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield distributed.get_rank(), world
    finally:
        distributed.destroy_process_group()
