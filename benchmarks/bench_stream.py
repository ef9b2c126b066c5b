"""What the stream layer costs on top of the session inside it, in CPU time per hop.

    python benchmarks/bench_stream.py [--rate 48000] [--dtype int16] [--kernels auto]

Stream and session take turns on the same audio in one process; both are timed by the CPU
clock of the thread, so other work on the machine changes little but the caches.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import soxr

import voxhop
from voxhop.io import AudioReader

DEMO = Path(voxhop.__file__).parent / "demo"
BATCH_HOPS = 8


def demo_tracks(rate: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the demo call at `rate`, whole batches long."""
    tracks = []
    for name in ("mic", "ref"):
        with AudioReader(DEMO / f"{name}.flac") as reader:
            x = reader.read(reader.frames)[:, 0]
            x = soxr.resample(x, reader.rate, rate) if reader.rate != rate else x
        x = np.clip(np.rint(x * 32768), -32768, 32767) if dtype == "int16" else x
        tracks.append(np.ascontiguousarray(x.astype(dtype)))
    return tracks[0], tracks[1]


def batches(track: np.ndarray, frames: int) -> list[np.ndarray]:
    """Cut a track into equal batches, dropping the rest."""
    count = len(track) // frames
    return list(track[: count * frames].reshape(count, frames))


def measure(rate: int, dtype: str, options: voxhop.SessionOptions) -> dict[str, float | str]:
    """Return medians and minima per hop, in microseconds."""
    model = voxhop.load()
    mic, ref = demo_tracks(rate, dtype)
    narrow_mic, narrow_ref = demo_tracks(16000, dtype)
    stream_us, session_us, metrics_us = [], [], []
    settings = {"sample_rate": rate, "delay_ms": "auto"}
    with (
        voxhop.Stream(model, options=options, **settings) as stream,
        model.session(**vars(options)) as session,
    ):
        hop = session.hop_length
        frames = BATCH_HOPS * hop * rate // model.sample_rate
        wide = zip(batches(mic, frames), batches(ref, frames), strict=True)
        narrow = zip(
            batches(narrow_mic, BATCH_HOPS * hop),
            batches(narrow_ref, BATCH_HOPS * hop),
            strict=True,
        )
        out = np.empty(hop, dtype)
        for (m, r), (nm, nr) in zip(wide, narrow, strict=False):
            start = time.thread_time_ns()
            stream.process(m, r)
            mid = time.thread_time_ns()
            for at in range(0, BATCH_HOPS * hop, hop):
                session.process_hop_into(nm[at : at + hop], nr[at : at + hop], out)
            end = time.thread_time_ns()
            _ = stream.metrics
            metrics_us.append((time.thread_time_ns() - end) / 1e3)
            stream_us.append((mid - start) / 1e3 / BATCH_HOPS)
            session_us.append((end - mid) / 1e3 / BATCH_HOPS)
        kernels = session.info.kernels
    layer = np.array(stream_us) - np.array(session_us)
    return {
        "rate": str(rate),
        "dtype": dtype,
        "kernels": kernels,
        "hops": float(len(stream_us) * BATCH_HOPS),
        "session_min_us": min(session_us),
        "session_median_us": float(np.median(session_us)),
        "stream_min_us": min(stream_us),
        "stream_median_us": float(np.median(stream_us)),
        "layer_of_mins_us": min(stream_us) - min(session_us),
        "layer_median_us": float(np.median(layer)),
        "read_metrics_median_us": float(np.median(metrics_us)),
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=48000)
    parser.add_argument("--dtype", choices=["int16", "float32"], default="int16")
    parser.add_argument("--kernels", default="auto")
    args = parser.parse_args()
    result = measure(args.rate, args.dtype, voxhop.SessionOptions(kernels=args.kernels))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
