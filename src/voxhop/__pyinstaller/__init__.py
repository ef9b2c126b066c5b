"""Tells PyInstaller how to freeze a program with voxhop in it."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folder of the hooks; PyInstaller asks for it by an entry point."""
    return [str(Path(__file__).parent)]
