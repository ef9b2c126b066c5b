"""What the verbs share: their parser, their output and their progress bar."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - no public name

_BAR_CELLS: Final = 28
_BAR_PERIOD_S: Final = 0.1
_COLUMNS: Final = 80  # where there is no terminal


class HelpText(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal.

    argparse asks for a formatter with every argument, and itself finds the width by a module
    that takes longer to load than a verb's whole parser to make.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    with contextlib.suppress(KeyError, ValueError):
        if (told := int(os.environ["COLUMNS"])) > 0:
            return told
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if (found := os.get_terminal_size(sys.__stdout__.fileno()).columns) > 0:  # type: ignore[union-attr]
            return found
    return _COLUMNS


def new_verb(
    subparsers: Subparsers,
    run: Callable[[argparse.Namespace], int],
    *,
    name: str,
    summary: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add a verb's parser, with its example in the help and ``--json``.

    Parameters
    ----------
    subparsers
        What ``add_parser`` of the verb was given.
    run
        The verb's ``run``.
    name, summary
        The verb and one line about it.
    example
        One command line (or several) that works as it stands.
    """
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[:1].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=HelpText,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run=run)
    return parser


def add_session_options(parser: argparse.ArgumentParser, *, comfort_noise: bool = True) -> None:
    """Add ``--kernels``, ``--isa``, ``--precision``, ``--threads`` and comfort noise."""
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--kernels", default="auto", metavar="SET", help="auto (default), fused or stock"
    )
    group.add_argument(
        "--isa",
        default="auto",
        metavar="ISA",
        help="instruction set, as doctor lists them (default auto)",
    )
    group.add_argument(
        "--precision",
        default="auto",
        metavar="P",
        help="f32, f16, bf16, int8 (doctor says which is fastest here) or auto (default): the "
        "model's, see info",
    )
    group.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads per hop (default 1)"
    )
    if not comfort_noise:
        return
    group.add_argument(
        "--no-comfort-noise",
        dest="comfort_noise",
        action="store_false",
        help="leave out the noise that a model may add where it suppresses an echo",
    )


def add_door(parser: argparse._ActionsContainer) -> None:
    """Add ``--highpass-hz`` and ``--no-declip``: what a microphone passes first."""
    parser.add_argument(
        "--highpass-hz",
        type=float,
        metavar="HZ",
        help="take away what lies below this, offsets and rumble (default 30; 0: nothing)",
    )
    parser.add_argument(
        "--no-declip",
        dest="declip",
        action="store_false",
        help="leave samples that were cut at one level as they are",
    )


def door_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a stream that `add_door` read."""
    settings: dict[str, Any] = {} if args.declip else {"declip": False}
    if args.highpass_hz is not None:
        settings["highpass_hz"] = args.highpass_hz
    return settings


def add_stream_settings(parser: argparse.ArgumentParser) -> None:
    """Add what a live stream may be told: delay, strength, gate, door, missing reference."""
    parser.add_argument(
        "--delay-ms",
        default="auto",
        metavar="MS",
        help="delay the reference by so much (default auto: found)",
    )
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="S", help="0 to 1 (default 1: all)"
    )
    parser.add_argument(
        "--gate-dbfs", type=float, metavar="DB", help="mute moments below this level"
    )
    add_door(parser)
    parser.add_argument(
        "--missing-ref",
        choices=["zeros", "hold", "bypass"],
        default="hold",
        help="what a reference that stops counts as (default hold)",
    )


def stream_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `voxhop.Stream` that `add_stream_settings` read.

    Those of `add_model_options` are among them.
    """
    settings: dict[str, Any] = {
        "delay_ms": _delay(args.delay_ms),
        "strength": args.strength,
        "missing_ref": args.missing_ref,
    }
    if args.gate_dbfs is not None:
        settings["gate_dbfs"] = args.gate_dbfs
    return settings | door_settings(args) | stream_model_options(args)


def _delay(text: str) -> float | str:
    try:
        return "auto" if text == "auto" else float(text)
    except ValueError:
        raise ArgumentError(f"--delay-ms {text}: expected a number or auto") from None


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--set``, the options that a model has of its own."""
    parser.add_argument(
        "--set",
        dest="model_options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the model, as voxhop info lists them; may be repeated",
    )


def model_options(args: argparse.Namespace) -> dict[str, str]:
    """Return what `add_model_options` read.

    Raises
    ------
    ArgumentError
        For what is no name and value, or a name that comes twice.
    """
    values: dict[str, str] = {}
    for text in args.model_options:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ArgumentError(f"--set {text}: expected NAME=VALUE")
        if name in values:
            raise ArgumentError(f"--set {text}: {name} again, after {values[name]}")
        values[name] = value
    return values


def stream_model_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the same as `voxhop.Stream` calls them: ``sample_rate`` is the caller's there."""
    values: dict[str, Any] = {**model_options(args)}
    if "sample_rate" in values:
        values["model_rate"] = values.pop("sample_rate")
    return values


def session_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `voxhop.Session` that `add_session_options` read."""
    names = ("kernels", "isa", "precision", "threads", "comfort_noise")
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def say(text: str = "") -> None:
    """Write one line for people on stdout."""
    sys.stdout.write(text + "\n")


def print_json(value: object) -> None:
    """Write `value` on stdout as one indented JSON object; NaN and infinities become null."""
    import json  # noqa: PLC0415 - seldom asked for

    from voxhop.engine.plain import plain  # noqa: PLC0415 - the same

    sys.stdout.write(json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


class ProgressBar:
    """A bar on stderr while it is a terminal, and nothing at all otherwise.

    Parameters
    ----------
    label
        What is being done, in a word or two.

    Notes
    -----
    `update` is what `voxhop.enhance_file` wants as ``progress``.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = sys.stderr.isatty()
        self._start = time.monotonic()
        self._next = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def update(self, done_s: float, total_s: float, note: str = "") -> None:
        """Show that `done_s` of `total_s` seconds of audio are done, and a note behind."""
        now = time.monotonic()
        if not self._shown or (now < self._next and done_s < total_s):
            return
        self._next = now + _BAR_PERIOD_S
        share = min(1.0, done_s / total_s) if total_s > 0 else 1.0
        cells = round(share * _BAR_CELLS)
        elapsed = now - self._start
        left = elapsed * (1.0 - share) / share if share > 0 else math.nan
        eta = f"{left:.0f} s left" if math.isfinite(left) else ""
        bar = "#" * cells + "." * (_BAR_CELLS - cells)
        sys.stderr.write(f"\r\x1b[K{self._label} [{bar}] {share:4.0%} {eta}{note}")
        sys.stderr.flush()
