"""How well a system finds the echo's delay, where a case says what it is.

``delay.json`` of a case holds ``hop_samples`` and ``delay_samples``: for every hop of so many
samples at 16 kHz, how many samples the strongest path of the echo lies behind the reference,
and null where the echo cannot be heard.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import AudioFileError
from voxhop.evaluation.cases import SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Delays = npt.NDArray[np.float64]

# Seconds from the start of the clip that a system has for finding the delay, by measure.
START_S: Final = {"delay_right_1s": 1.0, "delay_right_03s": 0.3}


def read_delays(path: Path, hop_samples: int) -> Delays:
    """Read a ``delay.json``.

    Parameters
    ----------
    path
        The file.
    hop_samples
        Length of a hop of the system that is scored; the file's is taken over to it.

    Returns
    -------
    numpy.ndarray
        ``(hops,)`` float64, samples; NaN where no echo is heard.

    Raises
    ------
    AudioFileError
        The file is not what it should be.
    """
    expected = f"{path}: expected hop_samples and delay_samples, a list of numbers and nulls"
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        own = int(content["hop_samples"])
        delays = np.array(content["delay_samples"], np.float64)  # null becomes NaN
    except (ValueError, KeyError, TypeError) as error:
        raise AudioFileError(expected) from error
    if own < 1 or delays.ndim != 1 or not delays.size:
        raise AudioFileError(expected)
    starts = np.arange(0, own * len(delays), hop_samples)
    return np.asarray(delays[starts // own], np.float64)


def delay_scores(found: Delays, true: Delays, hop_samples: int) -> dict[str, float | None]:
    """Score the delays a system found.

    Parameters
    ----------
    found, true
        ``(hops,)`` samples; `true` NaN where no echo is heard, longer or shorter is cut.
    hop_samples
        Length of a hop, and of a delay bin.

    Returns
    -------
    dict
        For each key of `START_S` the share, in per cent, of the hops with an audible echo
        from then on in which `found` is at most one bin off, None where there is no such hop;
        and under the key with ``_hops`` how many there are.
    """
    count = min(len(found), len(true))
    scores: dict[str, float | None] = {}
    for key, start_s in START_S.items():
        first = int(start_s * SAMPLE_RATE) // hop_samples
        difference = np.abs(found[first:count] - true[first:count])
        audible = ~np.isnan(true[first:count])
        hops = int(audible.sum())
        right = int((difference[audible] <= hop_samples).sum())
        scores[key] = 100.0 * right / hops if hops else None
        scores[f"{key}_hops"] = float(hops)
    return scores
