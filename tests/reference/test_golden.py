"""The reference model against float64 output that another implementation computed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import tolerances

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.export import read_gguf

GOLDEN = Path(__file__).parent.parent / "golden" / "localvqe-v1.1-random"
HOP = 256


def load(name, dtype):
    return torch.from_numpy(np.fromfile(GOLDEN / name, dtype)).double()


@pytest.fixture(scope="module")
def golden():
    mic, ref = load("synth.mic.f32", "<f4"), load("synth.ref.f32", "<f4")
    flush = torch.zeros(HOP, dtype=torch.float64)
    return {
        "mic": torch.cat((mic, flush))[None],
        "ref": torch.cat((ref, flush))[None],
        "audio": load("synth.pt64.f64", "<f8")[: len(mic) + HOP],
        "align": load("synth.alpha.f32", "<f4").view(-1, 32),
    }


@pytest.fixture(scope="module")
def model():
    return read_gguf(GOLDEN / "model-f32.gguf")


def test_files_are_the_published_ones():
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 5
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest, name


def test_float64_output_and_delays(model, golden):
    with torch.no_grad():
        out, _ = model.double()(golden["mic"], golden["ref"])
    error = (out.audio[0] - golden["audio"]).abs().max()
    assert error <= tolerances.GOLDEN_F64_AUDIO * golden["audio"].abs().max()
    assert (out.align[0] - golden["align"]).abs().max() <= tolerances.GOLDEN_F64_ALIGN


def test_hop_by_hop_is_the_same_output(model, golden):
    model.double()
    state, hops = None, []
    with torch.no_grad():
        for start in range(0, 40 * HOP, HOP):
            mic, ref = (golden[k][:, start : start + HOP] for k in ("mic", "ref"))
            out, state = model(mic, ref, state)
            hops.append(out.audio[0])
    error = (torch.cat(hops) - golden["audio"][: 40 * HOP]).abs().max()
    assert error <= tolerances.GOLDEN_F64_AUDIO * golden["audio"].abs().max()


def test_float32_is_within_the_engine_limits(model, golden):
    with torch.no_grad():
        out, _ = model.float()(golden["mic"].float(), golden["ref"].float())
    error = out.audio[0].double() - golden["audio"]
    assert error.abs().max() <= tolerances.GOLDEN_F32_ABSOLUTE
    assert error.norm() <= tolerances.GOLDEN_F32_RELATIVE_RMS * golden["audio"].norm()
