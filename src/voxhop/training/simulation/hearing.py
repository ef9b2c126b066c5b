"""What a network is trained behind: its front-end, over batches of clips."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from voxhop.errors import EngineError
from voxhop.export import write_gguf
from voxhop.models import load
from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.reference.canceller import CancellerOutput
from voxhop.reference.filterbank import FILTERBANK_HOP

FrontEnd: TypeAlias = Callable[[Tensor, Tensor], CancellerOutput]
"""From microphone and reference, (B, N) each, to what is left and what was taken of the echo."""

_NARROW = 4
_HEARD, _LEFT = "frontend.heard", "frontend.left"


def front_end_of(config: LocalVQEConfig) -> FrontEnd | None:
    """Return the front-end of a model; None where it has none.

    On a CPU the engine runs it, in a fraction of PyTorch's time. On other devices, and where
    the package was not built, PyTorch does.
    """
    if not config.echo_partitions and not config.cancel_tones:
        return None
    with torch.random.fork_rng(devices=()):
        narrow = LocalVQE(_narrow(config))
    try:
        engine = _Engine(narrow)
    except EngineError:
        engine = None

    def run(mic: Tensor, ref: Tensor) -> CancellerOutput:
        if engine is not None and mic.device.type == "cpu":
            return engine(mic, ref)
        front, _ = narrow.to(mic).encode_and_align(mic, ref)
        return CancellerOutput(front.mic_spectrum, front.heard - front.mic_spectrum)

    return run


def _narrow(config: LocalVQEConfig) -> LocalVQEConfig:
    """Return the same front-end before next to no network."""
    return replace(
        config,
        mic_channels=(2, *[_NARROW] * (len(config.mic_channels) - 1)),
        far_channels=(2, *[_NARROW] * (len(config.far_channels) - 1)),
        d_max=_NARROW,
        align_hidden=_NARROW,
        bottleneck_hidden=_NARROW,
        comfort_noise_db=None,
    )


class _Engine:
    def __init__(self, model: LocalVQE) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "front-end.gguf"
        write_gguf(model, path)
        self._session = load(path).session()

    def __call__(self, mic: Tensor, ref: Tensor) -> CancellerOutput:
        hops = mic.shape[1] // FILTERBANK_HOP
        spectra = np.empty((2, len(mic), hops, FILTERBANK_HOP, 2), np.float32)
        out = np.empty(FILTERBANK_HOP, np.float32)
        sides = (x.float().numpy().reshape(len(x), hops, FILTERBANK_HOP) for x in (mic, ref))
        for row, (heard, played) in enumerate(zip(*sides, strict=True)):
            self._session.reset()
            for t in range(hops):
                self._session.process_hop_into(heard[t], played[t], out)
                for spectrum, tap in zip(spectra, (_HEARD, _LEFT), strict=True):
                    spectrum[row, t] = self._session.tap(tap).reshape(FILTERBANK_HOP, 2)
        whole, left = torch.from_numpy(spectra).to(mic.dtype)
        return CancellerOutput(left, whole - left)
