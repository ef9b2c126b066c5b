"""Sublime: a speech codec of 1 and 6 kbit/s, and its front-end for noisy speech."""

from voxhop.reference.sublime.model import (
    FrameEncoder,
    Sublime,
    offset_rows,
    phase_offsets,
    random_sublime,
    sharpened,
    sharpness_of,
)

__all__ = [
    "FrameEncoder",
    "Sublime",
    "offset_rows",
    "phase_offsets",
    "random_sublime",
    "sharpened",
    "sharpness_of",
]
