#!/usr/bin/env python3
"""Put the front-ends that need no training before a LocalVQE model that knows nothing of them.

    python tools/add_front_end.py MODEL.gguf OUT.gguf [--partitions 32] [--dtype f16]
        [--follow] [--tones] [--echo-inputs] [--name NAME]

The network is unchanged: it hears what they leave of the microphone. --partitions is the linear
canceller's tail, 0 for none; with --follow what moves fast is taken, too: see docs/canceller.md
for what that does to the network. --tones takes steady tones: docs/tones.md. With --echo-inputs
it also sees the echo that was taken, through weights that are zero: a file to train from
(--dtype f32).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kept_metadata import CARD, LICENCE, kept_metadata

from voxhop.export import read_gguf, write_gguf
from voxhop.reference.front_end import with_front_end


def main() -> None:
    """Read, change the front, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--partitions", type=int, default=32, help="of 16 ms: 16, 32, 48 or 0")
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f16")
    parser.add_argument("--follow", action="store_true", help="short filters behind the long ones")
    parser.add_argument("--tones", action="store_true", help="take steady tones")
    parser.add_argument("--echo-inputs", action="store_true", help="for training")
    parser.add_argument("--name", help="of the new model; the file's, and what it is behind")
    args = parser.parse_args()
    changed = with_front_end(
        read_gguf(args.model),
        args.partitions,
        echo_inputs=args.echo_inputs,
        follow=args.follow,
        tones=args.tones,
    )
    parts = [f"a linear canceller of {16 * args.partitions} ms"] * bool(args.partitions)
    parts += ["a follower"] * args.follow + ["a tone canceller"] * args.tones
    said = " and ".join(parts) or "nothing"
    metadata = kept_metadata(args.model, LICENCE, CARD)
    metadata["general.name"] = args.name or f"{args.model.stem} behind {said}"
    if CARD in metadata:
        metadata[CARD] += f"\n## Front-end\n\nAdded later, without training: {said}.\n"
    write_gguf(changed, args.out, dtype=args.dtype, metadata=metadata)


if __name__ == "__main__":
    main()
