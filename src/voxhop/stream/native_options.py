"""Options of streams as C reads them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from voxhop._bindings import native
from voxhop.errors import ArgumentError, DtypeError
from voxhop.stream.types import CHANNEL_RULES, HIGH_BANDS, MISSING_REF

if TYPE_CHECKING:
    from voxhop.engine.native_options import NativeSessionOptions
    from voxhop.stream.types import StreamOptions


def native_stream_options(options: StreamOptions, session: NativeSessionOptions) -> Any:  # noqa: ANN401
    """Return a ``vh_stream_options``; `session` must live until the stream is open."""
    n = native()
    out = n.ffi.new("vh_stream_options *")
    n.lib.vh_stream_options_init(out)
    for name in ("sample_rate", "channels", "ref_channels"):
        setattr(out, name, _whole(name, getattr(options, name)))
    out.channel_rule = index_of("channel_rule", options.channel_rule, CHANNEL_RULES)
    out.missing_ref = index_of("missing_ref", options.missing_ref, MISSING_REF)
    out.high_band = index_of("high_band", options.high_band, HIGH_BANDS)
    out.delay_ms = math.nan if options.delay_ms == "auto" else number("delay_ms", options.delay_ms)
    for name in ("lookahead_ms", "strength", "floor_db", "gate_dbfs", "highpass_hz"):
        setattr(out, name, number(name, getattr(options, name)))
    out.auto_bypass = int(bool(options.auto_bypass))
    out.keep_unrelated = int(bool(options.keep_unrelated))
    out.gap_guard = int(bool(options.gap_guard))
    out.governor = int(bool(options.governor))
    out.declip = int(bool(options.declip))
    out.session = session.struct
    return out


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise DtypeError(f"{name}: {value!r}, expected a whole number")
    found = value.__index__()
    if not 0 <= found < 2**31:
        raise ArgumentError(f"{name}: {found}, expected a positive number of 31 bits")
    return int(found)


def number(name: str, value: object) -> float:
    """Return a number as C takes it; raise for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DtypeError(f"{name}: {value!r}, expected a number")
    if math.isnan(value):
        raise ArgumentError(f"{name}: not a number")
    return float(value)


def index_of(name: str, value: str, names: tuple[str, ...]) -> int:
    """Return the number of a word; raise for one that is not among `names`."""
    if value not in names:
        raise ArgumentError(f"{name}: {value!r}, expected one of {', '.join(names)}")
    return names.index(value)
