"""What a stream is opened with and what it tells about itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

DelayMs = float | Literal["auto"]

MISSING_REF: Final = ("zeros", "hold", "bypass")
CHANNEL_RULES: Final = ("each", "mix")
HIGH_BANDS: Final = ("follow", "drop")


@dataclass(frozen=True)
class StreamOptions:
    """How a `voxhop.Stream` works; every field is a keyword of `voxhop.Stream`.

    Attributes
    ----------
    sample_rate
        Of microphone, reference and output in Hz, 8000 to 192000.
    channels
        Microphone and output channels, 1 to 8.
    channel_rule
        ``"each"``: every channel has a session of its own and hears the same reference.
        ``"mix"``: the average of the channels is enhanced and goes to all of them.
    ref_channels
        Reference channels, 1 to 8; they are averaged to one.
    delay_ms
        Pre-delay of the reference, 0 to 2000; ``"auto"`` finds the delay of the echo and
        follows it and the drift of the clocks.
    lookahead_ms
        The microphone waits this long, so that the reference may come later than its echo;
        0 to 2000. It is part of the latency.
    missing_ref
        What a missing reference is: ``"zeros"``, ``"hold"`` (its last 16 ms, fading out) or
        ``"bypass"`` (the microphone passes through meanwhile).
    high_band
        Above the model's band: ``"follow"`` the gain of the band below, or ``"drop"``.
    strength
        1: all of the model; 0: the microphone; between: a mix of the two, aligned in time.
    floor_db
        No hop is lowered by more than this; infinity: no floor.
    gate_dbfs
        Hops whose output is below this level are muted; -infinity: no gate.
    auto_bypass
        Pass the microphone through while the model does not help.
    keep_unrelated
        Let the model hear a reference that has nothing to do with the microphone.
    gap_guard
        While the echo of a lost stretch of the reference passes, let no larger share of the
        microphone through than just before; what is louder than the echo was, passes.
    highpass_hz
        Corner of the high-pass that microphone and reference pass first, 1 to 1000: it takes
        away an offset and rumble below speech. 0: none, every sample as it is.
    governor
        With a model that has the options ``depth`` and ``heads``: use less of it while hops come
        late, and all of it again when there is room. The output then depends on the machine.
    declip
        Restore samples of the microphone that were cut at one level (three flat peaks within a
        second) before everything else, from those around them, without a delay. They may exceed
        full scale. Sound that was not cut passes to the bit.
    """

    sample_rate: int = 48000
    channels: int = 1
    channel_rule: str = "each"
    ref_channels: int = 1
    delay_ms: DelayMs = "auto"
    lookahead_ms: float = 0.0
    missing_ref: str = "hold"
    high_band: str = "follow"
    strength: float = 1.0
    floor_db: float = math.inf
    gate_dbfs: float = -math.inf
    auto_bypass: bool = True
    keep_unrelated: bool = False
    gap_guard: bool = True
    highpass_hz: float = 30.0
    governor: bool = False
    declip: bool = True


@dataclass(frozen=True)
class StreamMetrics:
    """Figures of a stream since it was opened or reset.

    Attributes
    ----------
    frames, hops, late_hops, failed_hops
        Frames pushed; hops computed; hops that took longer to compute than they last; hops
        for which the model gave no finite output (they are silent).
    hop_p50_ms, hop_p99_ms
        Wall time per hop, all channels and this layer included.
    clipped_samples, nonfinite_samples
        Microphone samples at full scale; samples that were not finite and counted as zero.
    ref_missing_frames, ref_late_frames, ref_dropped_frames
        Not given (or not pushed for 150 ms); not there when the model needed them (counted at
        the model's rate); pushed into a full ring.
    ref_buffered_frames, out_buffered_frames
        Reference waiting in the ring; output that is finished and waiting.
    delay_ms, delay_confidence
        Of the echo behind the reference; None until found, and without ``delay_ms="auto"``.
    drift_ppm
        How much slower than the microphone's the clock of the reference runs; None until known.
    pre_delay_ms, realignments
        By which the reference is delayed now, and how often that jumped.
    model_delay_ms, model_confidence
        Where the model's own alignment looks, the pre-delay included, and the share of its
        attention within a hop of that; None for a model without one.
    erle_db
        Microphone over output power in dB in the last second of a sounding reference; near
        speech lowers it. None before the reference sounded.
    mic_dbfs, ref_dbfs, out_dbfs
        Levels; the reference as the model hears it, the output before strength and gate.
    ref_active, near_active, ref_missing, ref_unrelated
        The reference sounds; the near end speaks; the reference is missing now; it sounds,
        but its echo has not been found for ten seconds.
    not_helping, bypassed
        The model makes the sound louder, or does not lower an echo that is there; the
        microphone passes through now.
    lost_frames, lost_bursts
        Frames of the microphone that `Stream.process_lost` was told of, and in how many
        stretches.
    resizes, depth, heads
        How often the governor changed the size of the network, and what it is now; 0 without
        one.
    precision
        That the sessions compute in, ``"f32"`` and so on.
    declipped_samples
        Samples of all channels that were cut and restored.
    """

    frames: int
    hops: int
    late_hops: int
    failed_hops: int
    hop_p50_ms: float
    hop_p99_ms: float
    clipped_samples: int
    nonfinite_samples: int
    ref_missing_frames: int
    ref_late_frames: int
    ref_dropped_frames: int
    ref_buffered_frames: int
    out_buffered_frames: int
    delay_ms: float | None
    delay_confidence: float
    drift_ppm: float | None
    pre_delay_ms: float
    realignments: int
    model_delay_ms: float | None
    model_confidence: float | None
    erle_db: float | None
    mic_dbfs: float
    ref_dbfs: float
    out_dbfs: float
    ref_active: bool
    near_active: bool
    ref_missing: bool
    ref_unrelated: bool
    not_helping: bool
    bypassed: bool
    lost_frames: int
    lost_bursts: int
    resizes: int
    depth: int
    heads: int
    precision: str
    declipped_samples: int
