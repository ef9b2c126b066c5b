"""A run of each model."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from voxhop.errors import ArgumentError
from voxhop.reference import LocalVQEConfig, SEFlowConfig, StreamFMConfig
from voxhop.training.config.run import RunConfig
from voxhop.training.localvqe.objective import LossConfig
from voxhop.training.losses.discriminators import DiscriminatorConfig
from voxhop.training.seflow.objective import SEFlowLossConfig
from voxhop.training.simulation.degrade import DegradationConfig
from voxhop.training.simulation.simulate import SimulationConfig
from voxhop.training.simulation.warm import WarmConfig
from voxhop.training.streamfm.clips import CODEC_KBPS, DamageConfig
from voxhop.training.sublime.clips import SublimeDataConfig
from voxhop.training.sublime.objective import AnnealingConfig, SublimeLossConfig
from voxhop.training.sublime.shape import SublimeShape


@dataclass(frozen=True)
class TrainingConfig(RunConfig):
    """A run of LocalVQE.

    Attributes
    ----------
    warm
        What a canceller in front of the network knows when a clip begins.
    """

    recipe: Literal["localvqe"] = "localvqe"
    name: str = "voxhop-localvqe"
    model: LocalVQEConfig = field(default_factory=LocalVQEConfig)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    warm: WarmConfig = field(default_factory=WarmConfig)

    def __post_init__(self) -> None:
        """Refuse to warm what is not there."""
        super().__post_init__()
        if self.warm.samples and not (self.model.echo_partitions or self.model.cancel_tones):
            raise ArgumentError(
                "warm.seconds: expected 0 without model.echo_partitions or model.cancel_tones"
            )


@dataclass(frozen=True)
class SEFlowTrainingConfig(RunConfig):
    """A run of SEFlow.

    Attributes
    ----------
    rates : tuple of int
        Sampling rates of the steps, in turn; one that stands twice comes twice.
    band_rate : float
        Factor on the learning rate of what stands before and after the blocks, which begins as
        what carries bins through: fast steps would shake that apart.
    discriminators
        What judges in phases with `adversarial`.
    """

    model_defaults = MappingProxyType(
        {
            "depth": 6,
            "n_heads": 4,
            "head_dim": 16,
            "sample_rates": (8000, 16000, 24000, 48000),
            "encoder_rms_eps": 400.0,
        }
    )

    recipe: Literal["seflow"] = "seflow"
    name: str = "voxhop-seflow"
    precision: Literal["bf16", "f32"] = "f32"  # of the blocks' layers; rotations are complex
    rates: tuple[int, ...] = (16000, 48000, 16000, 24000, 16000, 8000)
    band_rate: float = 0.5
    model: SEFlowConfig = field(
        default_factory=lambda: SEFlowConfig(**SEFlowTrainingConfig.model_defaults)
    )
    simulation: DegradationConfig = field(default_factory=DegradationConfig)
    loss: SEFlowLossConfig = field(default_factory=SEFlowLossConfig)
    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)

    def __post_init__(self) -> None:
        """Refuse rates that the model has no bands for."""
        super().__post_init__()
        for rate in self.rates:
            self.model.bands_at(rate)
        if not self.rates:
            raise ArgumentError("rates: empty, expected at least one of the model's rates")


@dataclass(frozen=True)
class StreamFMTrainingConfig(RunConfig):
    """A run of Stream.FM, for the task that its model says.

    Attributes
    ----------
    simulation, damage
        Noise and rooms, of which a task keeps its own; what else is done to clips.
    sigma_clips, settling_batches : int
        Clips that the noise per band is measured on (bandwidth extension); batches that settle
        the norms before weights are scored and kept.
    teacher_solver : str
        What phases with `calls` learn to give; files say the model's `default_solver`.
    keep, levels, texture : float
        In phases with `sound`: weights beside the mel spectra's. The squared error of the
        compressed spectrum holds in place what was there; levels bin by bin make what is new less
        rough; texture, how uneven they are, less smooth.
    adversarial : float
        In phases of that name: weight of being taken for a recording, and alike on the way there.
    discriminators
        What judges then.
    latest : float
        Times of the flow are drawn below it. The error of a velocity is largest at the end,
        where no solver asks for it.
    """

    recipe: Literal["streamfm"] = "streamfm"
    name: str = "voxhop-streamfm"
    precision: Literal["bf16", "f32"] = "f32"  # of the convolutions; spectra are complex
    model: StreamFMConfig = field(default_factory=StreamFMConfig)
    simulation: DegradationConfig = field(default_factory=DegradationConfig)
    damage: DamageConfig = field(default_factory=DamageConfig)
    sigma_clips: int = 512
    settling_batches: int = 40
    teacher_solver: str = "euler5"
    keep: float = 1.0
    levels: float = 0.05
    texture: float = 0.0
    adversarial: float = 0.1
    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    latest: float = 1.0

    def __post_init__(self) -> None:
        """Refuse phases that do not fit each other or the model, and values out of range."""
        super().__post_init__()
        phases, model, kbps = self.phases, self.model, self.damage.kbps
        last, solver = phases[-1], model.default_solver
        distils = {phase.distils for phase in phases}
        tableaus = {phase.tableau for phase in phases}
        predicts = any(phase.predict for phase in phases)
        checks = (
            (
                all(phase.calls or not phase.sound for phase in phases),
                "phases: sound, expected with the calls that make it",
            ),
            (
                not self.simulation.taught,
                f"simulation.taught: {self.simulation.taught:g}, expected 0 for a restorer",
            ),
            (
                all(phase.sound or not phase.adversarial for phase in phases),
                "phases: adversarial, expected with the sound that is judged",
            ),
            (
                not last.sound or solver == f"euler{last.calls}",
                (
                    f"model.default_solver: {solver!r}, expected what the last phase learns by: "
                    f"'euler{last.calls}'"
                ),
            ),
            (
                len(distils) == 1 and (self.initial or True not in distils),
                "phases: calls, expected in all of them, with initial weights",
            ),
            (
                tableaus == {bool(model.learned_from)} and (self.initial or True not in tableaus),
                (
                    "phases: tableau, expected in all, with initial weights and learned_from in "
                    "the model, or in none"
                ),
            ),
            (
                predicts == (model.predictor and True not in distils | tableaus),
                "phases: predict, expected in one where a predictor is to learn",
            ),
            (
                (model.task == "codec_pf") == bool(self.damage.codec),
                "damage.codec: expected a codec's model for task 'codec_pf' alone",
            ),
            (
                kbps and set(kbps) <= set(CODEC_KBPS),
                f"damage.kbps: {list(kbps)}, expected some of {list(CODEC_KBPS)}",
            ),
            (
                min(self.keep, self.levels, self.texture, self.adversarial) >= 0,
                (
                    f"keep, levels, texture, adversarial: {self.keep}, {self.levels}, "
                    f"{self.texture}, {self.adversarial}, expected 0 or more"
                ),
            ),
            (0 < self.latest <= 1, f"latest: {self.latest}, expected above 0 and at most 1"),
            (
                self.sigma_clips > 0 and self.settling_batches > 0,
                "sigma_clips, settling_batches: expected 1 or more",
            ),
        )
        for good, message in checks:
            if not good:
                raise ArgumentError(message)


@dataclass(frozen=True)
class SublimeTrainingConfig(RunConfig):
    """A run of Sublime.

    Attributes
    ----------
    track : int
        1 trains encoder, quantiser and vocoder; 2 the front-end that takes the encoder's place
        for the codec in `initial`.
    encoder_rate : float
        Factor on the learning rate of encoder and keys.
    """

    recipe: Literal["sublime"] = "sublime"
    name: str = "voxhop-sublime"
    precision: Literal["bf16", "f32"] = "f32"  # of the discriminators; codes would hop about
    track: Literal[1, 2] = 1
    encoder_rate: float = 0.1
    model: SublimeShape = field(default_factory=SublimeShape)
    simulation: SublimeDataConfig = field(default_factory=SublimeDataConfig)
    loss: SublimeLossConfig = field(default_factory=SublimeLossConfig)
    annealing: AnnealingConfig = field(default_factory=AnnealingConfig)
    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)

    def __post_init__(self) -> None:
        """Refuse a track without its part, and a precision that is not there."""
        super().__post_init__()
        if self.track == 2 and not self.model.frontend:  # noqa: PLR2004 - its name
            raise ArgumentError("model.frontend: false, expected true for track 2")
        if self.precision != "f32" and not self.judged:
            raise ArgumentError("precision: 'bf16', expected 'f32' where nothing is adversarial")


CONFIGS: dict[str, type[RunConfig]] = {
    "localvqe": TrainingConfig,
    "seflow": SEFlowTrainingConfig,
    "streamfm": StreamFMTrainingConfig,
    "sublime": SublimeTrainingConfig,
}
"""What a configuration file holds, by its `recipe`; a file without one is LocalVQE's."""
