"""Reference models to GGUF files and back. Needs the ``torch`` extra."""

try:
    import gguf as _gguf  # noqa: F401  (only to say how to get it)
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'voxhop.export needs PyTorch and gguf: pip install "voxhop[torch]"',
    ) from error

from voxhop.export.gguf import gguf_metadata, gguf_tensors, write_gguf
from voxhop.export.reader import read_gguf
from voxhop.export.seflow import read_seflow, write_seflow
from voxhop.export.streamfm import read_streamfm, write_streamfm
from voxhop.export.sublime import read_sublime, write_sublime

__all__ = [
    "gguf_metadata",
    "gguf_tensors",
    "read_gguf",
    "read_seflow",
    "read_streamfm",
    "read_sublime",
    "write_gguf",
    "write_seflow",
    "write_streamfm",
    "write_sublime",
]
