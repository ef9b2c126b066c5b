"""The public C functions that have no Python class of their own."""

import numpy as np

from voxhop._bindings import native


class Resampler:
    """``vh_resampler``."""

    def __init__(self, rate, to_rate):
        n = native()
        out = n.ffi.new("vh_resampler **")
        n.call(n.lib.vh_resampler_open, rate, to_rate, out)
        self._handle = n.own(out[0], n.lib.vh_resampler_close)
        self.lookahead = n.lib.vh_resampler_lookahead(self._handle)

    def process(self, signal, capacity=None):
        n = native()
        count = 1 if signal is None else len(signal)
        if capacity is None:
            capacity = n.lib.vh_resampler_max_output(self._handle, count)
        out = np.empty(capacity, np.float32)
        written = n.ffi.new("int64_t *")
        source = n.ffi.NULL if signal is None else n.ffi.from_buffer("float[]", signal)
        into = n.ffi.from_buffer("float[]", out)
        n.call(n.lib.vh_resampler_process, self._handle, source, count, into, capacity, written)
        return out[: written[0]]

    def reset(self):
        native().call(native().lib.vh_resampler_reset, self._handle)
