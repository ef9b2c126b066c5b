"""Whole recordings, from files or arrays."""

from voxhop.files.concealment import conceal, conceal_file
from voxhop.files.enhance import EnhanceReport, enhance_file
from voxhop.files.offline import enhance
from voxhop.files.restoration import RestoreReport, restore, restore_file

__all__ = [
    "EnhanceReport",
    "RestoreReport",
    "conceal",
    "conceal_file",
    "enhance",
    "enhance_file",
    "restore",
    "restore_file",
]
