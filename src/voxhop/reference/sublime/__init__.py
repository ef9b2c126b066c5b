"""Sublime: a speech codec of 1 and 6 kbit/s, and its front-end for noisy speech."""

from voxhop.reference.sublime.model import (
    DecoderState,
    EncoderState,
    FrameEncoder,
    LogMel,
    MelFilters,
    MelState,
    NetworkPast,
    Sublime,
    Vocoder,
    offset_rows,
    phase_offsets,
    random_sublime,
    sharpened,
    sharpness_of,
)

__all__ = [
    "DecoderState",
    "EncoderState",
    "FrameEncoder",
    "LogMel",
    "MelFilters",
    "MelState",
    "NetworkPast",
    "Sublime",
    "Vocoder",
    "offset_rows",
    "phase_offsets",
    "random_sublime",
    "sharpened",
    "sharpness_of",
]
