#!/usr/bin/env python3
"""Put the linear canceller in front of a LocalVQE model that knows nothing of it.

    python tools/add_canceller.py MODEL.gguf OUT.gguf [--partitions 32] [--dtype f16]
        [--follow] [--echo-inputs]

The network is unchanged: it hears what the canceller leaves of the microphone. See
docs/canceller.md for what that does to it. With --follow what moves fast is taken, too. With
--echo-inputs it also sees the echo that was
taken, through weights that are zero: a file to train from (--dtype f32).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from voxhop.export import read_gguf, write_gguf
from voxhop.reference.front_end import with_canceller


def main() -> None:
    """Read, change the front, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--partitions", type=int, default=32, help="of 16 ms: 16, 32 or 48")
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f16")
    parser.add_argument("--follow", action="store_true", help="short filters behind the long ones")
    parser.add_argument("--echo-inputs", action="store_true", help="for training")
    args = parser.parse_args()
    model = read_gguf(args.model)
    changed = with_canceller(
        model, args.partitions, echo_inputs=args.echo_inputs, follow=args.follow
    )
    name = f"{args.model.stem} behind a canceller of {16 * args.partitions} ms"
    write_gguf(changed, args.out, dtype=args.dtype, metadata={"general.name": name})


if __name__ == "__main__":
    main()
