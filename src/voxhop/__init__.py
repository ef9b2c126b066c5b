"""Real-time speech on one CPU core: echo, noise and room out, losses filled, coded, restored."""

from typing import TYPE_CHECKING, Any

from voxhop._version import __version__

if TYPE_CHECKING:
    from voxhop._bindings import cpu_isas, engine_version, ggml_version
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
    from voxhop.files.concealment import conceal, conceal_file
    from voxhop.files.enhance import EnhanceReport, enhance_file
    from voxhop.files.offline import enhance
    from voxhop.files.restoration import RestoreReport, restore, restore_file
    from voxhop.models import (
        DEFAULT_MODEL,
        Model,
        ModelInfo,
        OptionInfo,
        TensorInfo,
        bundled_models,
        load,
    )
    from voxhop.stream.alignment import DelayEstimate, DelayTrack, probe_delay
    from voxhop.stream.level import LevelFollower
    from voxhop.stream.losses import LossTrace
    from voxhop.stream.stream import Stream
    from voxhop.stream.types import StreamMetrics, StreamOptions

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


# Where the names are. They load on first use: a command that only shows its help, and a program
# that may never need speech, need not wait for arrays.
_ON_USE = {
    "_bindings": ("cpu_isas", "engine_version", "ggml_version"),
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
    "engine": (),
    "engine.group": ("SessionGroup",),
    "engine.ports": ("PortInfo",),
    "engine.session": ("Session",),
    "engine.session_info": ("SessionInfo", "SessionMetrics", "SessionOptions"),
    "errors": (
        "ArgumentError",
        "AudioFileError",
        "CodecFileError",
        "DtypeError",
        "EngineError",
        "ModelFileError",
        "ShapeError",
        "StateError",
        "VoxhopError",
    ),
    "files": (),
    "files.concealment": ("conceal", "conceal_file"),
    "files.enhance": ("EnhanceReport", "enhance_file"),
    "files.offline": ("enhance",),
    "files.restoration": ("RestoreReport", "restore", "restore_file"),
    "io": (),
    "models": (
        "DEFAULT_MODEL",
        "Model",
        "ModelInfo",
        "OptionInfo",
        "TensorInfo",
        "bundled_models",
        "load",
    ),
    "stream": (),
    "stream.alignment": ("DelayEstimate", "DelayTrack", "probe_delay"),
    "stream.level": ("LevelFollower",),
    "stream.losses": ("LossTrace",),
    "stream.stream": ("Stream",),
    "stream.types": ("StreamMetrics", "StreamOptions"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name is
    """Return a name, or a module, and keep it for the next time."""
    import importlib  # noqa: PLC0415 - only then

    for module, names in _ON_USE.items():
        if name in names:
            found = getattr(importlib.import_module(f"voxhop.{module}"), name)
            globals()[name] = found
            return found
        if name == module:
            return importlib.import_module(f"voxhop.{module}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return every name, used or not."""
    return sorted({*globals(), *__all__})
