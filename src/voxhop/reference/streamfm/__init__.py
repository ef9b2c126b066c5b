"""Stream.FM: restoration by a flow, hop by hop."""

from voxhop.reference.streamfm.model import (
    Steps,
    StreamFM,
    StreamFMState,
    random_streamfm,
)

__all__ = [
    "Steps",
    "StreamFM",
    "StreamFMState",
    "random_streamfm",
]
