"""Drives Sublime's sessions frame by frame, as a codec does."""

import numpy as np

HOP, LEAD = 480, 240


def encode(session, pcm, taps=(), *, hop=HOP):
    """Return the codes of the frames that `pcm` completes, (T, groups), and taps by name.

    The first hop starts with half a hop of zeros before the stream.
    """
    lead = session.inputs[0].lead_count
    frames = (len(pcm) + lead) // hop
    padded = np.concatenate([np.zeros(lead, pcm.dtype), pcm])[: frames * hop].reshape(-1, hop)
    codes, found = [], {name: [] for name in taps}
    for frame in padded:
        codes.append(session.process_hop(frame))
        for name in taps:
            found[name].append(session.tap(name))
    return (np.stack(codes), *(np.stack(found[name]) for name in taps))


def decode(session, codes):
    """Return the samples of frames of codes, ``hop`` of each."""
    return np.concatenate([session.process_hop(np.ascontiguousarray(c)) for c in codes])


def low_rate(codes, groups=4):
    """Return the codes of which only the first groups were sent."""
    low = codes.copy()
    low[:, groups:] = 255
    return low
