"""``voxhop enhance`` through a stream: alignment, strength, two-sided calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from voxhop.cli.verb import ProgressBar, print_json, say, session_options
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.stream_files import StreamFileReport
    from voxhop.stream_types import StreamMetrics

_CHOICES: Final = ("delay_ms", "strength", "floor_db", "gate_dbfs", "high_band", "lookahead_ms")


def add_stream_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--align``, ``--cross`` and the settings of a stream."""
    group = parser.add_argument_group(
        "alignment", "any of these sends the recording through a stream (docs/stream.md)"
    )
    group.add_argument(
        "--align", action="store_true", help="find the delay of the echo, follow drift and jumps"
    )
    group.add_argument(
        "--cross", action="store_true", help="a call, one party per channel: clean both sides"
    )
    group.add_argument("--delay-ms", metavar="MS", help="delay the reference; a number or auto")
    group.add_argument("--lookahead-ms", type=float, metavar="MS", help="reference comes late")
    group.add_argument("--strength", type=float, help="0 (microphone) to 1 (all of the model)")
    group.add_argument("--floor-db", type=float, metavar="DB", help="lower nothing by more")
    group.add_argument("--gate-dbfs", type=float, metavar="DB", help="mute what is below")
    group.add_argument("--high-band", choices=["follow", "drop"], help="above 8 kHz; follow")


def wants_stream(args: argparse.Namespace) -> bool:
    """Return whether any option asks for a stream."""
    chosen = any(getattr(args, name) is not None for name in _CHOICES)
    return bool(args.align or args.cross or chosen)


def run_stream(args: argparse.Namespace) -> int:
    """Enhance the file through streams and say what changed."""
    from voxhop import SessionOptions  # noqa: PLC0415 - the parser needs none of it
    from voxhop.stream_files import stream_file  # noqa: PLC0415

    with ProgressBar("enhancing") as bar:
        report = stream_file(
            args.mic,
            args.out,
            ref=args.ref,
            cross=args.cross,
            model=args.model,
            mic_channel=args.mic_channel,
            ref_channel=args.ref_channel,
            subtype=args.subtype,
            progress=bar.update,
            options=SessionOptions(**session_options(args)),
            **_settings(args),
        )
    if args.json:
        print_json(report)
    else:
        _tell(report, cross=args.cross)
    return 0


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    settings = {name: getattr(args, name) for name in _CHOICES if getattr(args, name) is not None}
    delay = settings.get("delay_ms", "auto")
    if delay != "auto":
        try:
            settings["delay_ms"] = float(delay)
        except ValueError:
            raise ArgumentError(f"--delay-ms {delay}: expected a number or auto") from None
    if args.align and delay != "auto":
        raise ArgumentError("--align: finds the delay itself; expected no --delay-ms with it")
    return settings


def _tell(report: StreamFileReport, *, cross: bool) -> None:
    plural = "s" if report.channels > 1 else ""
    say(
        f"{report.out}: {report.seconds:.1f} s, {report.channels} channel{plural}, "
        f"{report.sample_rate} Hz, made at {report.speed:.1f} times real time"
    )
    for i, side in enumerate(report.sides):
        name = f"channel {i}" + (f" against channel {1 - i}" if cross else "")
        say(f"{name}: {_side(side)}" if report.channels > 1 else _side(side))
    if report.clipped_samples:
        say(f"{report.clipped_samples} samples were beyond full scale and were cut to it")


def _side(metrics: StreamMetrics) -> str:
    if metrics.ref_unrelated:
        return "no echo of the reference found; it was not used"
    if metrics.delay_ms is None:
        return "echo delay not found"
    drift = "" if metrics.drift_ppm is None else f", drift {metrics.drift_ppm:+.1f} ppm"
    jumps = f", re-aligned {metrics.realignments} times" if metrics.realignments else ""
    return (
        f"echo delay {metrics.delay_ms:.1f} ms at the end (confidence "
        f"{metrics.delay_confidence:.2f}){drift}{jumps}"
    )
