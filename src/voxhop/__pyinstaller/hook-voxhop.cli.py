"""PyInstaller: the verbs of the command, which it imports by name."""

from PyInstaller.utils.hooks import copy_metadata

from voxhop.cli import VERBS

hiddenimports = [f"voxhop.cli.{name}" for name in VERBS]
# What `voxhop doctor` reads the versions of.
datas = [entry for name in ("soundfile", "soxr") for entry in copy_metadata(name)]
