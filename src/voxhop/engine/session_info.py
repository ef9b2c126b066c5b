"""What a session is opened with and what it tells about itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._bindings import native

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

ALIGN_TAP: Final = "align.weights"


@dataclass(frozen=True)
class SessionOptions:
    """How the sessions of a stream or recording compute; see `Session` for the values.

    Where nothing is said they take the precision of the model (`ModelInfo.precision`); a
    `Session` or `SessionGroup` of your own takes f32.
    """

    kernels: str = "auto"
    isa: str = "auto"
    precision: str = "auto"
    threads: int = 1
    history_first: bool = False
    comfort_noise: bool = True


def split_options(options: dict[str, Any]) -> tuple[SessionOptions, dict[str, Any]]:
    """Return how a session computes, and what is left: the model's own options."""
    own = {field.name for field in fields(SessionOptions)}
    general = {name: value for name, value in options.items() if name in own}
    return SessionOptions(**general), {k: v for k, v in options.items() if k not in own}


@dataclass(frozen=True)
class SessionInfo:
    """What a session runs on.

    Attributes
    ----------
    kernels, isa, precision, threads
        What ``"auto"`` became; `isa` is ``"ggml"`` for the stock kernels.
    node_count
        Graph nodes computed per hop.
    state_bytes, scratch_bytes
        Memory of one stream: its state, and activations and tables beside it.
    """

    kernels: str
    isa: str
    precision: str
    threads: int
    node_count: int
    state_bytes: int
    scratch_bytes: int


@dataclass(frozen=True)
class SessionMetrics:
    """Figures of a session so far.

    Attributes
    ----------
    hops
        Hops since opening, `Session.reset` or `Session.load_state`.
    delay_ms, delay_confidence
        Where the model looked for the echo in the last hop: the delay of the reference
        behind which most attention lies, to one hop, and the share of the attention
        within one hop of it (0 to 1). Meaningful while the loudspeaker plays: without an
        echo the attention is spread, and the confidence low. None before the first hop
        and for a model without an alignment block.
    last_hop_ms, worst_hop_ms
        Wall time of the last and of the slowest call, None before the first.
    """

    hops: int
    delay_ms: float | None
    delay_confidence: float | None
    last_hop_ms: float | None
    worst_hop_ms: float | None


def read_info(call: Callable[..., None]) -> SessionInfo:
    """Return what an object runs on; `call` is its `Owner._call`."""
    raw, text = native().ffi.new("vh_session_info *"), native().text
    call("get_info", raw)
    return SessionInfo(
        kernels=text(raw.kernels),
        isa=text(raw.isa),
        precision=text(raw.precision),
        threads=raw.n_threads,
        node_count=raw.node_count,
        state_bytes=raw.state_bytes,
        scratch_bytes=raw.scratch_bytes,
    )


def computed_by(info: SessionInfo) -> dict[str, str]:
    """Return the options that give the same kernels elsewhere: states are of one kernel set."""
    isa = info.isa if info.kernels == "fused" else "auto"
    return {"kernels": info.kernels, "isa": isa, "precision": info.precision}


def read_delay(weights: npt.NDArray[np.floating[Any]], hop_ms: float) -> tuple[float, float]:
    """Return delay in ms and confidence of alignment weights, oldest delay first.

    Parameters
    ----------
    weights
        ``(d_max,)``; entry i is the weight of a delay of ``d_max - 1 - i`` hops.
    hop_ms
        Length of a hop in milliseconds.
    """
    peak = int(np.argmax(weights))
    total = float(np.sum(weights))
    near = float(np.sum(weights[max(0, peak - 1) : peak + 2]))
    confidence = near / total if total > 0 and math.isfinite(total) else 0.0
    return (weights.size - 1 - peak) * hop_ms, confidence
