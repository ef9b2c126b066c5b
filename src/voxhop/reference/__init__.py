"""PyTorch reference models: whole clips and single hops through one code path.

Needs the ``torch`` extra. Nothing in the base package imports this.
"""

try:
    import torch as _torch  # noqa: F401  (only to say how to get it)
except ImportError as error:
    raise ImportError(
        'voxhop.reference needs PyTorch: pip install "voxhop[torch]"',
    ) from error

from voxhop.reference.localvqe import LocalVQE, LocalVQEOutput, LocalVQEState
from voxhop.reference.localvqe.checkpoint import load_checkpoint, model_from_state_dict
from voxhop.reference.localvqe.config import LocalVQEConfig
from voxhop.reference.localvqe.random_model import random_model
from voxhop.reference.seflow import SEFlow, SEFlowOutput, SEFlowState, random_seflow
from voxhop.reference.seflow.config import SEFlowConfig
from voxhop.reference.solvers import LearnedTableau, Tableau, named_tableaus
from voxhop.reference.streamfm import StreamFM, StreamFMState, random_streamfm
from voxhop.reference.streamfm.config import StreamFMConfig
from voxhop.reference.sublime import Sublime, random_sublime
from voxhop.reference.sublime.config import SublimeConfig

__all__ = [
    "LearnedTableau",
    "LocalVQE",
    "LocalVQEConfig",
    "LocalVQEOutput",
    "LocalVQEState",
    "SEFlow",
    "SEFlowConfig",
    "SEFlowOutput",
    "SEFlowState",
    "StreamFM",
    "StreamFMConfig",
    "StreamFMState",
    "Sublime",
    "SublimeConfig",
    "Tableau",
    "load_checkpoint",
    "model_from_state_dict",
    "named_tableaus",
    "random_model",
    "random_seflow",
    "random_streamfm",
    "random_sublime",
]
