"""LocalVQE: echo, noise and reverberation out of a microphone."""

from voxhop.reference.localvqe.model import (
    Front,
    FrontState,
    LocalVQE,
    LocalVQEOutput,
    LocalVQEState,
)

__all__ = [
    "Front",
    "FrontState",
    "LocalVQE",
    "LocalVQEOutput",
    "LocalVQEState",
]
