"""Models: loading a GGUF file by name, path or content, and looking inside."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from voxhop._bindings import native
from voxhop.engine.closing import Closing
from voxhop.engine.origin import ContentOrigin, FileOrigin
from voxhop.engine.ports import Ports, read_ports
from voxhop.engine.session import Session
from voxhop.errors import DtypeError, ModelFileError, StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxhop.engine.ports import PortInfo

DEFAULT_MODEL: Final = "voxhop-localvqe-1.3M-canceller"
_WEIGHTS: Final = Path(__file__).parent / "weights"
# The native models that pickles opened and that are still in use, by the hash of the file.
_REOPENED: Final[weakref.WeakValueDictionary[str, Any]] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class ModelInfo:
    """What a model is.

    Attributes
    ----------
    architecture, name, version
        ``general.architecture``, ``general.name`` (may be empty), ``<architecture>.version``.
    sample_rate
        Hz.
    hop_samples, latency_samples
        Samples per hop, and by how many the output lags the input beyond the hop itself.
    input_count
        Audio inputs per hop; 2 is microphone and reference. `Model.inputs` tells more.
    purpose
        What it is for: ``"enhancer"``, ``"codec"`` or ``"restorer"``.
    memory_samples
        What was heard further back changes no output by more than rounding; 0 where it may.
    warm_up_samples
        What has to be processed whole after any number of skimmed hops (`Session.skim_hop`) until
        nothing tells them from whole ones; 0 where that may never be.
    precision
        What the precision ``"auto"`` means, which streams and recordings take: ``"f16"`` where
        nobody hears a difference from ``"f32"`` by measurement, else ``"f32"``. With the options'
        defaults and fused kernels, on every CPU.
    d_max
        Alignment window in hops, 0 for a model without one.
    parameter_count
        All tensor elements, frozen filterbanks included.
    macs_per_hop
        Multiply-accumulates of one hop.
    weight_bytes
        Bytes of the weights in memory now, shared by all sessions: what they have packed, and
        of a model from a file little more.
    """

    architecture: str
    name: str
    version: int
    sample_rate: int
    hop_samples: int
    latency_samples: int
    input_count: int
    d_max: int
    parameter_count: int
    macs_per_hop: int
    weight_bytes: int
    purpose: str
    memory_samples: int
    warm_up_samples: int
    precision: str

    @property
    def window_ms(self) -> float:
        """Length of the alignment window: echo delayed by less than this can be found."""
        return 1000.0 * self.d_max * self.hop_samples / self.sample_rate


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a model file: its name, type name and shape, slowest dimension first."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OptionInfo:
    """An option of a model's sessions.

    Attributes
    ----------
    name, default, help
        What it is called, its value when nothing is said, and what it does.
    choices
        All values, or empty when any whole number from `lowest` to `highest` will do.
    lowest, highest
        The range of numbers.
    while_running
        Whether a running session takes another value.
    """

    name: str
    default: str
    choices: tuple[str, ...]
    lowest: int
    highest: int
    while_running: bool
    help: str


class Model(Closing):
    """The weights of a model: immutable, shared by any number of sessions and threads.

    Made by `load`. A context manager; `close` gives the memory back once the last session
    on it is closed too.

    Notes
    -----
    A copy shares the weights and is closed on its own. A pickle holds the name, the absolute
    path or the content that `load` was given, and a hash: where it is opened, the file must be
    there and be the same. A process that opens several pickles of one model has its weights
    once.
    """

    def __init__(
        self,
        handle: Any,  # noqa: ANN401 - a vh_model *
        source: str,
        origin: ContentOrigin | FileOrigin,
    ) -> None:
        self._handle = handle
        self._source = source
        self._origin = origin
        self._info = _read_info(handle)

    @property
    def info(self) -> ModelInfo:
        """What the model is; available after `close` too."""
        return self._info

    @property
    def source(self) -> str:
        """The file it came from, or ``"<memory>"``."""
        return self._source

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        return self._info.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per hop."""
        return self._info.hop_samples

    @property
    def latency_samples(self) -> int:
        """Samples by which the output lags the input, beyond the hop itself."""
        return self._info.latency_samples

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of the file as text, arrays as ``"[a, b, ...]"``, in file order."""
        handle, lib, text = self.handle, native().lib, native().text
        return MappingProxyType(
            {
                text(lib.vh_model_metadata_key(handle, i)): text(
                    lib.vh_model_metadata_value(handle, i)
                )
                for i in range(lib.vh_model_metadata_count(handle))
            }
        )

    @property
    def tensors(self) -> tuple[TensorInfo, ...]:
        """Every tensor of the file, in file order."""
        return tuple(
            _read_tensor(self.handle, i)
            for i in range(native().lib.vh_model_tensor_count(self.handle))
        )

    @property
    def options(self) -> tuple[OptionInfo, ...]:
        """The options that sessions of this model have beside the general ones."""
        n = native()
        raw, found = n.ffi.new("vh_option_info *"), []
        for i in range(n.lib.vh_model_option_count(self.handle)):
            n.call(n.lib.vh_model_get_option, self.handle, i, raw)
            found.append(
                OptionInfo(
                    name=n.text(raw.name),
                    default=n.text(raw.fallback),
                    choices=tuple(filter(None, n.text(raw.choices).split(","))),
                    lowest=int(raw.lowest),
                    highest=int(raw.highest),
                    while_running=bool(raw.while_running),
                    help=n.text(raw.help),
                )
            )
        return tuple(found)

    @property
    def inputs(self) -> tuple[PortInfo, ...]:
        """What a hop takes when sessions are opened with the options' defaults."""
        return self._ports().inputs

    @property
    def outputs(self) -> tuple[PortInfo, ...]:
        """What a hop gives when sessions are opened with the options' defaults."""
        return self._ports().outputs

    def _ports(self) -> Ports:
        n, handle = native(), self.handle
        count = n.lib.vh_model_port_count(handle)
        return read_ports(count, lambda i, port: n.call(n.lib.vh_model_get_port, handle, i, port))

    def session(self, **options: Any) -> Session:  # noqa: ANN401 - the options of Session
        """Open a stream on this model; the options are those of `voxhop.Session`."""
        return Session(self, **options)

    @property
    def handle(self) -> Any:  # noqa: ANN401 - a vh_model *
        """The native model, for the modules of this package.

        Raises
        ------
        StateError
            When the model is closed.
        """
        if self._handle is None:
            raise StateError(f"model {self._source}: used after close()")
        return self._handle

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None

    def close(self) -> None:
        """Let go of the weights; sessions that are open keep working. May be repeated."""
        self._handle = None

    def __copy__(self) -> Model:
        return Model(self.handle, self._source, self._origin)

    def __deepcopy__(self, memo: object) -> Model:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.closed:
            raise StateError(f"model {self._source}: pickled after close()")
        return _reopen, (self._origin.reference, self._origin.digest())

    def __repr__(self) -> str:
        info = self._info
        state = " (closed)" if self.closed else ""
        return (
            f"<voxhop.Model {self._source}: {info.architecture} version {info.version}, "
            f"{info.parameter_count:,} parameters{state}>"
        )


def bundled_models() -> tuple[str, ...]:
    """Return the names of the models inside the package, the default first."""
    names = sorted(path.stem for path in _WEIGHTS.glob("*.gguf"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT_MODEL))


def load(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview = DEFAULT_MODEL,
) -> Model:
    """Load a model.

    Parameters
    ----------
    source
        The name of a model inside the package (see `bundled_models`) or of a published one
        that was downloaded (``voxhop models get``), the path of a GGUF file, or the content
        of one as bytes, which is kept with the model for its pickles. Nothing is ever
        downloaded here.

    Returns
    -------
    Model
        Immutable; one serves every session and thread of the process.

    Raises
    ------
    ModelFileError
        When there is no such model, or the file is damaged or not understood.
    EngineError
        When the engine library is missing or memory runs out.
    """
    name, origin = _located(source)
    return Model(_opened(source, name), name, origin)


def _located(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview,
) -> tuple[str, ContentOrigin | FileOrigin]:
    """Return what a model calls its source, and its origin."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<memory>", ContentOrigin(bytes(source))
    path = find_model(source)
    is_name = isinstance(source, str) and path != Path(source)
    return str(path), FileOrigin(str(source) if is_name else None, path)


def _opened(source: object, path: str) -> Any:  # noqa: ANN401 - a vh_model *
    n = native()
    out = n.ffi.new("vh_model **")
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = n.ffi.from_buffer(source)
        n.call(n.lib.vh_model_open_memory, data, len(data), out)
    else:
        n.call(n.lib.vh_model_open, os.fsencode(path), out)
    return n.own(out[0], n.lib.vh_model_close)


def _reopen(reference: str | bytes, digest: str) -> Model:
    """Return the model of a pickle; `reference` and `digest` are those of its origin."""
    name, origin = _located(reference)
    if origin.digest() != digest:
        raise ModelFileError(f"{name}: not the file that was pickled (SHA-256 {digest})")
    handle = _REOPENED.get(digest)
    if handle is None:
        handle = _REOPENED[digest] = _opened(reference, name)
    return Model(handle, name, origin)


def find_model(source: str | os.PathLike[str]) -> Path:
    """Return the file that `load` opens for a name or path.

    Raises
    ------
    ModelFileError
        When it is neither the name of a bundled or downloaded model nor an existing file.
    """
    if not isinstance(source, (str, os.PathLike)):
        kind = type(source).__name__
        raise DtypeError(f"model: {kind}, expected a name, a path or the bytes of a GGUF file")
    path = Path(source)
    if isinstance(source, str) and source in bundled_models():
        return _WEIGHTS / f"{source}.gguf"
    if path.is_file():
        return path
    from voxhop import registry  # noqa: PLC0415 - only needed for names that are not at hand

    if isinstance(source, str) and registry.is_published(source):
        return registry.model_path(source)
    if path.is_dir():
        raise ModelFileError(f"{path}: a folder, expected a GGUF file")
    known = ", ".join(bundled_models()) or "none"
    raise ModelFileError(f"{path}: no such file, and no model of that name (bundled: {known})")


def _read_info(handle: Any) -> ModelInfo:  # noqa: ANN401 - a vh_model *
    n = native()
    info = n.ffi.new("vh_model_info *")
    n.call(n.lib.vh_model_get_info, handle, info)
    return ModelInfo(
        architecture=n.text(info.architecture),
        name=n.text(info.name),
        version=info.version,
        sample_rate=info.sample_rate,
        hop_samples=info.hop_samples,
        latency_samples=info.latency_samples,
        input_count=info.input_count,
        d_max=info.d_max,
        parameter_count=info.parameter_count,
        macs_per_hop=info.macs_per_hop,
        weight_bytes=info.weight_bytes,
        purpose=n.text(n.lib.vh_model_purpose(handle)),
        memory_samples=n.lib.vh_model_memory(handle),
        warm_up_samples=n.lib.vh_model_warm_up(handle),
        precision=n.text(n.lib.vh_model_precision(handle)),
    )


def _read_tensor(handle: Any, index: int) -> TensorInfo:  # noqa: ANN401 - a vh_model *
    n = native()
    info = n.ffi.new("vh_tensor_info *")
    n.call(n.lib.vh_model_get_tensor, handle, index, info)
    shape = [int(size) for size in info.dims]  # fastest first, padded with ones
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return TensorInfo(n.text(info.name), n.text(info.type), tuple(reversed(shape)))
