"""Real-time echo cancellation, noise suppression and dereverberation."""

from typing import TYPE_CHECKING, Any

from voxhop._bindings import cpu_isas, engine_version, ggml_version
from voxhop._version import __version__
from voxhop.alignment import DelayEstimate, DelayTrack, probe_delay
from voxhop.codec import (
    CodecDecoder,
    CodecEncoder,
    CodecReport,
    decode,
    decode_file,
    encode,
    encode_file,
)
from voxhop.concealment import conceal, conceal_file
from voxhop.errors import (
    ArgumentError,
    AudioFileError,
    CodecFileError,
    DtypeError,
    EngineError,
    ModelFileError,
    ShapeError,
    StateError,
    VoxhopError,
)
from voxhop.files import EnhanceReport, enhance_file
from voxhop.group import SessionGroup
from voxhop.level import LevelFollower
from voxhop.losses import LossTrace
from voxhop.models import (
    DEFAULT_MODEL,
    Model,
    ModelInfo,
    OptionInfo,
    TensorInfo,
    bundled_models,
    load,
)
from voxhop.offline import enhance
from voxhop.ports import PortInfo
from voxhop.restoration import RestoreReport, restore, restore_file
from voxhop.session import Session
from voxhop.session_info import SessionInfo, SessionMetrics, SessionOptions
from voxhop.stream import Stream
from voxhop.stream_types import StreamMetrics, StreamOptions

if TYPE_CHECKING:
    from voxhop.batching import BatchReport, batch, watch

__all__ = [
    "DEFAULT_MODEL",
    "ArgumentError",
    "AudioFileError",
    "BatchReport",
    "CodecDecoder",
    "CodecEncoder",
    "CodecFileError",
    "CodecReport",
    "DelayEstimate",
    "DelayTrack",
    "DtypeError",
    "EngineError",
    "EnhanceReport",
    "LevelFollower",
    "LossTrace",
    "Model",
    "ModelFileError",
    "ModelInfo",
    "OptionInfo",
    "PortInfo",
    "RestoreReport",
    "Session",
    "SessionGroup",
    "SessionInfo",
    "SessionMetrics",
    "SessionOptions",
    "ShapeError",
    "StateError",
    "Stream",
    "StreamMetrics",
    "StreamOptions",
    "TensorInfo",
    "VoxhopError",
    "__version__",
    "batch",
    "bundled_models",
    "conceal",
    "conceal_file",
    "cpu_isas",
    "decode",
    "decode_file",
    "encode",
    "encode_file",
    "engine_version",
    "enhance",
    "enhance_file",
    "ggml_version",
    "load",
    "probe_delay",
    "restore",
    "restore_file",
    "watch",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name is
    """Return a name of `voxhop.batching`, which one recording or stream does not need."""
    if name in {"BatchReport", "batch", "watch"}:
        from voxhop import batching  # noqa: PLC0415 - a third of the time of `import voxhop`

        return getattr(batching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
