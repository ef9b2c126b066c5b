"""LocalVQE: echo, noise and reverberation out of a microphone."""

from voxhop.reference.localvqe.model import (
    LocalVQE,
    LocalVQEOutput,
    LocalVQEState,
)

__all__ = [
    "LocalVQE",
    "LocalVQEOutput",
    "LocalVQEState",
]
