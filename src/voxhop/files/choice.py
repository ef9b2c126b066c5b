"""Which model inside the package a recording gets when its caller names none."""

from __future__ import annotations

from bisect import bisect_right
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from voxhop.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

# From which rate on which model serves a recording without a reference best: measured by
# benchmarks/choice_of_model.py, figures in benchmarks/results/choice.md. With a reference there is
# one that cancels echo.
BEST_ALONE: Final = ((0, DEFAULT_MODEL), (24_000, DEFAULT_MODEL), (48_000, DEFAULT_MODEL))

_OF_REFERENCES: Final = MappingProxyType(
    {"delay_ms": 0.0, "lookahead_ms": 0.0, "auto_bypass": False}
)
"""Settings of streams that a model without a reference refuses when they are others."""


def best_model(sample_rate: int, *, has_ref: bool, settings: Mapping[str, Any]) -> str:
    """Return the name of the model inside the package that serves a recording best.

    Parameters
    ----------
    sample_rate
        Of the recording in Hz.
    has_ref
        Whether what the loudspeaker played is known.
    settings
        Of the streams. Where they speak of a reference they get a model that takes one.
    """
    of_references = any(
        settings.get(name, usual) != usual for name, usual in _OF_REFERENCES.items()
    )
    if has_ref or of_references:
        return DEFAULT_MODEL
    at = bisect_right(BEST_ALONE, sample_rate, key=lambda row: row[0]) - 1
    return BEST_ALONE[max(at, 0)][1]
