"""Run by test_no_allocation.py with interpose.c preloaded; prints what it counted as JSON."""

import ctypes
import json
import sys

import numpy as np

import voxhop
from voxhop._bindings import native

RATE = 48000
WARM_UP_S = 1


def main():
    """Count the allocations and mutex locks of a second of 10 ms blocks, after a first one."""
    frames, calls = int(sys.argv[1]), int(sys.argv[2])
    n = native()

    def address(cdata):
        return ctypes.c_void_p(int(n.ffi.cast("uintptr_t", cdata)))

    rng = np.random.default_rng(0)
    mic = (0.1 * rng.standard_normal(frames)).astype(np.float32)
    out = np.empty_like(mic)
    counts = (ctypes.c_long * 2)()
    with voxhop.load() as model, voxhop.Stream(model, sample_rate=RATE) as stream:
        for _ in range(WARM_UP_S * RATE // frames):
            stream.process(mic, mic)
        code = ctypes.CDLL(None).test_count_hops(
            None,
            address(n.ffi.addressof(n.lib, "vh_stream_process_f32")),
            address(stream._handle),
            ctypes.c_void_p(mic.ctypes.data),
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int64(frames),
            calls,
            counts,
        )
        hops = stream.metrics.hops
    found = {"code": code, "allocations": counts[0], "locks": counts[1], "hops": hops}
    sys.stdout.write(json.dumps(found))


main()
