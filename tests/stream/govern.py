"""Run by test_governor.py with slow_clock.c preloaded; prints what the governor did as JSON."""

import ctypes
import json
import sys

import numpy as np

import voxhop

HOP = 256


def main():
    """Feed hops that take the share of their time that argv says; tell size and samples."""
    # Pairs of a number of hops and the share of their time that they take, or two: of the largest
    # size and of all others.
    plan = json.loads(sys.argv[1])
    clock = ctypes.CDLL(None).test_set_clock_step
    clock.argtypes = [ctypes.c_int64]
    rng = np.random.default_rng(0)
    sizes, outs = [], []
    model = voxhop.load(sys.argv[2])
    with voxhop.Stream(model, sample_rate=16000, highpass_hz=0, governor=True) as stream:
        largest = stream.metrics.depth, stream.metrics.heads
        for hops, *shares in plan:
            for _ in range(hops):
                m = stream.metrics
                share = shares[0 if (m.depth, m.heads) == largest else -1]
                mic = (0.1 * rng.standard_normal(HOP)).astype(np.float32)
                clock(round(share * 16e6))
                outs.append(stream.process(mic))
                clock(0)
                m = stream.metrics
                sizes.append((m.depth, m.heads, m.resizes))
        stream.reset()
        m = stream.metrics
        sizes.append((m.depth, m.heads, m.resizes))
    np.save(sys.argv[3], np.concatenate(outs))
    sys.stdout.write(json.dumps(sizes))


main()
