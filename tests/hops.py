"""Streams through sessions, as a program would drive them."""

import numpy as np


def hop_by_hop(session, mic, ref):
    """Return the streamed output of whole hops, as a program would produce it."""
    hop = session.hop_length
    return np.concatenate(
        [
            session.process_hop(mic[i : i + hop], None if ref is None else ref[i : i + hop])
            for i in range(0, len(mic) - hop + 1, hop)
        ]
    )
