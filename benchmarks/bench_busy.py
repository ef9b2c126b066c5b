"""How late hops are on a machine whose every core is busy with something else.

    python benchmarks/bench_busy.py --hops 3000
    python benchmarks/bench_busy.py --model CODEC --set part=decoder precision=int8

Starts one endless loop per core at the priority of this program, then computes a hop every
16 ms (a frame of a codec every 20), as a live program does, on one session per number of threads
in turns. What counts is the tail: a worker that the system does not run must not hold a hop up
for longer than the system's own turns last.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

import voxhop
from voxhop.figures.hop_timing import hop_ms, inputs_of
from voxhop.figures.machine import cpu_name, machine_load

LOOP = "while True: pass"


@contextmanager
def busy_cores(loops: int) -> Iterator[None]:
    """Keep `loops` cores busy while the block runs."""
    running = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(loops)]  # noqa: S603 - our own line
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure(
    sessions: Sequence[voxhop.Session], hops: int, pace_ms: float
) -> npt.NDArray[np.float64]:
    """Return wall times in ms, ``(sessions, hops)``; a hop of every session per `pace_ms`."""
    count = sessions[0].inputs[0].count
    mic, ref = inputs_of(sessions[0], count * hops)
    times = np.empty((len(sessions), hops))
    due = time.perf_counter()
    for i in range(hops):
        part = slice(i * count, (i + 1) * count)
        heard = () if ref is None else (ref[part],)
        for row, session in zip(times, sessions, strict=True):
            start = time.perf_counter_ns()
            session.process_hop(mic[part], *heard)
            row[i] = (time.perf_counter_ns() - start) / 1e6
            if session.options.history_first:
                session.prepare()
        due = max(due + pace_ms / 1e3, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
    return times


def main() -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Time hops while every core is busy.")
    parser.add_argument("--model", default=voxhop.DEFAULT_MODEL)
    parser.add_argument("--hops", type=int, default=3000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--loops", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="options of the sessions"
    )
    parser.add_argument("--history-first", action="store_true")
    args = parser.parse_args()
    with voxhop.load(args.model) as model:
        how = dict(text.split("=", 1) for text in args.set)
        sessions = [
            model.session(threads=n, history_first=args.history_first, **how) for n in args.threads
        ]
        length = hop_ms(sessions[0])
        load = machine_load()
        with busy_cores(args.loops):
            times = measure(sessions, args.hops, length)
    print(f"{cpu_name()}, {os.cpu_count()} cores, {args.loops} busy loops beside a load of {load}")
    print()
    print("| threads | hops | p50 ms | p99 ms | p99.9 ms | max ms | late |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for n, row in zip(args.threads, times, strict=True):
        p50, p99, p999 = np.percentile(row, [50, 99, 99.9])
        late = np.count_nonzero(row > length)
        print(
            f"| {n} | {row.size} | {p50:.2f} | {p99:.2f} | {p999:.2f} | {row.max():.2f} | {late} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
