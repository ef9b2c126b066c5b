"""What a live session sees, and what it means in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from voxhop.stream.types import StreamMetrics

_SILENT_DBFS: Final = -75.0
_QUIET_DBFS: Final = -50.0
_GOOD_ERLE_DB: Final = 10.0
_CLIPPED_SHARE: Final = 1e-4
_LATE_SHARE: Final = 0.01  # one hop in a hundred is heard
_SOME_S: Final = 5.0  # so long one must have listened before nothing means something


@dataclass(frozen=True)
class LiveState:
    """What a live session sees now.

    Attributes
    ----------
    seconds
        Of microphone so far.
    latency_ms
        From the air before the microphone to that before the loudspeaker: what the devices
        say of themselves, and the stream's own; without an output, up to the clean samples.
    metrics
        Of the stream.
    mic_peak_dbfs, ref_peak_dbfs
        The highest levels so far.
    dropped
        Times that a device gave or took too little in time.
    erle_db
        By how much the echo was lowered when the loudspeaker was last heard alone, which the
        figure of the stream is not while somebody speaks; None until then.
    """

    seconds: float
    latency_ms: float
    metrics: StreamMetrics
    mic_peak_dbfs: float
    ref_peak_dbfs: float
    dropped: int
    erle_db: float | None = None


def judge(  # noqa: PLR0911 - one answer after the other, the plainest first
    state: LiveState, *, has_ref: bool
) -> tuple[bool, str]:
    """Say in plain words whether the other side would hear itself, and what is wrong.

    Returns
    -------
    tuple of bool and str
        Whether all is well, and one sentence.
    """
    m = state.metrics
    early = state.seconds < _SOME_S
    if state.mic_peak_dbfs < _SILENT_DBFS:
        return False, "The microphone gives silence: it is muted, or this is the wrong device."
    if m.frames and m.clipped_samples / m.frames > _CLIPPED_SHARE:
        return False, "The microphone is too loud and clips: turn its gain down."
    if m.hops and m.late_hops / m.hops > _LATE_SHARE:
        return False, f"The computer is too slow or too busy: {m.late_hops} hops came late."
    if not has_ref:
        return True, "Noise and reverberation are removed; without a reference no echo is."
    if state.ref_peak_dbfs < _QUIET_DBFS:
        return False, (
            "The loudspeaker's loopback is silent: play something, or choose the device that plays."
        )
    if m.ref_unrelated:
        return True, (
            "What the loudspeaker plays is not heard in the microphone (headphones?), or the "
            "loopback belongs to another device."
        )
    if m.delay_ms is None:
        hint = "keep playing" if early else "turn the loudspeaker up, or check the loopback"
        return False, f"The echo has not been found yet: {hint}."
    heard = f"Your loudspeaker is heard after {m.delay_ms:.0f} ms"
    erle = next((x for x in (state.erle_db, m.erle_db) if x is not None), 0.0)
    if m.not_helping or erle < _GOOD_ERLE_DB:
        return False, f"{heard} and only {erle:.0f} dB of it are removed: others may hear it."
    return True, f"{heard} and is lowered by {erle:.0f} dB: others do not hear themselves."
