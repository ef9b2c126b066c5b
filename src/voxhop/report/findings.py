"""What the figures of a recording mean, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from voxhop.report.analysis import Analysis

GOOD, NOTE, BAD = "good", "note", "bad"
_CLEAR: Final = 0.5  # confidence of the probe
_STRONG_ERLE_DB: Final = 15.0
_WEAK_ERLE_DB: Final = 3.0
_DRIFT_PPM: Final = 3.0


@dataclass(frozen=True)
class Finding:
    """One sentence or two, and whether it is ``"good"``, a ``"note"`` or ``"bad"`` news."""

    kind: str
    text: str


def findings(analysis: Analysis) -> list[Finding]:
    """Return what there is to say about a recording, the most important first."""
    said = [
        *_about_reference(analysis),
        *_about_losses(analysis),
        *_about_result(analysis),
        *_about_signal(analysis),
    ]
    order = (BAD, GOOD, NOTE)
    return sorted(said, key=lambda finding: order.index(finding.kind))


def _about_reference(analysis: Analysis) -> list[Finding]:
    delay = analysis.delay
    if analysis.ref is None or delay is None:
        return [Finding(NOTE, "No reference was given: only noise and reverberation are removed.")]
    if not np.any(analysis.ref):
        return [
            Finding(
                BAD,
                "The reference is silent from start to end. If the loudspeaker did play, "
                "the wrong signal was recorded.",
            )
        ]
    if not delay.found or delay.confidence < _CLEAR / 2:
        return [
            Finding(
                NOTE,
                "The reference sounds, but no echo of it was found in the microphone. "
                "With headphones that is as it should be; with a loudspeaker, "
                "the reference is not what it played.",
            )
        ]
    said = [
        Finding(
            GOOD if delay.confidence >= _CLEAR else NOTE,
            f"The echo comes {delay.delay_ms:.1f} ms after the reference "
            f"(confidence {delay.confidence:.2f}).",
        )
    ]
    if not delay.in_window:
        said.append(
            Finding(
                NOTE,
                f"That is outside the {analysis.window_ms:.0f} ms that the model covers by "
                "itself; the reference is delayed to fit.",
            )
        )
    if delay.delay_ms is not None and delay.delay_ms < 0:
        said.append(
            Finding(
                BAD,
                "The reference comes after its echo. Start its recording earlier, or give "
                f"the stream a lookahead_ms of at least {-delay.delay_ms + 20:.0f}.",
            )
        )
    if delay.drift_ppm is not None and abs(delay.drift_ppm) >= _DRIFT_PPM:
        slower = "slower" if delay.drift_ppm > 0 else "faster"
        said.append(
            Finding(
                NOTE,
                f"The clock of the reference runs {abs(delay.drift_ppm):.0f} ppm {slower} "
                "than the microphone's; the reference is resampled to follow.",
            )
        )
    if delay.jumps:
        times = "once" if delay.jumps == 1 else f"{delay.jumps} times"
        said.append(Finding(NOTE, f"The delay jumped {times}; the stream found it again."))
    return said


def _about_losses(analysis: Analysis) -> list[Finding]:
    if not analysis.lost:
        return []
    gone = sum(end - start for start, end in analysis.lost)
    longest = 1000.0 * max(end - start for start, end in analysis.lost)
    text = (
        f"{100.0 * gone / analysis.seconds:.1f} % of the microphone were lost in "
        f"{len(analysis.lost)} bursts, the longest of {longest:.0f} ms."
    )
    if analysis.plcmos is None:
        return [Finding(NOTE, text)]
    before, after = analysis.plcmos
    judged = f" PLCMOS (1 to 5) is {before:.2f} with silence in the gaps, {after:.2f} enhanced."
    return [Finding(GOOD if after > before else BAD, text + judged)]


def _about_result(analysis: Analysis) -> list[Finding]:
    erle = analysis.curves.erle_db[np.isfinite(analysis.curves.erle_db)]
    said = []
    if analysis.metrics.not_helping:
        said.append(
            Finding(BAD, "At the end the model did not help; the microphone was passed on.")
        )
    if erle.size:
        best, middle = float(np.max(erle)), float(np.median(erle))
        kind = GOOD if best >= _STRONG_ERLE_DB else BAD if best < _WEAK_ERLE_DB else NOTE
        said.append(
            Finding(
                kind,
                f"While the loudspeaker played, the output was {best:.0f} dB below the "
                f"microphone at best, and at least {middle:.0f} dB half of that time. Near speech "
                "that is kept counts against these figures.",
            )
        )
    change = _level(analysis.out) - _level(analysis.mic)
    said.append(
        Finding(NOTE, f"The whole recording is {-change:.1f} dB quieter after than before.")
    )
    return said


def _about_signal(analysis: Analysis) -> list[Finding]:
    metrics, said = analysis.metrics, []
    if metrics.clipped_samples:
        share = 100.0 * metrics.clipped_samples / len(analysis.mic)
        said.append(
            Finding(
                BAD,
                f"{metrics.clipped_samples} microphone samples ({share:.2g} %) are at full "
                "scale. Clipped echo cannot be removed well: lower the gain.",
            )
        )
    if metrics.nonfinite_samples:
        text = f"{metrics.nonfinite_samples} samples were not finite and counted as silence."
        said.append(Finding(BAD, text))
    if metrics.late_hops:
        share = 100.0 * metrics.late_hops / metrics.hops
        kind, why = (
            (BAD, "too slow for live sound")
            if metrics.late_hops > metrics.hops / 2
            else (NOTE, "something else kept the machine busy")
        )
        said.append(
            Finding(
                kind,
                f"{share:.1f} % of the hops took longer to compute than they last; half "
                f"of all took under {metrics.hop_p50_ms:.2f} ms: {why}.",
            )
        )
    return said


def _level(signal: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean(np.square(signal, dtype=np.float64)) + 1e-12))
