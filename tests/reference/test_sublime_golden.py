"""Sublime's reference against what another implementation computed in float64."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import tolerances

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.export.sublime import read_sublime

GOLDEN = Path(__file__).parent.parent / "golden" / "sublime-random"


@pytest.fixture(scope="module")
def model():
    return read_sublime(GOLDEN / "model-f32.gguf").double()


@pytest.fixture(scope="module")
def audio():
    return torch.from_numpy(np.fromfile(GOLDEN / "in.f32", "<f4")).double()[None]


def expected(name, *shape):
    return np.fromfile(GOLDEN / name, np.uint8 if name.endswith("u8") else "<f8").reshape(shape)


def test_files_are_the_published_ones():
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 10
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest, name


def test_features_queries_margins_and_codes(model, audio):
    with torch.no_grad():
        mel, _ = model.mel(audio)
        queries, _ = model.queries(audio)
        scores, _ = model.scores(audio)
        codes, _ = model.encode(audio)
    assert (
        np.abs(mel[0].T.numpy() - expected("mel.f64", 200, 160)).max() <= tolerances.F64_REORDERED
    )
    error = np.abs(queries[0].numpy() - expected("queries.f64", 100, 24, 8)).max()
    assert error <= tolerances.F64_REORDERED
    best, second = scores[0].topk(2).values.unbind(-1)
    error = np.abs((best - second).numpy() - expected("margins.f64", 100, 24)).max()
    assert error <= tolerances.GOLDEN_F64_MARGINS
    assert (codes[0].numpy() == expected("codes.u8", 100, 24)).all()


@pytest.mark.parametrize(("mode", "groups"), [("1k", 4), ("6k", 24)])
def test_samples_of_both_modes(model, mode, groups):
    codes = torch.from_numpy(expected("codes.u8", 1, 100, 24))
    with torch.no_grad():
        out, _ = model.decode(codes[..., :groups])
    samples = expected(f"out.{mode}.f64", 1, 48000)
    assert np.abs(out.numpy() - samples).max() <= tolerances.F64_REORDERED * np.abs(samples).max()
