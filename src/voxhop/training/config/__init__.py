"""Training configuration: TOML files read into frozen dataclasses, every key checked."""

from voxhop.training.config.run import OptimizerConfig, Phase, RunConfig, ValidationConfig
from voxhop.training.config.runs import (
    SEFlowTrainingConfig,
    StreamFMTrainingConfig,
    SublimeTrainingConfig,
    TrainingConfig,
)
from voxhop.training.config.tables import from_table, load_config, to_table, to_toml

__all__ = [
    "OptimizerConfig",
    "Phase",
    "RunConfig",
    "SEFlowTrainingConfig",
    "StreamFMTrainingConfig",
    "SublimeTrainingConfig",
    "TrainingConfig",
    "ValidationConfig",
    "from_table",
    "load_config",
    "to_table",
    "to_toml",
]
