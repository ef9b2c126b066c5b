"""What every run has, whatever model it trains."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - hints of fields are looked up
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from voxhop.errors import ArgumentError
from voxhop.training.sounds.bank import DataConfig
from voxhop.training.sounds.rooms import RoomConfig


@dataclass(frozen=True)
class Phase:
    """One stretch of the run.

    Attributes
    ----------
    share : float
        Part of the budget; the shares of all phases sum to 1.
    clips : int
        Clips per step, over all processes.
    seconds : float
        Length of a clip.
    rate : float
        Factor on the learning rate.
    align_only : bool
        LocalVQE: train encoders and alignment on the delay alone.
    predict : bool
        Stream.FM: train the predictor; the flow, and that alone, in the other phases.
    calls : int
        Stream.FM: learn to give with so many calls what the first weights give with more.
    sound : bool
        Stream.FM: with so many calls, learn by how the result sounds instead.
    tableau : bool
        Stream.FM: the learned tableau alone learns, by how its result sounds.
    settled : bool
        Stream.FM: norms keep the statistics that they have, so steps may be of few clips.
    delay, deep : float
        LocalVQE: factors on the loss weights of the same names.
    adversarial : bool
        Discriminators judge: Sublime's vocoder, while the encoder is left as it is, the sound of
        Stream.FM, and of SEFlow's full network.
    frozen : bool
        Sublime: the encoder is left as it is without them, too.
    """

    share: float = 1.0
    clips: int = 16
    seconds: float = 2.0
    rate: float = 1.0
    align_only: bool = False
    predict: bool = False
    calls: int = 0
    sound: bool = False
    tableau: bool = False
    settled: bool = False
    delay: float = 1.0
    deep: float = 1.0
    adversarial: bool = False
    frozen: bool = False

    @property
    def distils(self) -> bool:
        """Whether the run's first weights teach it."""
        return self.calls > 0 and not self.sound

    @property
    def keeps_norms(self) -> bool:
        """Whether norms keep the statistics that they have."""
        return self.settled or self.tableau or self.distils

    @property
    def vocoder_only(self) -> bool:
        """Whether codes are given, and only what they sound like is trained."""
        return self.adversarial or self.frozen


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, its rate over the budget, and the averaged weights.

    Attributes
    ----------
    rate : float
        Peak learning rate; scale it with the square root of the batch.
    warmup_steps : int
        Linear rise from zero.
    decay_share : float
        Last part of the budget, over which the rate falls linearly to 1 %.
    weight_decay, clip_norm : float
        Decoupled decay; gradient norm above which gradients are scaled down.
    betas : tuple of float
        Moment decays.
    ema : float
        Decay of the averaged weights, reached by a ramp.
    orthogonal : float
        SEFlow: matrices inside the blocks take steps whose singular values are all this times the
        rate (Muon). 0: AdamW's, as all other parameters.
    """

    rate: float = 1e-3
    warmup_steps: int = 100
    decay_share: float = 0.35
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    betas: tuple[float, float] = (0.9, 0.98)
    ema: float = 0.998
    orthogonal: float = 0.0


@dataclass(frozen=True)
class ValidationConfig:
    """The fixed set, and how often it is run.

    Attributes
    ----------
    every_share : float
        Part of the budget between two looks.
    per_scenario : int
        Clips of each scenario.
    seconds : float
        Length of a clip.
    seed : int
        Seed of the set.
    per_condition : int
        LocalVQE: clips with each condition that the simulation has, one figure each.
    quiet_db, loud_db : float
        Near-end levels beyond which the over-suppression weight is raised by half, or
        lowered by a third.
    """

    every_share: float = 0.05
    per_scenario: int = 8
    seconds: float = 10.0
    seed: int = 4711
    per_condition: int = 0
    quiet_db: float = -4.0
    loud_db: float = -1.5


@dataclass(frozen=True)
class RunConfig:
    """What every run has, whatever model it trains.

    Attributes
    ----------
    recipe : str
        Which model.
    output : str
        Folder for checkpoints, log and curves. A run found there is resumed.
    minutes, audio_seconds : float
        Budget; the run ends when either is spent. 0 means no limit of that kind.
    seed : int
        Seed of initial weights, rooms and every clip.
    device : str
        ``"auto"``, ``"cpu"`` or a torch device.
    precision : {"bf16", "f32"}
        Of the network between features and mask; losses are float32 always.
    threads : int
        CPU threads per process; 0 leaves torch's choice.
    checkpoint_minutes : float
        Time between checkpoints.
    initial : str
        Weights to start from (``.pt`` or ``.gguf``); empty for random ones.
    initial_skip : tuple of str
        Prefixes of tensors that are not taken from `initial`.
    name : str
        Model name written to the exported file.
    times : int
        How often each batch of clips is trained on.
    """

    model_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Fields of `model` whose defaults are not those of its class."""

    recipe: str = ""
    output: str = "runs/default"
    minutes: float = 150.0
    audio_seconds: float = 0.0
    seed: int = 0
    device: str = "auto"
    precision: Literal["bf16", "f32"] = "bf16"
    threads: int = 0
    checkpoint_minutes: float = 5.0
    initial: str = ""
    initial_skip: tuple[str, ...] = ()
    name: str = ""
    times: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    rooms: RoomConfig = field(default_factory=RoomConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    phases: tuple[Phase, ...] = (Phase(),)

    def __post_init__(self) -> None:
        """Refuse a run that could not end or would train on nothing."""
        if self.minutes <= 0 and self.audio_seconds <= 0:
            raise ArgumentError("minutes, audio_seconds: both 0, expected a budget in one of them")
        if self.times < 1:
            raise ArgumentError(f"times: {self.times}, expected 1 or more")
        total = sum(phase.share for phase in self.phases)
        if not self.phases or abs(total - 1) > 1e-6:  # noqa: PLR2004 - rounding of shares
            raise ArgumentError(f"phases: shares sum to {total:g}, expected 1")
        if any(phase.clips < 1 or phase.seconds * 16000 < 512 for phase in self.phases):  # noqa: PLR2004
            raise ArgumentError("phases: expected at least 1 clip of at least 0.032 seconds")

    @property
    def judged(self) -> bool:
        """Whether discriminators judge in some phase."""
        return any(phase.adversarial for phase in self.phases)

    def phase_at(self, share: float) -> Phase:
        """Return the phase that a share of the budget in [0, 1] falls into."""
        end = 0.0
        for phase in self.phases:
            end += phase.share
            if share < end:
                return phase
        return self.phases[-1]
