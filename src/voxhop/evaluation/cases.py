"""Cases: what is scored, read from a case folder or from the AEC Challenge's layout.

Case folder
    ``<id>/mic.wav``, ``ref.wav``, ``unheard.wav``, ``target.wav``, ``nearend.wav``,
    ``delay.json``, ``losses.txt``, ``meta.json``; all but the microphone and the meta data may
    be missing. The meta data holds ``scenario`` and may hold ``id``, ``echo_path_change``,
    ``delay_ms``, ``rate_from_s``, ``packet_ms``; `voxhop.evaluation.delays` reads
    ``delay.json`` and `voxhop.LossTrace` ``losses.txt``.
AEC Challenge
    ``<guid>_<scenario>_mic.wav`` beside ``<guid>_<scenario>_lpb.wav`` at any depth, or
    ``.flac``; scenarios as in the 2022 blind set, with ``-`` or ``_`` between the words.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError, AudioFileError
from voxhop.stream.losses import LossTrace, received

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]

SAMPLE_RATE: Final = 16_000
LONG_DELAY_MS: Final = 240.0

# scenario -> who talks, as AECMOS wants to know it; None: not a scenario of echo
TALK: Final[dict[str, str | None]] = {
    "farend": "st",
    "doubletalk": "dt",
    "nearend": "nst",
    "noise": None,
    "reverb": None,
    "clipping": None,
    "loss": None,
    "doubletalk-with-movement": "dt",
    "farend-singletalk": "st",
    "farend-singletalk-with-movement": "st",
    "nearend-singletalk": "nst",
}
_CASE_SCENARIOS: Final = (
    "farend",
    "doubletalk",
    "nearend",
    "noise",
    "reverb",
    "clipping",
    "loss",
)
_PACKET_MS: Final = 20.0
_CHALLENGE_FILE: Final = re.compile(
    r"(?P<guid>.+?)_(?P<scenario>(?:doubletalk|farend[-_]singletalk|nearend[-_]singletalk)"
    r"(?:[-_]with[-_]movement)?)_mic\.(?:wav|flac)$"
)


@dataclass(frozen=True)
class Case:
    """One clip: where its signals lie and what is known about it.

    Attributes
    ----------
    case_id
        Unique within the set.
    scenario
        A key of `TALK`.
    mic, ref, target, nearend
        Microphone; what the loudspeaker played; the near end's direct sound and first 50 ms;
        the whole reverberant near end. None where the set has none.
    unheard
        A far end that the microphone does not hear (headphones), where nobody else plays.
    delays
        The echo's delay in every hop; None where it is not known.
    losses, packet_ms
        Which packets of the microphone were lost, None where none was, and how long one is.
    echo_path_change
        The room or the delay changes within the clip.
    delay_ms
        Bulk delay between reference and echo, if known.
    rate_from_s
        Second from which the clip is rated; the time before is for convergence.
    challenge
        The clip has the layout of the AEC Challenge.
    condition
        What is out of the ordinary in the clip, such as "hum"; it then counts in a row of its own
        and in no other.
    """

    case_id: str
    scenario: str
    mic: Path
    ref: Path | None = None
    target: Path | None = None
    nearend: Path | None = None
    unheard: Path | None = None
    delays: Path | None = None
    losses: Path | None = None
    packet_ms: float = _PACKET_MS
    echo_path_change: bool = False
    delay_ms: float | None = None
    rate_from_s: float = 0.0
    challenge: bool = False
    condition: str | None = None

    @property
    def talk(self) -> str | None:
        """Who talks: ``st`` far end only, ``dt`` both, ``nst`` near end only, None: no echo."""
        return TALK[self.scenario]

    @property
    def groups(self) -> tuple[str, ...]:
        """Rows of the summary that this clip counts in: its scenario, then finer ones."""
        if self.condition is not None:
            return (f"{self.scenario}, {self.condition}",)
        names = [self.scenario]
        if self.talk in ("st", "dt") and not self.challenge:
            if self.echo_path_change:
                names.append(f"{self.scenario}, path change")
            if self.delay_ms is not None:
                side = "<" if self.delay_ms < LONG_DELAY_MS else ">="
                names.append(f"{self.scenario}, delay {side} {LONG_DELAY_MS:.0f} ms")
        return tuple(names)

    def digest(self) -> str:
        """SHA-256 over the meta data and every file, in hexadecimal: the identity of the clip."""
        state = hashlib.sha256()
        facts = (self.case_id, self.scenario, self.rate_from_s, self.challenge)
        state.update(json.dumps(facts).encode())
        for path in (self.mic, *self._others, self.delays):
            state.update(b"-" if path is None else hashlib.sha256(path.read_bytes()).digest())
        if self.losses is not None:
            state.update(f"{self.packet_ms:g}".encode() + self.losses.read_bytes())
        return state.hexdigest()

    @property
    def _others(self) -> tuple[Path | None, ...]:
        """Files of the signals of `Clip` after the microphone, in its order."""
        return (self.ref, self.target, self.nearend, self.unheard)


@dataclass(frozen=True)
class Clip:
    """The signals of a case: float32, mono, 16 kHz, all as long as the microphone.

    `lost`, ``(samples,)`` bool or None, says what of the microphone did not arrive; it is zero
    there, and `sent` holds all of it.
    """

    mic: Signal
    ref: Signal | None
    target: Signal | None
    nearend: Signal | None
    unheard: Signal | None = None
    lost: npt.NDArray[np.bool_] | None = None
    sent: Signal | None = None


def load_cases(folder: Path, *, limit: int | None = None) -> list[Case]:
    """Find every case below `folder`, sorted by id.

    Parameters
    ----------
    folder
        A case folder or a folder in the layout of the AEC Challenge.
    limit
        Keep the first `limit` clips of each scenario only.

    Raises
    ------
    ArgumentError
        `folder` is none, or holds no case.
    AudioFileError
        A case lacks its microphone, or its meta data is not understood.
    """
    if not folder.is_dir():
        raise ArgumentError(f"{folder}: not a folder")
    cases = [_read_case(meta) for meta in folder.glob("*/meta.json")]
    if not cases:
        files = (path for kind in ("wav", "flac") for path in folder.rglob(f"*_mic.{kind}"))
        cases = [case for path in files if (case := _challenge_case(path)) is not None]
    if not cases:
        raise ArgumentError(
            f"{folder}: no case; expected <id>/meta.json with mic.wav, "
            "or <guid>_<scenario>_mic.wav as in the AEC Challenge"
        )
    cases.sort(key=lambda case: case.case_id)
    _refuse_twins(cases)
    return cases if limit is None else _first_of_each(cases, limit)


def load_clip(case: Case) -> Clip:
    """Read the signals of a case; shorter ones are padded, longer ones cut to the microphone.

    Raises
    ------
    AudioFileError
        A file that cannot be read, is empty or holds non-finite samples, or a trace of losses
        that is none.
    """
    mic = read_mono(case.mic)
    ref, target, nearend, unheard = (
        None if path is None else fit_length(read_mono(path), len(mic))
        for path in case._others  # noqa: SLF001 - the two classes belong together
    )
    clip = Clip(mic, ref, target, nearend, unheard)
    if case.losses is None:
        return clip
    trace = LossTrace.read(case.losses, packet_ms=case.packet_ms)
    runs = list(trace.runs(SAMPLE_RATE, 0, len(mic)))
    lost = np.concatenate([np.full(frames, gone) for frames, gone in runs])
    return replace(clip, mic=received(mic, runs), lost=lost, sent=mic)


def read_mono(path: Path) -> Signal:
    """Read the first channel of a sound file as float32 at 16 kHz."""
    import soundfile  # noqa: PLC0415 - import voxhop stays light
    import soxr  # noqa: PLC0415 - the same

    try:
        audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(f"{path}: {error}") from error
    signal = np.ascontiguousarray(audio[:, 0])
    if signal.size == 0:
        raise AudioFileError(f"{path}: no samples")
    if not np.isfinite(signal).all():
        raise AudioFileError(f"{path}: holds samples that are not finite")
    if rate != SAMPLE_RATE:
        signal = np.asarray(soxr.resample(signal, rate, SAMPLE_RATE, "VHQ"), np.float32)
    return signal


def fit_length(signal: Signal, length: int) -> Signal:
    """Cut `signal` to `length` samples, or pad it with zeros at the end."""
    if len(signal) >= length:
        return signal[:length]
    return np.pad(signal, (0, length - len(signal)))


def _read_case(meta_path: Path) -> Case:
    folder = meta_path.parent
    try:
        meta: Mapping[str, Any] = json.loads(meta_path.read_text(encoding="utf-8"))
        scenario = meta["scenario"]
    except (ValueError, KeyError, TypeError) as error:
        raise AudioFileError(f"{meta_path}: expected a JSON object with a scenario") from error
    if scenario not in _CASE_SCENARIOS:
        raise AudioFileError(
            f"{meta_path}: scenario {scenario!r}, expected one of {', '.join(_CASE_SCENARIOS)}"
        )
    mic = folder / "mic.wav"
    if not mic.is_file():
        raise AudioFileError(f"{mic}: missing")
    ref, target, nearend, unheard, delays, losses = (
        path if (path := folder / name).is_file() else None
        for name in (
            "ref.wav",
            "target.wav",
            "nearend.wav",
            "unheard.wav",
            "delay.json",
            "losses.txt",
        )
    )
    delay = meta.get("delay_ms")
    return Case(
        case_id=str(meta.get("id", folder.name)),
        scenario=scenario,
        mic=mic,
        ref=ref,
        target=target,
        nearend=nearend,
        unheard=unheard,
        delays=delays,
        losses=losses,
        packet_ms=float(meta.get("packet_ms") or _PACKET_MS),
        echo_path_change=bool(meta.get("echo_path_change", False)),
        delay_ms=None if delay is None else float(delay),
        rate_from_s=float(meta.get("rate_from_s") or 0.0),
        condition=None if meta.get("condition") is None else str(meta["condition"]),
    )


def _challenge_case(mic: Path) -> Case | None:
    match = _CHALLENGE_FILE.match(mic.name)
    if match is None:
        return None
    scenario = match["scenario"].replace("_", "-")
    if scenario not in TALK:
        return None
    ref = mic.with_name(mic.name.replace("_mic.", "_lpb."))
    if not ref.is_file() and TALK[scenario] != "nst":
        raise AudioFileError(f"{ref}: missing; {mic.name} needs its loopback")
    return Case(
        case_id=f"{match['guid']}_{scenario}",
        scenario=scenario,
        mic=mic,
        ref=ref if ref.is_file() else None,
        challenge=True,
    )


def _refuse_twins(cases: list[Case]) -> None:
    for first, second in itertools.pairwise(cases):
        if first.case_id == second.case_id:
            raise ArgumentError(f"{first.mic} and {second.mic}: two cases {first.case_id!r}")


def _first_of_each(cases: list[Case], limit: int) -> list[Case]:
    taken: dict[str, int] = {}
    kept = []
    for case in cases:
        taken[case.scenario] = taken.get(case.scenario, 0) + 1
        if taken[case.scenario] <= limit:
            kept.append(case)
    return kept
