"""Which model inside the package a recording gets when its caller names none."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from voxhop.models import DEFAULT_MODEL

# From which rate on which model serves a recording without a reference best: measured by
# benchmarks/choice_of_model.py, figures in benchmarks/results/choice.md. With a reference there is
# one that cancels echo.
BEST_ALONE: Final = ((0, DEFAULT_MODEL), (24_000, DEFAULT_MODEL), (48_000, DEFAULT_MODEL))


def best_model(sample_rate: int, *, has_ref: bool) -> str:
    """Return the name of the model inside the package that serves a recording best.

    Parameters
    ----------
    sample_rate
        Of the recording in Hz.
    has_ref
        Whether what the loudspeaker played is known.
    """
    if has_ref:
        return DEFAULT_MODEL
    at = bisect_right(BEST_ALONE, sample_rate, key=lambda row: row[0]) - 1
    return BEST_ALONE[max(at, 0)][1]
