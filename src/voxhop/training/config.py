"""Training configuration: TOML files read into frozen dataclasses, every key checked."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Mapping  # noqa: TC003 - hints of fields are looked up
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from voxhop.errors import ArgumentError
from voxhop.reference import LocalVQEConfig, SEFlowConfig, StreamFMConfig
from voxhop.training.bank import DataConfig
from voxhop.training.degrade import DegradationConfig
from voxhop.training.discriminators import DiscriminatorConfig
from voxhop.training.losses import LossConfig
from voxhop.training.restoring import CODEC_KBPS, DamageConfig
from voxhop.training.rooms import RoomConfig
from voxhop.training.seflow_objective import SEFlowLossConfig
from voxhop.training.simulate import SimulationConfig
from voxhop.training.sublime_data import SublimeDataConfig
from voxhop.training.sublime_objective import AnnealingConfig, SublimeLossConfig
from voxhop.training.sublime_shape import SublimeShape
from voxhop.training.warm import WarmConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_T = TypeVar("_T")


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
        Sublime: the encoder is left as it is, and discriminators judge the vocoder.
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

    def phase_at(self, share: float) -> Phase:
        """Return the phase that a share of the budget in [0, 1] falls into."""
        end = 0.0
        for phase in self.phases:
            end += phase.share
            if share < end:
                return phase
        return self.phases[-1]


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
    precision: Literal["bf16", "f32"] = "f32"
    rates: tuple[int, ...] = (16000, 48000, 16000, 24000, 16000, 8000)
    band_rate: float = 0.3
    model: SEFlowConfig = field(
        default_factory=lambda: SEFlowConfig(**SEFlowTrainingConfig.model_defaults)
    )
    simulation: DegradationConfig = field(default_factory=DegradationConfig)
    loss: SEFlowLossConfig = field(default_factory=SEFlowLossConfig)

    def __post_init__(self) -> None:
        """Refuse rates that the model has no bands for, and a precision that is not there."""
        super().__post_init__()
        for rate in self.rates:
            self.model.bands_at(rate)
        if not self.rates:
            raise ArgumentError("rates: empty, expected at least one of the model's rates")
        if self.precision != "f32":
            raise ArgumentError("precision: 'bf16', expected 'f32': rotations are complex products")


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
    keep, levels : float
        In phases with `sound`: weights beside the mel spectra's. The squared error of the
        compressed spectrum holds in place what was there; levels bin by bin make what is new less
        rough.
    latest : float
        Times of the flow are drawn below it. The error of a velocity is largest at the end,
        where no solver asks for it.
    """

    recipe: Literal["streamfm"] = "streamfm"
    name: str = "voxhop-streamfm"
    precision: Literal["f32"] = "f32"  # spectra are complex
    model: StreamFMConfig = field(default_factory=StreamFMConfig)
    simulation: DegradationConfig = field(default_factory=DegradationConfig)
    damage: DamageConfig = field(default_factory=DamageConfig)
    sigma_clips: int = 512
    settling_batches: int = 40
    teacher_solver: str = "euler5"
    keep: float = 1.0
    levels: float = 0.05
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
                min(self.keep, self.levels) >= 0,
                f"keep, levels: {self.keep}, {self.levels}, expected 0 or more",
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
    precision: Literal["bf16", "f32"] = "f32"
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
        if self.precision != "f32":
            raise ArgumentError("precision: 'bf16', expected 'f32': codes would hop about")


CONFIGS: dict[str, type[RunConfig]] = {
    "localvqe": TrainingConfig,
    "seflow": SEFlowTrainingConfig,
    "streamfm": StreamFMTrainingConfig,
    "sublime": SublimeTrainingConfig,
}
"""What a configuration file holds, by its `recipe`; a file without one is LocalVQE's."""


def load_config(path: str | Path) -> RunConfig:
    """Read a TOML file; relative paths in it are relative to the working directory.

    Raises
    ------
    ArgumentError
        For an unknown key, a value of the wrong type, or a file that is no TOML.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ArgumentError(f"{path}: {error}") from error
    return from_table(RunConfig, table, where=str(path))


def from_table(kind: type[_T], table: Mapping[str, Any], *, where: str) -> _T:
    """Build a dataclass from nested tables.

    Keys not given keep their defaults. Of a run's configuration, `recipe` in the table says
    which one it is.

    Raises
    ------
    ArgumentError
        Naming the key, what was found and what is known.
    """
    if issubclass(kind, RunConfig):
        kind = _kind_of_run(table, where)  # type: ignore[assignment]  # a subclass of it
        if isinstance(table.get("model"), dict):
            table = {**table, "model": {**kind.model_defaults, **table["model"]}}
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - known)
    if unknown:
        raise ArgumentError(
            f"{where}: unknown key {unknown[0]!r}, known: {', '.join(sorted(known))}"
        )
    values = {
        name: _convert(value, hints[name], f"{where}: {name}") for name, value in table.items()
    }
    try:
        return kind(**values)
    except ArgumentError:
        raise
    except ValueError as error:  # a dataclass of another package refusing its values
        raise ArgumentError(f"{where}: {error}") from error


def _kind_of_run(table: Mapping[str, Any], where: str) -> type[RunConfig]:
    recipe = table.get("recipe", "localvqe")
    if recipe not in CONFIGS:
        raise ArgumentError(f"{where}: recipe: {recipe!r}, expected one of {', '.join(CONFIGS)}")
    return CONFIGS[recipe]


def to_table(config: object) -> dict[str, Any]:
    """Turn a configuration into plain tables, the reverse of `from_table`."""
    return dataclasses.asdict(config)  # type: ignore[call-overload]


def _convert(value: Any, hint: Any, where: str) -> Any:  # noqa: ANN401 - TOML values
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ArgumentError(f"{where}: {value!r}, expected a table")
        return from_table(hint, value, where=where)  # type: ignore[arg-type]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ArgumentError(f"{where}: {value!r}, expected a list")
        each = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(each) != len(value):
            raise ArgumentError(f"{where}: {len(value)} values, expected {len(each)}")
        return tuple(_convert(v, h, where) for v, h in zip(value, each, strict=True))
    if origin is Literal:
        if value not in arguments:
            raise ArgumentError(f"{where}: {value!r}, expected one of {arguments}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = hint if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) else object
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        raise ArgumentError(f"{where}: {value!r}, expected {getattr(plain, '__name__', plain)}")
    return value


def to_toml(config: RunConfig) -> str:
    """Write what differs from the defaults as TOML, the reverse of `load_config`."""
    table = _changed(to_table(config), to_table(type(config)()))
    if not isinstance(config, TrainingConfig):
        table = {"recipe": config.recipe, **table}
    phases = table.pop("phases", [])
    lines = _lines(table)
    for phase in phases:
        own = _changed(phase, to_table(Phase()))
        own["share"] = phase["share"]
        lines += ["", "[[phases]]", *(f"{name} = {_toml(item)}" for name, item in own.items())]
    return "\n".join(lines) + "\n"


def _lines(table: dict[str, Any], where: str = "") -> list[str]:
    """Write a table's entries, then the tables in it."""
    lines = [f"{key} = {_toml(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        if _is_table(value):
            lines += ["", f"[{where}{key}]", *_lines(value, f"{where}{key}.")]
    return lines


def _changed(table: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the entries, and tables of entries, that are not as in `defaults`."""
    found = {}
    for key, value in table.items():
        inner = _changed(value, defaults[key]) if _is_table(value) else value
        if inner if _is_table(value) else value != defaults[key]:
            found[key] = inner
    return found


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _toml(value: Any) -> str:  # noqa: ANN401 - a TOML value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
