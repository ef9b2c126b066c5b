"""Every error that voxhop raises on its own account."""

from __future__ import annotations


class VoxhopError(Exception):
    """Base class. Messages name the thing, what was found and what was expected."""


class ArgumentError(VoxhopError, ValueError):
    """An argument or option that is out of range, unknown or in conflict with another."""


class DtypeError(ArgumentError, TypeError):
    """An object of the wrong type, or an array of the wrong dtype."""


class ShapeError(VoxhopError, ValueError):
    """An array whose length, rank or memory layout does not fit."""


class ModelFileError(VoxhopError):
    """A model file that is missing, damaged or not understood."""


class DownloadError(VoxhopError):
    """A model file that could not be fetched, or is not the published one."""


class AudioFileError(VoxhopError):
    """An audio file that cannot be read, holds nothing, or cannot be written."""


class CodecFileError(VoxhopError):
    """A file of coded speech that is none, of a later version, cut short or damaged."""


class StateError(VoxhopError):
    """A saved state that does not fit, or an object used after close or by two threads at once."""


class EngineError(VoxhopError):
    """The engine is missing, of another version, out of memory, or cannot serve an option."""
