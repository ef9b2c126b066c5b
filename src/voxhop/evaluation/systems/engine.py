"""voxhop itself, hop by hop, as a live stream would run it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from voxhop._bindings import engine_file
from voxhop.engine.hash import sha256_of
from voxhop.engine.session_info import ALIGN_TAP, read_delay
from voxhop.errors import ArgumentError
from voxhop.evaluation.systems import FoundDelays
from voxhop.models import DEFAULT_MODEL, find_model, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]


class VoxhopSystem:
    """A model of voxhop.

    Parameters
    ----------
    model
        Name or path, as for `voxhop.load`.
    kernels, isa, precision, threads, comfort_noise
        As for `voxhop.Session`.
    int16
        Pass int16 in and take int16 out, as most callers do.
    """

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        kernels: str = "auto",
        isa: str = "auto",
        precision: str = "f32",
        threads: int = 1,
        comfort_noise: bool = True,
        int16: bool = False,
    ) -> None:
        path = find_model(model)
        self._model = load(path)
        self._int16 = int16
        self._options: dict[str, str | int] = {
            "kernels": kernels,
            "isa": isa,
            "precision": precision,
            "threads": threads,
        }
        self._session = self._model.session(**self._options, comfort_noise=comfort_noise)
        self.name = _row_name(path, self._options, comfort_noise=comfort_noise, int16=int16)
        self.delay_samples: int | None = self._model.info.latency_samples
        # What really runs, "auto" resolved: another machine may choose another kernel, and
        # another build of the engine may round otherwise.
        self.fingerprint = (
            f"voxhop {sha256_of(path)} {_engine_digest()} "
            f"{dataclasses.asdict(self._session.info)} {comfort_noise} {int16}"
        )

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Run a new stream over the clip; the last hop is padded with zeros."""
        return self._run(mic, ref, sample_rate, lambda: None)

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
        if sample_rate != self._model.sample_rate:
            raise ArgumentError(f"{sample_rate} Hz, the model runs at {self._model.sample_rate}")
        hop = self._model.hop_length
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


@functools.cache
def _engine_digest() -> str:
    return sha256_of(engine_file())


def _to_hops(signal: Signal, hop: int, *, int16: bool) -> Any:  # noqa: ANN401 - two dtypes
    """Cut a signal into rows of one hop each, padded with zeros, in the dtype that is passed."""
    padded = np.pad(signal, (0, -len(signal) % hop)).reshape(-1, hop)
    if int16:
        return np.clip(np.rint(padded * 32768.0), -32768, 32767).astype(np.int16)
    return np.ascontiguousarray(padded, np.float32)


def _row_name(
    path: Path, options: dict[str, str | int], *, comfort_noise: bool, int16: bool
) -> str:
    """Name the row after the model and every option that is not the default."""
    defaults = {"kernels": "auto", "isa": "auto", "precision": "f32", "threads": 1}
    parts = [str(value) for key, value in options.items() if value != defaults[key]]
    if not comfort_noise:
        parts.append("no comfort noise")
    if int16:
        parts.append("int16")
    return " ".join([path.stem, *(f"({part})" for part in parts)])
