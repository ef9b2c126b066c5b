"""What the verbs that look at a stretch of a recording share: reading the two sides of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_KEEP_S = 600.0


def add_track_arguments(parser: argparse.ArgumentParser, *, seconds: float = _KEEP_S) -> None:
    """Add the microphone, ``--ref``, the channels and the stretch to look at."""
    parser.add_argument("mic", help="microphone recording, any format")
    parser.add_argument("--ref", help="what the loudspeaker played")
    parser.add_argument("--mic-channel", type=int, metavar="N", help="of MIC, from 0 (default 0)")
    parser.add_argument(
        "--ref-channel",
        type=int,
        metavar="N",
        help="the reference is this channel of --ref; without --ref, of MIC",
    )
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="begin here (default 0)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        metavar="S",
        help=f"look at so much (default {seconds:g})",
    )


def read_tracks(args: argparse.Namespace) -> tuple[Floats, Floats | None, int]:
    """Return microphone, reference (or None) and sample rate of the stretch that `args` names.

    The reference is converted to the microphone's rate, and padded with silence or cut to
    its length.

    Raises
    ------
    ArgumentError
        For channels or a stretch that do not exist.
    AudioFileError
        For files that cannot be read.
    """
    mics, rate = _read(args.mic, args.start, args.seconds)
    own_ref = args.ref is None and args.ref_channel is not None
    mic = _channel(mics, "--mic-channel", 0 if args.mic_channel is None else args.mic_channel)
    if own_ref:
        if args.ref_channel == (args.mic_channel or 0):
            raise ArgumentError(f"--ref-channel {args.ref_channel}: the microphone too")
        return mic, _channel(mics, "--ref-channel", args.ref_channel), rate
    if args.ref is None:
        return mic, None, rate
    refs, ref_rate = _read(args.ref, args.start, args.seconds)
    ref = refs.mean(axis=1) if args.ref_channel is None else None
    ref = _channel(refs, "--ref-channel", args.ref_channel) if ref is None else ref
    return mic, _fit(ref, ref_rate, rate, len(mic)), rate


def _read(path: str, start: float, seconds: float) -> tuple[Any, int]:
    from voxhop.io import AudioReader  # noqa: PLC0415 - the parser needs none of it

    if start < 0 or seconds < 1:
        raise ArgumentError(f"--start {start:g} --seconds {seconds:g}: expected from 0, at least 1")
    with AudioReader(path) as reader:
        if start >= reader.seconds:
            raise ArgumentError(f"{path}: {reader.seconds:.1f} s long, --start {start:g} is beyond")
        skip = round(start * reader.rate)
        while skip > 0:
            skip -= len(reader.read(min(skip, reader.rate)))
        return reader.read(round(seconds * reader.rate)), reader.rate


def _channel(block: Any, name: str, channel: int) -> Any:  # noqa: ANN401 - numpy is not loaded yet
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    if not 0 <= channel < block.shape[1]:
        raise ArgumentError(f"{name} {channel}: expected 0 to {block.shape[1] - 1}")
    return np.ascontiguousarray(block[:, channel])


def _fit(ref: Any, ref_rate: int, rate: int, length: int) -> Any:  # noqa: ANN401
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    if ref_rate != rate:
        import soxr  # noqa: PLC0415 - only where rates differ

        ref = soxr.resample(ref, ref_rate, rate)
    return np.pad(ref[:length], (0, max(0, length - len(ref)))).astype(np.float32)
