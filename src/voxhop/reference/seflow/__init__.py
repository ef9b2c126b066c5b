"""SEFlow: networks of many sizes in one, for noise, rooms, clipping and lost packets."""

from voxhop.reference.seflow.model import (
    Estimate,
    SEFlow,
    SEFlowOutput,
    SEFlowState,
    analysis,
    analysis_window,
    random_seflow,
    synthesis,
)

__all__ = [
    "Estimate",
    "SEFlow",
    "SEFlowOutput",
    "SEFlowState",
    "analysis",
    "analysis_window",
    "random_seflow",
    "synthesis",
]
