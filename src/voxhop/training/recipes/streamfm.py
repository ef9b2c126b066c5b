"""Stream.FM's part of training: one task per model, flow matching after a predictor."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import distributed

from voxhop.errors import ArgumentError
from voxhop.export.streamfm import read_streamfm, write_streamfm
from voxhop.export.sublime import read_sublime
from voxhop.reference import StreamFM
from voxhop.reference.decouple import decoupled_state
from voxhop.reference.solvers import euler
from voxhop.reference.streamfm.blocks import unfolded_state
from voxhop.training.config import StreamFMTrainingConfig
from voxhop.training.draw import Draw
from voxhop.training.recipes.recipe import Figures, Panel, Recipe
from voxhop.training.simulation.degrade import bank_rate
from voxhop.training.sounds.bank import load_bank
from voxhop.training.streamfm.clips import draw_restoring
from voxhop.training.streamfm.judge import TIMES, StreamFMJudge
from voxhop.training.streamfm.objective import StreamFMObjective, fit_spread, measure_sigma

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    import torch
    from torch import Tensor, nn

    from voxhop.export.model_file import DataType
    from voxhop.models import ModelInfo
    from voxhop.reference import Sublime
    from voxhop.training.config import Phase
    from voxhop.training.sounds.bank import SoundBank
    from voxhop.training.sounds.corpus import Split
    from voxhop.training.state import Progress
    from voxhop.training.streamfm.clips import Restoring

_SIGMA_KEY, _SETTLING_KEY = 2, 3
"""Tell the draws that measure the noise and settle the norms from those of steps."""


class StreamFMRecipe(Recipe[StreamFMTrainingConfig]):
    """See `Recipe`."""

    losses = (
        *("loss", "flow", "wave", "spectral", "mel", "distance", "levels", "texture"),
        *("adversarial", "matching", "judges"),
    )
    panels = (
        Panel("less log-spectral distance, %", {"score": "than the flow's start"}),
        Panel("log-spectral distance, dB", {"lsd": "restored", "lsd_start": "start"}),
        Panel("error of the velocity", {"flow": "mean over times"}),
        Panel("error of the velocity at", {f"flow_{tau:g}": f"{tau:g}" for tau in TIMES}),
        Panel("SI-SDR, dB", {"si_sdr": "restored"}),
    )

    _codec: Sublime | None = None  # what a post-filter hears

    @property
    def partial(self) -> bool:
        """Matching the flow leaves out what tells its noise, and some phases discriminators."""
        phases = self.config.phases
        matched = any(not (phase.calls or phase.tableau) for phase in phases)
        judged = {phase.adversarial for phase in phases}
        return (bool(self.config.model.spread_bands) and matched) or len(judged) > 1

    def model(self) -> StreamFM:
        """Return a model with random weights, norms not folded.

        What learned by the sound of some calls knows no other times of the flow, so no other
        solver goes with it.
        """
        model, last = StreamFM(self.config.model), self.config.phases[-1]
        if last.sound:
            model.tableaus = {self.config.model.default_solver: euler(last.calls)}
        return model

    def objective(self, model: nn.Module) -> StreamFMObjective:
        """Return the losses of flow and predictor."""
        assert isinstance(model, StreamFM)  # noqa: S101 - made by `model`
        if model.pred is not None and distributed.is_initialized():
            # A step moves one of two networks, which gradients between processes do not know.
            raise ArgumentError("model: a predictor trains in one process, expected no others")
        teacher = None
        if any(phase.distils for phase in self.config.phases):
            # As the run begins, whatever it resumes to.
            teacher = (copy.deepcopy(model), self.config.teacher_solver)
            if teacher[1] not in model.solvers():
                known = ", ".join(model.solvers())
                raise ArgumentError(f"teacher_solver: {teacher[1]!r}, expected one of {known}")
        c = self.config
        return StreamFMObjective(
            model,
            teacher,
            keep=c.keep,
            levels=c.levels,
            texture=c.texture,
            adversarial=c.adversarial,
            discriminators=c.discriminators if c.judged else None,
        )

    def load(self, split: Split, device: torch.device) -> SoundBank:
        """Load recordings and rooms."""
        c = self.config
        rate = bank_rate(c.model.sample_rate)
        if c.damage.codec:
            self._codec = read_sublime(Path(c.damage.codec)).eval().to(device)
            rate = bank_rate(self._codec.config.sample_rate)
        return load_bank(c.data, split, c.rooms, seed=c.seed, sample_rate=rate).to(device)

    def begin(self, objective: nn.Module, bank: SoundBank, new: AbstractSet[str]) -> None:
        """Measure how much noise the flow starts with: per band, or told from the spectrum."""
        assert isinstance(objective, StreamFMObjective)  # noqa: S101 - made by `objective`
        c = self.config
        # A teacher's noise is what its pupil learns with, and a tableau with that of its network.
        given = objective.teacher is not None or objective.model.learned is not None
        if objective.model.spread is not None:
            if "spread.fc1.weight" not in new:
                return
        elif c.model.task != "bwe" or given:
            return
        device = bank.rooms.device
        batches = (
            self._drawn(bank, Draw(c.seed, k, _SIGMA_KEY, device=device), 8, 2.0)
            for k in range(-(-c.sigma_clips // 8))
        )
        fit = measure_sigma if objective.model.spread is None else fit_spread
        fit(objective.model, batches)

    def draw(
        self, bank: SoundBank, draw: Draw, *, step: int, clips: int, seconds: float
    ) -> Restoring:
        """Draw clips, and the noise and times of the flow."""
        del step  # `draw` depends on it
        return self._drawn(bank, draw, clips, seconds)

    def seconds(self, batch: Restoring) -> float:
        """Return the length of a clip."""
        return batch.seconds

    def options(self, progress: Progress, phase: Phase, share: float) -> dict[str, Any]:
        """Say which of the two networks learns, and whether it learns from a teacher."""
        del progress, share
        return {
            "predict": phase.predict,
            "calls": phase.calls,
            "sound": phase.sound,
            "tableau": phase.tableau,
            "settled": phase.settled,
            "adversarial": phase.adversarial,
        }

    def judge(self, device: torch.device) -> StreamFMJudge:
        """Return the validation of this run."""
        c, limits = self.config, self.config.validation
        key = Draw(limits.seed, 0, device=device)
        clips = self._drawn(self.load("valid", device), key, limits.per_scenario, limits.seconds)
        train, phase = self.load("train", device), c.phases[-1]
        batches = 0 if phase.keeps_norms else c.settling_batches
        settling = [
            self._drawn(
                train, Draw(c.seed, k, _SETTLING_KEY, device=device), phase.clips, phase.seconds
            )
            for k in range(batches)
        ]
        return StreamFMJudge(clips, settling, c.model.default_solver)

    def line(self, record: dict[str, Any]) -> str:
        """Put a record into words."""
        if record["kind"] == "train":
            return ", ".join(f"{n} {record[n]:.4f}" for n in self.losses[1:] if n in record)
        if record["kind"] == "anchor":
            return (
                f"as it comes in: log-spectral distance {record['lsd_input']:.2f} dB, "
                f"SI-SDR {record['si_sdr_input']:.1f} dB"
            )
        return (
            f"score {record['score']:.1f} %, log-spectral distance {record['lsd']:.2f} dB "
            f"(start {record['lsd_start']:.2f}), SI-SDR {record['si_sdr']:.1f} dB, "
            f"flow {record['flow']:.4f}"
        )

    def described(self, info: ModelInfo, trained: int) -> str:
        """Say what the model is."""
        c = self.config.model
        rank = f" of rank {c.decoupled_rank}" if c.decoupled_rank else ""
        predictor = ", a predictor before it" if c.predictor else ""
        return f"""\
Restoration of speech without a reference, task `{c.task}`, at {c.sample_rate / 1000:g} kHz, hops of
{1000 * c.hop_length / c.sample_rate:g} ms. Stream.FM with {c.nf} channels{rank}{predictor}, solver
`{c.default_solver}`. {trained:,} trained parameters, {info.macs_per_hop / 1e6:.1f} million
multiply-accumulates per hop, all calls of the network together."""

    def in_words(self, figures: Figures) -> list[str]:
        """Return a line for every figure that is there."""
        titles = {
            "score": "log-spectral distance below that of the flow's start: {:.1f} %",
            "lsd": "log-spectral distance: {:.2f} dB",
            "lsd_start": "of the flow's start: {:.2f} dB",
            "si_sdr": "SI-SDR: {:.1f} dB",
            "flow": "error of the velocity: {:.4f}",
        }
        return [text.format(figures[key]) for key, text in titles.items() if key in figures]

    def _drawn(self, bank: SoundBank, draw: Draw, clips: int, seconds: float) -> Restoring:
        c = self.config
        batch = draw_restoring(
            bank,
            c.simulation,
            c.damage,
            draw,
            c.model,
            clips=clips,
            seconds=seconds,
            codec=self._codec,
        )
        return batch._replace(tau=batch.tau * c.latest)

    @classmethod
    def read(cls, path: Path) -> StreamFM:
        """Read a model file; its norms are folded."""
        return read_streamfm(path)

    @classmethod
    def trainable(cls, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights as they are: `fitted` unfolds norms."""
        return weights

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Unfold a model file's norms, and decouple convolutions where the run's are of a rank.

        Raises
        ------
        ArgumentError
            For folded norms in a run that would give them statistics.
        """
        own = self.model().state_dict()
        if any(name.endswith("norm0.scale") for name in weights):
            if not all(phase.keeps_norms for phase in self.config.phases):
                raise ArgumentError(
                    "initial: norms are folded in a model file, expected a best.pt or last.pt, or "
                    "settled = true in all phases"
                )
            weights = unfolded_state(weights, own)
        return decoupled_state(weights, own) if self.config.model.decoupled_rank else weights

    @classmethod
    def write(
        cls, model: nn.Module, path: Path, *, dtype: DataType, metadata: Mapping[str, Any]
    ) -> None:
        """Write a model file, norms folded by their running statistics."""
        assert isinstance(model, StreamFM)  # noqa: S101 - made by `model` or `read`
        write_streamfm(model, path, dtype=dtype, metadata=metadata)
