"""How late a chain is, exactly.

A chain converts the caller's samples to the rate of its first link, that link's to the rate of
the second, and the last one's to the rate of the output. A link computes hops; what it gives is
moved by its own latency, so that sample n of every stretch belongs to the same moment of the
recording. Output sample m then exists once so many input samples have come:

    c = needed(out, m)                      of the last link's aligned output
    h = ceil((c + lead + latency) / hop)    hops of that link
    c = needed(link, h * hop - lead - 1)    of what comes before it, and so on

with needed(to, n) = floor(n * from / to) + lookahead + 1, the resampler's rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.chain.resampling import lookahead
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

_LONGEST: Final = 1 << 22  # output samples until all clocks are in step again


@dataclass(frozen=True)
class LinkClock:
    """What of a link decides the latency.

    Attributes
    ----------
    rate, hop, latency
        Sample rate in Hz; samples per hop; samples by which the output lags beyond the hop.
    takes_ref
        Whether a hop waits for the reference too, which comes straight from the input.
    lead
        Zeros at the start of the first hop: it is ready so many samples earlier. The output
        lags the samples of its own hop by `latency` all the same.
    """

    rate: int
    hop: int
    latency: int
    takes_ref: bool = False
    lead: int = 0


def latency_samples(in_rate: int, links: Sequence[LinkClock], out_rate: int) -> int:
    """Return by how many output samples a chain lags its input.

    It is the least number L for which floor(n out_rate / in_rate) samples can always be given
    after n, whatever the lengths of the blocks: output sample i + L belongs to the moment of
    output sample i.

    Parameters
    ----------
    in_rate, out_rate
        In Hz.
    links
        In order; none is a mere conversion.

    Raises
    ------
    ArgumentError
        When the rates and hops are in step too rarely for an exact figure.
    EngineError
        For rates that no resampler converts.
    """
    m = np.arange(_period(in_rate, links, out_rate), dtype=np.int64)
    at, needed = out_rate, m + 1  # aligned samples at that rate
    refs = np.zeros_like(m)
    for link in reversed(links):
        made = _needed(link.rate, at, needed)
        hops = -(-(made + link.lead + link.latency) // link.hop)
        consumed = hops * link.hop - link.lead
        if link.takes_ref:
            refs = np.maximum(refs, _needed(in_rate, link.rate, consumed))
        at, needed = link.rate, consumed
    inputs = np.maximum(_needed(in_rate, at, needed), refs)
    return int(((inputs - 1) * out_rate // in_rate - m).max())


def _needed(rate: int, to_rate: int, count: Counts) -> Counts:
    """Return how many samples at `rate` must be there for `count` at `to_rate`."""
    if rate == to_rate:
        return count
    return (count - 1) * rate // to_rate + lookahead(rate, to_rate) + 1


def _period(in_rate: int, links: Sequence[LinkClock], out_rate: int) -> int:
    """Return the output samples after which all samples and hops fall together again."""
    steps = [Fraction(1, in_rate), Fraction(1, out_rate)]
    steps += [Fraction(link.hop, link.rate) for link in links]
    numerators = math.lcm(*(step.numerator for step in steps))
    denominators = math.gcd(*(step.denominator for step in steps))
    period = Fraction(numerators, denominators) * out_rate
    if period > _LONGEST:
        raise ArgumentError(
            f"chain: rates and hops are in step only every {float(period / out_rate):.0f} s; "
            "expected rates that are closer related"
        )
    return int(period)
