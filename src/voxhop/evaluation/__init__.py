"""Scoring of voxhop and of other systems (extra ``[eval]``); see ``docs/evaluation.md``."""

from voxhop.evaluation.cases import Case, Clip, load_cases, load_clip
from voxhop.evaluation.plan import Settings
from voxhop.evaluation.runner import ClipScore, Results, evaluate
from voxhop.evaluation.summary import as_json, markdown, summarise
from voxhop.evaluation.systems import System, build

__all__ = [
    "Case",
    "Clip",
    "ClipScore",
    "Results",
    "Settings",
    "System",
    "as_json",
    "build",
    "evaluate",
    "load_cases",
    "load_clip",
    "markdown",
    "summarise",
]
