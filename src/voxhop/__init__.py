"""Real-time echo cancellation, noise suppression and dereverberation."""

from voxhop._version import __version__

__all__ = ["__version__"]
