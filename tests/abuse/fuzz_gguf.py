"""Run by test_gguf_damage.py: opens thousands of damaged files; prints how many opened.

What still opens is run for two hops. Memory is limited, so a length taken from the file
without a check ends this process.
"""

import resource
import sys
from pathlib import Path

import numpy as np

import voxhop
from gguf_bytes import tiny_localvqe

MEMORY = 1 << 29  # beyond what the interpreter has mapped when this starts; see main()


def truncations(data, header):
    for size in [*range(header), *range(header, len(data), 997), len(data) - 1]:
        yield data[:size]


def flips(data, header):
    rng = np.random.default_rng(1)
    for at in [*range(header), *range(header, len(data), 997)]:
        for bit in rng.choice(8, 2, replace=False):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            yield bytes(damaged)


def overwrites(data, header):
    """Put numbers that overflow, or mean something, over every aligned and odd place."""
    values = [b"\xff" * 8, b"\x00" * 8, b"\xff" * 7 + b"\x7f", b"\x00\x00\x00\x00\x01\x00\x00\x00"]
    for at in range(4, header - 8, 3):
        for value in values:
            yield data[:at] + value + data[at + 8 :]


def main(mode, limit="limit"):
    # "no-limit" is for address sanitizers, which map terabytes.
    if limit != "no-limit":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    file = tiny_localvqe(3)
    cases = {"truncate": truncations, "flip": flips, "overwrite": overwrites}[mode]
    opened = refused = 0
    for data in cases(file.encode(), file.header_size()):
        try:
            model = voxhop.load(data)
        except (voxhop.ModelFileError, voxhop.ArgumentError) as error:
            refused += 1
            if not str(error):
                raise
            continue
        with model, voxhop.Session(model) as session:
            mic = np.ones(session.hop_length, "f4")
            session.process_hop(mic)
            session.process_hop(mic, mic)
        opened += 1
    sys.stdout.write(f"{opened} {refused}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
