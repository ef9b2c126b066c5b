"""What one model adds to the shared training: its clips, its loss, its figures, its files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from voxhop.training.state import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from voxhop.export.model_file import DataType
    from voxhop.models import ModelInfo
    from voxhop.training.config import Phase, RunConfig
    from voxhop.training.draw import Draw
    from voxhop.training.sounds.corpus import Split

ConfigT = TypeVar("ConfigT", bound="RunConfig")
Figures = dict[str, float]


class Judge(Protocol):
    """A fixed set of validation clips."""

    def anchors(self) -> Iterator[dict[str, float]]:
        """Yield the figures of what a model has to beat, each with the name of what it is."""
        ...

    def figures(self, model: nn.Module) -> Figures:
        """Score a model; ``score`` is what checkpoints compete by."""
        ...


class Panel(NamedTuple):
    """One panel of the curves: a title, and labels of validation figures."""

    title: str
    figures: Mapping[str, str]


class Recipe(ABC, Generic[ConfigT]):
    """One model's part of a run.

    Parameters
    ----------
    config
        The run.
    """

    losses: ClassVar[tuple[str, ...]]
    """Terms that the curves show."""

    panels: ClassVar[tuple[Panel, ...]]
    """At most five more panels of the curves."""

    hidden: ClassVar[tuple[str, ...]] = ()
    """How names of parameters begin whose matrices may take orthogonal steps."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @abstractmethod
    def model(self) -> nn.Module:
        """Return a model with random weights, as training begins with them."""

    @abstractmethod
    def objective(self, model: nn.Module) -> nn.Module:
        """Return what is called with a batch and `options`, and gives terms with ``loss``.

        Its ``model`` is the model.
        """

    @property
    def partial(self) -> bool:
        """Whether a step may leave some parameters of the objective without a gradient."""
        return False

    @abstractmethod
    def load(self, split: Split, device: torch.device) -> Any:  # noqa: ANN401
        """Load, and at first use pack, what `draw` draws from."""

    def begin(self, objective: nn.Module, bank: Any, new: AbstractSet[str]) -> None:  # noqa: ANN401
        """Fit to the recordings what is not learnt by steps, before the first one.

        `new` are the names of the model's parameters that have random values.
        """

    def factors(self) -> Mapping[str, float]:
        """Return factors on the learning rate of the model's parameters, by how names begin."""
        return {}

    @abstractmethod
    def draw(self, bank: Any, draw: Draw, *, step: int, clips: int, seconds: float) -> Any:  # noqa: ANN401
        """Draw a batch: a pure function of its arguments and the configuration."""

    @abstractmethod
    def seconds(self, batch: Any) -> float:  # noqa: ANN401
        """Return the length of the batch's clips."""

    @abstractmethod
    def options(self, progress: Progress, phase: Phase, share: float) -> dict[str, Any]:
        """Return what a step's call of the objective takes beside the batch.

        `share` is the part of the budget that was spent before it, 0 to 1.
        """

    def progress(self) -> Progress:
        """Return the counters of a run that begins."""
        return Progress()

    @abstractmethod
    def judge(self, device: torch.device) -> Judge:
        """Return the validation of this run."""

    def write_cases(self, folder: Path, seed: int | None, per_condition: int = 0) -> list[Path]:
        """Write cases of the valid split for ``voxhop eval``; those of a call by default.

        `per_condition` more with each condition of the simulation.
        """
        from voxhop.training.simulation.cases import CaseConfig, write_cases  # noqa: PLC0415 - only here

        settings = CaseConfig(per_condition=per_condition)
        settings = settings if seed is None else replace(settings, seed=seed)
        return write_cases(self.config.data, folder, settings)

    def steer(self, progress: Progress, figures: Figures) -> None:
        """Change what the run steers by after a look at averaged weights; nothing by default."""

    @abstractmethod
    def line(self, record: dict[str, Any]) -> str:
        """Put a record of training or validation into words."""

    @abstractmethod
    def described(self, info: ModelInfo, trained: int) -> str:
        """Say in a paragraph what the model is: `trained` parameters, `info` of its file."""

    @abstractmethod
    def in_words(self, figures: Figures) -> list[str]:
        """Return a line for every validation figure that is there."""

    @classmethod
    @abstractmethod
    def read(cls, path: Path) -> nn.Module:
        """Read a model file."""

    @classmethod
    @abstractmethod
    def trainable(cls, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Undo in a state dict what model files have folded, where training wants it apart."""

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Bring weights that a run starts from into the shape of its model; as they are."""
        return weights

    @classmethod
    @abstractmethod
    def write(
        cls, model: nn.Module, path: Path, *, dtype: DataType, metadata: Mapping[str, Any]
    ) -> None:
        """Write a model file."""
