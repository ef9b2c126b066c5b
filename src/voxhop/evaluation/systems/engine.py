"""voxhop itself, hop by hop, as a live stream would run it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from voxhop._bindings import engine_file
from voxhop.engine.hash import sha256_of
from voxhop.engine.session_info import ALIGN_TAP, SessionOptions, read_delay
from voxhop.errors import ArgumentError
from voxhop.evaluation.cases import SAMPLE_RATE
from voxhop.evaluation.systems import FoundDelays
from voxhop.models import DEFAULT_MODEL, find_model, load
from voxhop.stream.losses import process_runs
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from voxhop.models import Model

    Signal = npt.NDArray[np.float32]


class VoxhopSystem:
    """A model of voxhop.

    Parameters
    ----------
    model
        Name or path, as for `voxhop.load`.
    kernels, isa, precision, threads, comfort_noise
        As for `voxhop.SessionOptions`.
    int16
        Pass int16 in and take int16 out, as most callers do.
    declip
        Restore what was cut first, as streams do.
    **values
        The model's own options (`Model.options`), such as ``depth=3``.

    Notes
    -----
    A model of several rates runs at 16 kHz, and one that takes a microphone alone is given no
    reference. Lost packets go through a `Stream`, as a caller's would.
    """

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        kernels: str = "auto",
        isa: str = "auto",
        precision: str = "auto",
        threads: int = 1,
        comfort_noise: bool = True,
        int16: bool = False,
        declip: bool = True,
        **values: Any,  # noqa: ANN401 - those of the model
    ) -> None:
        path = find_model(model)
        self._model = load(path)
        self._int16, self._declip = int16, declip
        self._values = values
        self._options: dict[str, Any] = {
            "kernels": kernels,
            "isa": isa,
            "precision": precision,
            "threads": threads,
            "comfort_noise": comfort_noise,
        }
        at = {"sample_rate": SAMPLE_RATE} if _has_rates(self._model) else {}
        self._session = self._model.session(**self._options, **at, **values)
        self._takes_ref = self._model.info.input_count > 1
        shown = {**self._options, **{name: f"{name} {value}" for name, value in values.items()}}
        self.name = _row_name(path, shown, int16=int16, declip=declip)
        self.delay_samples: int | None = self._session.latency_samples
        # What really runs, "auto" resolved: another machine may choose another kernel, and
        # another build of the engine may round otherwise.
        self.fingerprint = (
            f"voxhop {sha256_of(path)} {_engine_digest()} "
            f"{dataclasses.asdict(self._session.info)} {comfort_noise} {int16} {declip}"
            + f" {sorted(values.items())}"
            * bool(values)
        )

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Run a new stream over the clip; the last hop is padded with zeros."""
        return self._run(mic, ref, sample_rate, lambda: None)

    def conceal(
        self,
        mic: Signal,
        ref: Signal | None,
        lost: npt.NDArray[np.bool_],
        sample_rate: int,
    ) -> Signal:
        """Run a new stream that is told which samples did not arrive."""
        options = SessionOptions(**self._options)
        near = _to_hops(mic, len(mic), int16=self._int16)[0]
        far = None
        if ref is not None and self._takes_ref:
            far = _to_hops(ref, len(ref), int16=self._int16)[0]
        with Stream(
            self._model,
            options=options,
            sample_rate=sample_rate,
            highpass_hz=0,
            declip=self._declip,
            **self._values,
        ) as stream:
            edges = np.flatnonzero(np.diff(lost, prepend=not lost[0], append=not lost[-1]))
            lengths = zip(np.diff(edges).tolist(), lost[edges[:-1]].tolist(), strict=True)
            out = process_runs(stream, near, far, lengths)
            # The stream may lag a session by a hop that is not full; the row says the session's.
            late = stream.latency_samples - (self.delay_samples or 0)
            out = np.concatenate([out, stream.flush()])
        flat: Signal = out[late : late + len(mic)].astype(np.float32)
        return flat / np.float32(32768.0) if self._int16 else flat

    def delays(self, mic: Signal, ref: Signal, sample_rate: int) -> FoundDelays | None:
        """Run a new stream and note the likeliest delay of each hop; None: does not align."""
        if not self._session.taps().get(ALIGN_TAP):
            return None
        hop = self._model.hop_length
        found: list[float] = []
        self._run(
            mic,
            ref,
            sample_rate,
            lambda: found.append(read_delay(self._session.tap(ALIGN_TAP), 1.0)[0] * hop),
        )
        return FoundDelays(np.array(found), hop)

    def _run(
        self, mic: Signal, ref: Signal | None, sample_rate: int, after_hop: Callable[[], None]
    ) -> Signal:
        if sample_rate != self._session.sample_rate:
            raise ArgumentError(f"{sample_rate} Hz, the model runs at {self._session.sample_rate}")
        hop = self._session.hop_length
        if self._declip:
            mic = self._restored(mic)
        ref = ref if self._takes_ref else None
        mic_hops = _to_hops(mic, hop, int16=self._int16)
        ref_hops = None if ref is None else _to_hops(ref, hop, int16=self._int16)
        out = np.empty_like(mic_hops)
        self._session.reset()
        for i in range(len(mic_hops)):
            self._session.process_hop_into(
                mic_hops[i], None if ref_hops is None else ref_hops[i], out[i]
            )
            after_hop()
        flat: Signal = out.reshape(-1)[: len(mic)].astype(np.float32)
        return flat / np.float32(32768.0) if self._int16 else flat

    def _restored(self, mic: Signal) -> Signal:
        """Return the microphone behind the door of a stream, which gives it back while it skims."""
        rate = self._session.sample_rate
        with Stream(self._model, sample_rate=rate, highpass_hz=0, delay_ms=0.0) as stream:
            stream.set_skim(True)
            behind = np.concatenate([stream.process(np.asarray(mic, np.float32)), stream.flush()])
            return behind[stream.latency_samples :]


def _has_rates(model: Model) -> bool:
    return any(option.name == "sample_rate" for option in model.options)


@functools.cache
def _engine_digest() -> str:
    return sha256_of(engine_file())


def _to_hops(signal: Signal, hop: int, *, int16: bool) -> Any:  # noqa: ANN401 - two dtypes
    """Cut a signal into rows of one hop each, padded with zeros, in the dtype that is passed."""
    padded = np.pad(signal, (0, -len(signal) % hop)).reshape(-1, hop)
    if int16:
        return np.clip(np.rint(padded * 32768.0), -32768, 32767).astype(np.int16)
    return np.ascontiguousarray(padded, np.float32)


def _row_name(path: Path, options: Mapping[str, Any], *, int16: bool, declip: bool) -> str:
    """Name the row after the model and every option that is not the default."""
    defaults = dataclasses.asdict(SessionOptions())
    said = {"comfort_noise": "no comfort noise"}
    parts = [
        said.get(key, str(value)) for key, value in options.items() if value != defaults.get(key)
    ]
    if int16:
        parts.append("int16")
    if not declip:
        parts.append("not declipped")
    return " ".join([path.stem, *(f"({part})" for part in parts)])
