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
    frames, calls, lost = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "lost"
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
        handle, into = address(stream._handle), ctypes.c_void_p(out.ctypes.data)
        if lost:
            code = ctypes.CDLL(None).test_count_losses(
                address(n.ffi.addressof(n.lib, "vh_stream_process_lost_f32")),
                handle,
                into,
                ctypes.c_int64(frames),
                calls,
                counts,
            )
        else:
            code = ctypes.CDLL(None).test_count_hops(
                None,
                address(n.ffi.addressof(n.lib, "vh_stream_process_f32")),
                handle,
                ctypes.c_void_p(mic.ctypes.data),
                into,
                ctypes.c_int64(frames),
                calls,
                counts,
            )
        hops, gone = stream.metrics.hops, stream.metrics.lost_frames
    found = {"code": code, "allocations": counts[0], "locks": counts[1], "hops": hops}
    found["lost_frames"] = gone
    sys.stdout.write(json.dumps(found))


main()
