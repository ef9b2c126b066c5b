"""``voxhop bench``: how fast a hop is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxhop.cli.verb import (
    ProgressBar,
    add_model_options,
    add_session_options,
    model_options,
    new_verb,
    print_json,
    say,
    session_options,
)
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop import SessionOptions
    from voxhop.benchmark import BenchResult
    from voxhop.cli.verb import Subparsers
    from voxhop.figures.streams import StreamsResult

_COLUMNS = (
    "| CPU | kernels | isa | precision | threads | cache "
    "| p50 ms | p99 ms | max ms | RTF | CPU min ms | CPU p50 ms | load | nodes |"
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="bench",
        summary="time a hop: p50, p99 and max, hot and cold caches, memory",
        example="voxhop bench --hops 1000 --json\n  voxhop bench --streams 16 --precision int8",
    )
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")
    add_model_options(parser)
    parser.add_argument(
        "--hops", type=int, default=500, metavar="N", help="hops to time (default 500)"
    )
    parser.add_argument("--hot", action="store_true", help="hot caches only")
    parser.add_argument("--alone", action="store_true", help="do not time the stock kernels too")
    parser.add_argument(
        "--streams", type=int, metavar="B", help="time B streams together instead of one"
    )
    parser.add_argument(
        "--history-first", action="store_true", help="prepare each hop, and time the rest of it"
    )
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print a table or a few lines, or JSON."""
    from voxhop import DEFAULT_MODEL, SessionOptions, benchmark  # noqa: PLC0415 - the parser needs none of it

    options = SessionOptions(**session_options(args), history_first=args.history_first)
    if args.streams is not None:
        return _run_streams(args, options)
    with ProgressBar("timing") as bar:
        result = benchmark.run(
            args.model or DEFAULT_MODEL,
            [options] if args.alone else benchmark.contenders_for(options),
            values=model_options(args),
            hops=args.hops,
            caches=("hot",) if args.hot else benchmark.CACHES,
            progress=bar.update,
        )
    if args.json:
        print_json(result)
    else:
        say(markdown(result))
    return 0


def _run_streams(args: argparse.Namespace, options: SessionOptions) -> int:
    if args.hot or args.alone:
        raise ArgumentError("--hot, --alone: not with --streams, which times one group only")
    from voxhop import DEFAULT_MODEL  # noqa: PLC0415 - the parser needs none of it
    from voxhop.figures.streams import run_streams  # noqa: PLC0415 - the same

    with ProgressBar("timing") as bar:
        result = run_streams(
            args.model or DEFAULT_MODEL,
            args.streams,
            options,
            values=model_options(args),
            rounds=args.hops,
            progress=bar.update,
        )
    if args.json:
        print_json(result)
    else:
        _tell_streams(result)
    return 0


def _tell_streams(result: StreamsResult) -> None:
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    say(
        f"{result.streams} streams on {result.cpu}, load {_number(result.load)}: "
        f"{result.kernels} {result.isa} {result.precision}, {threads}, "
        f"{result.state_bytes:,} bytes a stream"
    )
    say(
        f"a round: p50 {result.p50_ms:.2f} ms, p99 {result.p99_ms:.2f} ms, "
        f"max {result.max_ms:.2f} ms, {result.late_rounds} of {result.rounds} late; "
        f"CPU min {result.cpu_min_ms:.2f} ms"
    )
    say(
        f"streams per core: {result.streams_per_core:.1f} by least CPU time, "
        f"{result.streams_per_core_p99:.1f} at the deadline in 99 % of rounds of this run"
    )


def markdown(result: BenchResult) -> str:
    """Return the result as text with a Markdown table."""
    memory = result.memory
    model, session = _mib(memory.rss_model_bytes), _mib(memory.rss_session_bytes)
    return "\n".join(
        [
            f"{result.model} on {result.cpu}, {result.cores} cores, {result.system}",
            f"voxhop {result.engine}, ggml {result.ggml}",
            f"hop: {result.hop_ms:g} ms of audio, {result.macs_per_hop / 1e6:.1f} M MAC",
            f"memory: {model} for the model, {session} per session",
            "",
            *header(),
            *rows(result),
            *comparisons(result),
        ]
    )


def comparisons(result: BenchResult) -> list[str]:
    """Return what the first contender's threads and its preparing ahead gain, in words."""
    first, *others = result.contenders
    hot = first.timings[0]
    lines = []
    for other in others:
        whole = other.timings[0]
        if (other.kernels, other.isa) != (first.kernels, first.isa):
            continue
        if other.threads != first.threads:
            lines.append(
                f"{first.threads} threads: a hop in {hot.min_ms / whole.min_ms:.2f} of the wall "
                f"time of one by the least, {hot.p50_ms / whole.p50_ms:.2f} by the median"
            )
        elif other.history_first != first.history_first:
            lines.append(
                "history first: samples in to samples out in "
                f"{hot.min_ms / whole.min_ms:.2f} of a whole hop by the least wall time"
            )
    return ["", *lines] if lines else []


def header() -> list[str]:
    """Return the two lines above `rows`."""
    return [_COLUMNS, "|---|" + "---|" * (_COLUMNS.count("|") - 2)]


def rows(result: BenchResult) -> list[str]:
    """Return the Markdown rows of a result, one per way of computing and state of the caches."""
    return [
        f"| {result.cpu} | {c.kernels}{', prepared' * c.history_first} "
        f"| {c.isa} | {c.precision} | {c.threads} | {t.cache} "
        f"| {t.p50_ms:.3f} | {t.p99_ms:.3f} | {t.max_ms:.3f} | {t.real_time_factor:.3f} "
        f"| {t.cpu_min_ms:.3f} | {t.cpu_p50_ms:.3f} | {_number(result.load)} | {c.node_count} |"
        for c in result.contenders
        for t in c.timings
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _mib(size: int | None) -> str:
    return "not measured" if size is None else f"{size / 2**20:.2f} MiB"
