"""Run by test_no_allocation.py with interpose.c preloaded; prints what it counted as JSON."""

import ctypes
import json
import sys

import numpy as np

import voxhop
from voxhop._bindings import native

RATE, OUT_RATE = 48000, 44100
WARM_UP_S = 0.5
SECOND = "voxhop-localvqe-small"


def main():
    """Count what blocks through two cancellers and a codec with losses between them allocate."""
    frames, calls, codec = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    n = native()

    def address(cdata):
        return ctypes.c_void_p(int(n.ffi.cast("uintptr_t", cdata)))

    links = [
        voxhop.ModelLink(voxhop.DEFAULT_MODEL, strength=0.5),
        voxhop.CodecLink(codec, loss=0.2),
        voxhop.ModelLink(SECOND, level="follow"),
    ]
    stock = []
    for link in links:
        with voxhop.load(link.model) as model, model.session() as session:
            stock.append(session.info.kernels == "stock")
    block = np.random.default_rng(0).normal(0, 0.1, frames).astype(np.float32)
    out = np.empty(frames, np.float32)
    counts = (ctypes.c_long * 2)()
    with voxhop.Chain(links, sample_rate=RATE, out_sample_rate=OUT_RATE) as chain:
        for _ in range(int(WARM_UP_S * RATE) // frames):
            chain.process(block, block)
        code = ctypes.CDLL(None).test_count_chain(
            address(n.ffi.addressof(n.lib, "vh_chain_process_f32")),
            address(chain._handle),
            ctypes.c_void_p(block.ctypes.data),
            ctypes.c_int64(frames),
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int64(frames),
            calls,
            counts,
        )
        told = chain.metrics.links
    found = {"code": code, "allocations": counts[0], "locks": counts[1], "stock": any(stock)}
    found["failed_hops"] = sum(link.failed_hops for link in told)
    found["lost_packets"] = told[1].lost_packets
    sys.stdout.write(json.dumps(found))


main()
