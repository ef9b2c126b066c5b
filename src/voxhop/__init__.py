"""Real-time speech on one CPU core: echo, noise and room out, losses filled, coded, restored."""

from typing import TYPE_CHECKING, Any

from voxhop._bindings import cpu_isas, engine_version, ggml_version
from voxhop._version import __version__
from voxhop.engine.group import SessionGroup
from voxhop.engine.ports import PortInfo
from voxhop.engine.session import Session
from voxhop.engine.session_info import SessionInfo, SessionMetrics, SessionOptions
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
from voxhop.models import (
    DEFAULT_MODEL,
    Model,
    ModelInfo,
    OptionInfo,
    TensorInfo,
    bundled_models,
    load,
)
from voxhop.stream.stream import Stream
from voxhop.stream.types import StreamMetrics, StreamOptions

if TYPE_CHECKING:
    from voxhop.batching import BatchReport, batch, watch
    from voxhop.chain import Chain, CodecLink, ModelLink, chain_file
    from voxhop.codec import (
        CodecDecoder,
        CodecEncoder,
        CodecReport,
        decode,
        decode_file,
        encode,
        encode_file,
    )
    from voxhop.files.concealment import conceal, conceal_file
    from voxhop.files.enhance import EnhanceReport, enhance_file
    from voxhop.files.offline import enhance
    from voxhop.files.restoration import RestoreReport, restore, restore_file
    from voxhop.stream.alignment import DelayEstimate, DelayTrack, probe_delay
    from voxhop.stream.level import LevelFollower
    from voxhop.stream.losses import LossTrace

__all__ = [
    "DEFAULT_MODEL",
    "ArgumentError",
    "AudioFileError",
    "BatchReport",
    "Chain",
    "CodecDecoder",
    "CodecEncoder",
    "CodecFileError",
    "CodecLink",
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
    "ModelLink",
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
    "chain_file",
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


# Where names are that a session or a stream does not need: they load on first use.
_ON_USE = {
    "batching": ("BatchReport", "batch", "watch"),
    "chain": ("Chain", "CodecLink", "ModelLink", "chain_file"),
    "codec": (
        "CodecDecoder",
        "CodecEncoder",
        "CodecReport",
        "decode",
        "decode_file",
        "encode",
        "encode_file",
    ),
    "files": (),
    "files.concealment": ("conceal", "conceal_file"),
    "files.enhance": ("EnhanceReport", "enhance_file"),
    "files.offline": ("enhance",),
    "files.restoration": ("RestoreReport", "restore", "restore_file"),
    "io": (),
    "stream.alignment": ("DelayEstimate", "DelayTrack", "probe_delay"),
    "stream.level": ("LevelFollower",),
    "stream.losses": ("LossTrace",),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name is
    """Return a name, or a module, that one session or stream does not need."""
    import importlib  # noqa: PLC0415 - only then

    for module, names in _ON_USE.items():
        if name == module or name in names:
            found = importlib.import_module(f"voxhop.{module}")
            return found if name == module else getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
