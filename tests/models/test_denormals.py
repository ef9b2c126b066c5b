"""Denormal numbers are zeros during a hop, and the caller's own afterwards."""

import platform
from pathlib import Path

import numpy as np
import pytest

import signals
import voxhop
from gguf_bytes import decode
from streams import run

GOLDEN = Path(__file__).parents[1] / "golden" / "seflow-random" / "model-f32.gguf"
TINY = np.float32(1e-40)

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64", "aarch64", "arm64"},
    reason="there is a mode for this on x86-64 and 64-bit Arm",
)


def quiet(scale):
    """Return the golden model with an output so many times smaller."""
    file = decode(GOLDEN.read_bytes())
    bands = sum(name.endswith("fc2.bias") for name in file.tensors)
    for band in range(bands):
        for part in ("weight", "bias"):
            values = file.get(f"dec.{band}.fc2.{part}")
            values[: len(values) // 2] *= scale  # the second half are the gates
            file.put(f"dec.{band}.fc2.{part}", values)
    return voxhop.load(file.encode())


def caller_keeps_denormals():
    return float(np.full(8, TINY).sum()) > 0.0


@pytest.mark.parametrize(
    "how", [{}, {"kernels": "stock"}, {"threads": 2}, {"kernels": "stock", "threads": 2}]
)
def test_they_are_zeros_during_a_hop_alone(how):
    mic = signals.speech_like(4 * 256, 3).astype(np.float32)
    assert caller_keeps_denormals()
    for scale, sounds in ((1e-30, True), (1e-40, False)):
        with quiet(scale) as model, model.session(**how) as session:
            assert run(session, mic).any() == sounds
        assert caller_keeps_denormals()


def test_in_groups_too():
    mic = signals.speech_like(4 * 256, 3).astype(np.float32)
    for scale, sounds in ((1e-30, True), (1e-40, False)):
        with quiet(scale) as model, voxhop.SessionGroup(model, 3, threads=2) as group:
            outs = [group.process(np.stack([x] * 3)) for x in mic.reshape(-1, 256)]
        assert np.any(outs, axis=(0, 2)).tolist() == [sounds] * 3
        assert caller_keeps_denormals()
