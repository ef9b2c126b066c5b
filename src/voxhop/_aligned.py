"""One microphone channel of a recording: blocks in, sample-aligned blocks out.

This is the one place where whole recordings meet sessions: rate conversion, hops out of
blocks, the model's lag and its tail. Arrays and files both go through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop._meter import Meter, Tally

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.session import Session

    Samples = npt.NDArray[np.float32]

_QUALITY: Final = "VHQ"
_NOTHING: Final = np.zeros(0, np.float32)


class AlignedEnhancer:
    """Enhances one channel with one session. Use once: `process` blocks, then `finish`.

    Parameters
    ----------
    session
        A new or reset session; the caller closes it.
    rate, ref_rate
        Sample rates of the microphone and the reference in Hz.
    tally
        Where the figures of the channel are added.

    Notes
    -----
    Sample i of all output belongs to sample i of all input, and there are as many of them:
    the session's lag is dropped at the start and drawn out of it with silence at the end.
    Rates other than the model's are converted on both sides by soxr, whose streams are
    exact in delay; the output then has no content above half the model's rate.
    """

    def __init__(self, session: Session, rate: int, ref_rate: int, tally: Tally) -> None:
        model_rate = session.sample_rate
        self._session = session
        self._meter = Meter(session, tally)
        self._mic_in = _Converter(rate, model_rate)
        self._ref_in = _Converter(ref_rate, model_rate)
        self._out = _Converter(model_rate, rate)
        self._mic, self._ref = _Fifo(), _Fifo()
        self._has_ref = False
        self._to_drop = session.latency_samples
        self._received = self._returned = 0  # at the caller's rate
        self._enhanced = 0  # at the model's rate, after the lag

    def process(self, mic: Samples, ref: Samples | None) -> Samples:
        """Take a block and return what is ready, possibly nothing.

        Parameters
        ----------
        mic
            ``(n,)`` float32, any n.
        ref
            The reference of the same stretch of time, at its own rate; None where there is
            none, which is silence.
        """
        self._received += mic.size
        self._mic.push(self._mic_in.convert(mic))
        if ref is not None:
            self._has_ref = True
            self._ref.push(self._ref_in.convert(ref))
        whole = self._mic.size
        if self._has_ref:
            whole = min(whole, self._ref.size)
        return self._deliver(self._out.convert(self._run(whole // self._session.hop_length)))

    def finish(self) -> Samples:
        """Return the rest; all output together is exactly as long as all microphone input."""
        self._mic.push(self._mic_in.convert(_NOTHING, last=True))
        if self._has_ref:
            self._ref.push(self._ref_in.convert(_NOTHING, last=True))
        left = self._mic.pushed - self._enhanced
        tail = self._run(-(-(left + self._to_drop) // self._session.hop_length))[:left]
        rest = self._deliver(self._out.convert(tail, last=True))
        # The rounding of two conversions may leave a sample or two to fill.
        return np.pad(rest, (0, self._received - self._returned))

    def _run(self, hops: int) -> Samples:
        """Enhance `hops` hops from the queues, silence where they run dry; drop the lag."""
        hop = self._session.hop_length
        out = np.empty(hops * hop, np.float32)
        for start in range(0, out.size, hop):
            mic = self._mic.pop(hop)
            ref = self._ref.pop(hop) if self._has_ref else None
            into = out[start : start + hop]
            self._session.process_hop_into(mic, ref, into)
            self._meter.add(mic, ref, into)
        dropped = min(self._to_drop, out.size)
        self._to_drop -= dropped
        self._enhanced += out.size - dropped
        return out[dropped:]

    def _deliver(self, block: Samples) -> Samples:
        """Return `block` without what would make the output longer than the input."""
        block = block[: self._received - self._returned]
        self._returned += block.size
        return block


class _Converter:
    """A mono stream of samples from one rate to another, exact in delay."""

    def __init__(self, rate: int, to_rate: int) -> None:
        self._stream = None
        if rate != to_rate:
            import soxr  # noqa: PLC0415 - not needed to import voxhop

            self._stream = soxr.ResampleStream(rate, to_rate, 1, "float32", _QUALITY)

    def convert(self, block: Samples, *, last: bool = False) -> Samples:
        """Return what is ready after `block`; with `last`, everything."""
        if self._stream is None:
            return block
        return np.asarray(self._stream.resample_chunk(block, last=last), np.float32)


class _Fifo:
    """A queue of samples; `pushed` counts all that ever went in."""

    def __init__(self) -> None:
        self._samples = _NOTHING
        self.pushed = 0

    @property
    def size(self) -> int:
        return self._samples.size

    def push(self, block: Samples) -> None:
        self.pushed += block.size
        self._samples = np.concatenate([self._samples, block]) if self.size else block

    def pop(self, count: int) -> Samples:
        """Return the first `count` samples, zeros where there are not enough."""
        head, self._samples = self._samples[:count], self._samples[count:]
        if head.size == count and head.flags.c_contiguous:
            return head
        full = np.zeros(count, np.float32)
        full[: head.size] = head
        return full
