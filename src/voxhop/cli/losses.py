"""What the verbs that know lost packets share: which were lost, and what that sounds like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    import numpy as np
    import numpy.typing as npt

    from voxhop import LossTrace

    Floats = npt.NDArray[np.float32]

_SPEECH_RATE = 16_000


def add_loss_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--losses``, ``--simulate``, ``--packet-ms`` and ``--seed``."""
    group = parser.add_argument_group("lost packets")
    which = group.add_mutually_exclusive_group(required=required)
    which.add_argument(
        "--losses", metavar="FILE", help="text of one 0 (arrived) or 1 (lost) per packet"
    )
    which.add_argument(
        "--simulate", metavar="SHARE", help="lose so much at random, such as 10%% or 0.1"
    )
    group.add_argument(
        "--packet-ms", type=float, default=20.0, metavar="MS", help="of a packet (default 20)"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of --simulate (default 0)")


def read_losses(args: argparse.Namespace, seconds: float) -> LossTrace | None:
    """Return the losses that the command line asks for in a recording; None for none.

    Raises
    ------
    ArgumentError, AudioFileError
        For a share that is none, or a file that is no trace.
    """
    from voxhop import LossTrace  # noqa: PLC0415 - the parser needs none of it

    if args.losses is not None:
        return LossTrace.read(args.losses, packet_ms=args.packet_ms)
    if args.simulate is None:
        return None
    share = read_share("--simulate", args.simulate)
    return LossTrace.simulate(share, seconds, packet_ms=args.packet_ms, seed=args.seed)


def read_share(name: str, text: str) -> float:
    """Return a share written as ``10%`` or ``0.1``."""
    number, percent, rest = text.partition("%")
    try:
        share = float(number) / (100.0 if percent else 1.0)
    except ValueError:
        share = -1.0
    if rest or not 0.0 <= share <= 1.0:
        raise ArgumentError(f"{name} {text}: expected a share, such as 10% or 0.1")
    return share


def plcmos_of(signal: Floats, sample_rate: int) -> float | None:
    """Return PLCMOS of a signal ``(frames,)``; None without the extra ``[eval]``."""
    from voxhop.evaluation import perceptual  # noqa: PLC0415 - heavy

    try:
        perceptual.check_installed()
    except ArgumentError:
        return None
    if sample_rate != _SPEECH_RATE:
        import soxr  # noqa: PLC0415 - only where rates differ

        signal = soxr.resample(signal, sample_rate, _SPEECH_RATE)
    return perceptual.plcmos(signal)
