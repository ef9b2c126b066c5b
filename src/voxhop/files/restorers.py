"""Tasks of restoring models, the models for them that are on this machine, and their solvers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voxhop import registry
from voxhop.errors import ArgumentError, ModelFileError
from voxhop.models import bundled_models, load

if TYPE_CHECKING:
    from voxhop.models import Model

_TASK_KEY: Final = "streamfm.task"
_CHOOSER: Final = "solver"  # the option that counts a model's calls


@dataclass(frozen=True)
class Task:
    """Something that a model can restore.

    Attributes
    ----------
    name
        What ``--task`` takes.
    key
        Value of ``streamfm.task`` in model files.
    summary
        What it does, in a few words.
    """

    name: str
    key: str
    summary: str


TASKS: Final = (
    Task("bwe", "bwe", "the upper band of telephone and other narrow speech"),
    Task("derev", "derev", "speech in rooms: less reverberation"),
    Task("codec", "codec_pf", "speech behind a low-rate codec: its artefacts"),
    Task("enhance", "se", "noisy speech"),
    Task("phase", "stft_pr", "the phase, where only the magnitude is good"),
    Task("mel", "melvoc", "speech from its Mel bands"),
)


@dataclass(frozen=True)
class Restorer:
    """A restoring model on this machine.

    Attributes
    ----------
    name
        What `voxhop.load` takes: a name or a path.
    task
        Its task's name.
    sample_rate
        In Hz.
    parameter_count
        Of the whole model.
    solvers
        Names, and how often each calls the network per hop; the default is the first.
    """

    name: str
    task: str
    sample_rate: int
    parameter_count: int
    solvers: dict[str, int]


def find_task(name: str) -> Task:
    """Return the task of a name.

    Raises
    ------
    ArgumentError
        When there is none.
    """
    for task in TASKS:
        if name == task.name:
            return task
    raise ArgumentError(f"task: {name!r}, expected one of {', '.join(t.name for t in TASKS)}")


def task_of(model: Model) -> Task:
    """Return what a model restores.

    Raises
    ------
    ArgumentError
        For a model that restores nothing.
    """
    key = model.metadata.get(_TASK_KEY)
    for task in TASKS:
        if task.key == key:
            return task
    raise _restores_nothing(model)


def installed() -> tuple[Restorer, ...]:
    """Return the restoring models of the package, then those in the folder of downloads.

    Each file is opened; one that is no model at all is passed over.
    """
    sources = [*bundled_models(), *map(str, sorted(registry.cache_dir().glob("*.gguf")))]
    return tuple(filter(None, map(_installed, sources)))


def describe(model: Model, name: str) -> Restorer:
    """Return what a restoring model is; `name` is what it was loaded by."""
    info = model.info
    return Restorer(name, task_of(model).name, info.sample_rate, info.parameter_count, calls(model))


def find_restorer(task: str) -> str:
    """Return the first installed model for a task, as `voxhop.load` takes it.

    Raises
    ------
    ArgumentError
        For a task that does not exist.
    ModelFileError
        When none is installed.
    """
    wanted = find_task(task)
    models = installed()
    for model in models:
        if model.task == wanted.name:
            return model.name
    others = ", ".join(f"{Path(m.name).stem} ({m.task})" for m in models) or "none"
    raise ModelFileError(
        f"task {wanted.name}: no model for it is installed (restoring models here: {others}); "
        f"put one into {registry.cache_dir()} or name its file"
    )


def calls(model: Model) -> dict[str, int]:
    """Return a model's solvers and how often each calls the network per hop, default first."""
    option = next((o for o in model.options if o.name == _CHOOSER), None)
    if option is None:
        raise _restores_nothing(model)
    names = sorted(option.choices, key=lambda name: name != option.default)
    # The weights b of a tableau, as text: [b1, b2, ...], one per call.
    return {name: model.metadata[f"streamfm.solver.{name}.b"].count(",") + 1 for name in names}


def solver_of(model: Model, solver: str | None, steps: int | None) -> str:
    """Return the name of the solver that is asked for.

    Parameters
    ----------
    model
        A restoring model.
    solver
        A name; None: by `steps`.
    steps
        Calls of the network per hop: the model's default if it has so many, else Euler's, else
        the first that has. None: the default.

    Raises
    ------
    ArgumentError
        For a solver or a number of calls that the model does not have, and for both at once.
    """
    known = calls(model)
    listed = ", ".join(f"{name} ({count})" for name, count in known.items())
    if solver is not None and steps is not None:
        raise ArgumentError(f"solver {solver}, steps {steps}: expected one of the two")
    if solver is not None:
        if solver not in known:
            raise ArgumentError(f"solver: {solver}, expected one of {listed}")
        return solver
    default, *_ = known
    if steps is None or known[default] == steps:
        return default
    if known.get(f"euler{steps}") == steps:
        return f"euler{steps}"
    for name, count in known.items():
        if count == steps:
            return name
    raise ArgumentError(f"steps: {steps}, expected the calls of one of {listed}")


def _restores_nothing(model: Model) -> ArgumentError:
    info = model.info
    return ArgumentError(
        f"model {model.source}: {info.architecture} has {info.input_count} audio inputs and "
        "restores nothing; expected a restoring model"
    )


def _installed(source: str) -> Restorer | None:
    """Return the restoring model of a file, None for any other file."""
    try:
        with load(source) as model:
            return describe(model, source) if model.info.purpose == "restorer" else None
    except ModelFileError:
        return None
