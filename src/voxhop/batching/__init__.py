"""Many recordings: resumable, in several processes, with one line of figures each."""

from voxhop.batching.recipe import Recipe
from voxhop.batching.report import BatchReport
from voxhop.batching.run import batch
from voxhop.batching.watching import watch

__all__ = ["BatchReport", "Recipe", "batch", "watch"]
