"""``voxhop pipe``: raw PCM in, raw PCM out, for chains of programs."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from voxhop.cli.verb import (
    add_model_options,
    add_session_options,
    add_stream_settings,
    new_verb,
    session_options,
    stream_settings,
)
from voxhop.engine.plain import plain
from voxhop.errors import ArgumentError, AudioFileError

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from voxhop.cli.verb import Subparsers
    from voxhop.stream.types import StreamMetrics

_DTYPES: Final = {"s16": "<i2", "f32": "<f4"}
_BLOCK_S: Final = 0.01


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="pipe",
        summary="enhance raw PCM from stdin to stdout, as it comes",
        example=(
            "arecord -t raw -f S16_LE -r 48000 -c 2 | voxhop pipe --rate 48000 --channels 2 "
            "| aplay -f S16_LE -r 48000"
        ),
    )
    parser.add_argument(
        "--rate", type=int, default=48000, metavar="HZ", help="sample rate (default 48000)"
    )
    parser.add_argument(
        "--format", choices=sorted(_DTYPES), default="s16", help="of a sample (default s16)"
    )
    parser.add_argument(
        "--channels", type=int, default=1, metavar="N", help="channels on stdin (default 1)"
    )
    parser.add_argument(
        "--mic-channel", type=int, default=0, metavar="N", help="of stdin, from 0 (default 0)"
    )
    parser.add_argument(
        "--ref-channel",
        type=int,
        metavar="N",
        help="of stdin (default: the other of two, else none)",
    )
    parser.add_argument(
        "--ref", metavar="FILE", help="take a mono reference from this file or FIFO"
    )
    parser.add_argument(
        "--ref-fd", type=int, metavar="FD", help="take a mono reference from this file descriptor"
    )
    add_stream_settings(parser)
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")
    add_model_options(parser)
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """Pump until stdin ends. As many frames come out as went in, aligned with them."""
    from voxhop import SessionOptions, Stream, load  # noqa: PLC0415 - the parser needs none of it

    layout = _layout(args)
    _refuse_terminals()
    settings = stream_settings(args)
    options = SessionOptions(**session_options(args))
    model = load(args.model) if args.model else load()
    with (
        Stream(model, options=options, sample_rate=args.rate, **settings) as stream,
        _reference(args) as ref,
    ):
        _pump(stream, layout, sys.stdin.buffer, ref, sys.stdout.buffer)
        metrics = stream.metrics
        _flush(stream, layout, sys.stdout.buffer)
    _tell(metrics, as_json=args.json)
    return 0


@dataclass
class _Layout:
    """Where the sides lie in a frame of stdin, and how much of the lag is still to drop."""

    dtype: str
    channels: int
    mic: int
    ref: int | None
    block: int
    to_drop: int = -1

    @property
    def frame_bytes(self) -> int:
        return self.channels * int(self.dtype[-1])


def _layout(args: argparse.Namespace) -> _Layout:
    separate = args.ref is not None or args.ref_fd is not None
    if args.ref is not None and args.ref_fd is not None:
        raise ArgumentError("--ref and --ref-fd: expected one of them")
    ref = args.ref_channel
    if ref is None and args.channels == 2 and not separate:  # noqa: PLR2004 - a pair
        ref = 1 - args.mic_channel
    if separate and args.ref_channel is not None:
        raise ArgumentError("--ref-channel: of stdin; expected no --ref or --ref-fd with it")
    if args.channels < 1:
        raise ArgumentError(f"--channels {args.channels}: expected 1 or more")
    for name, channel in (("--mic-channel", args.mic_channel), ("--ref-channel", ref)):
        if channel is not None and not 0 <= channel < args.channels:
            raise ArgumentError(f"{name} {channel}: expected 0 to {args.channels - 1}")
    if ref == args.mic_channel:
        raise ArgumentError(f"--ref-channel {ref}: the microphone too")
    block = max(1, round(args.rate * _BLOCK_S))
    return _Layout(_DTYPES[args.format], args.channels, args.mic_channel, ref, block)


def _refuse_terminals() -> None:
    """Raise when samples would be typed in, or thrown at a terminal."""
    if sys.stdin.isatty():
        raise ArgumentError("stdin: a terminal, expected raw samples from a program or file")
    if sys.stdout.isatty():
        raise ArgumentError("stdout: a terminal, expected a program or file for raw samples")


def _reference(args: argparse.Namespace) -> Any:  # noqa: ANN401 - a file or none, to be entered
    if args.ref is not None:
        try:
            return open(args.ref, "rb", buffering=0)  # noqa: PTH123 - unbuffered
        except OSError as error:
            raise AudioFileError(f"--ref {args.ref}: {error.strerror}") from error
    if args.ref_fd is not None:
        try:
            return os.fdopen(args.ref_fd, "rb", buffering=0)
        except OSError as error:
            raise ArgumentError(f"--ref-fd {args.ref_fd}: {error.strerror}") from error
    return contextlib.nullcontext()


def _pump(
    stream: Any,  # noqa: ANN401 - a Stream
    layout: _Layout,
    source: BinaryIO,
    ref_source: BinaryIO | None,
    sink: BinaryIO,
) -> None:
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    layout.to_drop = stream.latency_samples
    while data := _read(source, layout.block * layout.frame_bytes):
        whole = len(data) - len(data) % layout.frame_bytes
        frames = np.frombuffer(data[:whole], layout.dtype).reshape(-1, layout.channels)
        mic = np.ascontiguousarray(frames[:, layout.mic])
        ref = None
        if layout.ref is not None:
            ref = np.ascontiguousarray(frames[:, layout.ref])
        elif ref_source is not None:
            ref = _read_reference(ref_source, len(mic), layout.dtype)
        _write(layout, sink, stream.process(mic, ref))


def _flush(stream: Any, layout: _Layout, sink: BinaryIO) -> None:  # noqa: ANN401 - a Stream
    _write(layout, sink, stream.flush())


def _write(layout: _Layout, sink: BinaryIO, block: Any) -> None:  # noqa: ANN401 - an array
    dropped = min(layout.to_drop, len(block))
    layout.to_drop -= dropped
    sink.write(block[dropped:].astype(layout.dtype, copy=False).tobytes())
    sink.flush()


def _read_reference(source: BinaryIO, frames: int, dtype: str) -> Any:  # noqa: ANN401 - an array
    """Return as many frames, or None once there are not enough: the reference is missing."""
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    size = frames * int(dtype[-1])
    data = _read(source, size)
    return np.frombuffer(data, dtype) if len(data) == size else None


def _read(source: BinaryIO, size: int) -> bytes:
    """Return `size` bytes, fewer at the end only: a raw descriptor gives what it has."""
    parts, have = [], 0
    while have < size:
        part = source.read(size - have)
        if not part:
            break
        parts.append(part)
        have += len(part)
    return b"".join(parts)


def _tell(metrics: StreamMetrics, *, as_json: bool) -> None:
    """Write the figures on stderr, since stdout is sound."""
    import json  # noqa: PLC0415 - the parser needs none of it

    if as_json:
        sys.stderr.write(json.dumps(plain(metrics)) + "\n")
    elif sys.stderr.isatty():
        delay = "not found" if metrics.delay_ms is None else f"{metrics.delay_ms:.1f} ms"
        erle = "unknown" if metrics.erle_db is None else f"{metrics.erle_db:.1f} dB"
        sys.stderr.write(f"echo delay {delay}, ERLE {erle}, {metrics.late_hops} late hops\n")
