"""A page to try it, and the audio-transform interface that LocalAI's clients speak."""

from voxhop.serve.limits import ServeLimits
from voxhop.serve.server import serve

__all__ = ["ServeLimits", "serve"]
