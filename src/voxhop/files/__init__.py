"""Whole recordings, from files or arrays."""

from voxhop.files.enhance import EnhanceReport, enhance_file
from voxhop.files.offline import enhance
from voxhop.files.restoration import restore

__all__ = ["EnhanceReport", "enhance", "enhance_file", "restore"]
