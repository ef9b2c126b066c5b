"""The linear canceller: filters, where the echo is, the gate and the follower."""

from voxhop.reference.canceller.filter import (
    PARTITIONS,
    Canceller,
    CancellerOutput,
    CancellerState,
    Decision,
    Errors,
    FilterRule,
    FilterState,
)

__all__ = [
    "PARTITIONS",
    "Canceller",
    "CancellerOutput",
    "CancellerState",
    "Decision",
    "Errors",
    "FilterRule",
    "FilterState",
]
