"""Stream.FM's reference against float64 output that another implementation computed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import tolerances

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.export.streamfm import read_streamfm

GOLDEN = Path(__file__).parent.parent / "golden" / "streamfm-random"
HOP = 256


@pytest.fixture(scope="module")
def model():
    return read_streamfm(GOLDEN / "model-f32.gguf").double()


@pytest.fixture(scope="module")
def given():
    audio = torch.from_numpy(np.fromfile(GOLDEN / "in.f32", "<f4")).double()
    noise = torch.from_numpy(np.fromfile(GOLDEN / "noise.f32", "<f4")).double()
    return audio[None], noise.view(1, -1, 2, HOP)


def test_files_are_the_published_ones():
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 5
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("solver", ["euler5", "ralston3+2"])
def test_output_with_the_noise_given(model, given, solver):
    audio, noise = given
    expected = np.fromfile(GOLDEN / f"out.{solver}.f64", "<f8")
    with torch.no_grad():
        out, _ = model(audio, solver=solver, noise=noise)
    error = np.abs(out[0].numpy() - expected).max()
    assert error <= tolerances.GOLDEN_F64_STREAMFM * np.abs(expected).max()


def test_any_split_is_the_same_output(model, given):
    audio, noise = given
    with torch.no_grad():
        whole, _ = model(audio, noise=noise)
        state, parts, at = None, [], 0
        for frames in (1, 3, 1, 7, 2, 20, audio.shape[1] // HOP - 34):
            piece = audio[:, at * HOP : (at + frames) * HOP]
            out, state = model(piece, state, noise=noise[:, at : at + frames])
            parts.append(out)
            at += frames
    difference = (torch.cat(parts, 1) - whole).abs().max()
    assert difference <= tolerances.F64_REORDERED * whole.abs().max()
