"""Many recordings: resumable, in several processes, with one line of figures each."""

from voxhop.batching.recipe import Recipe
from voxhop.batching.report import BatchReport
from voxhop.batching.run import batch

__all__ = ["BatchReport", "Recipe", "batch"]
