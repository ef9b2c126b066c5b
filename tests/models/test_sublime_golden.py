"""Sublime in the engine against float64 values that another implementation computed."""

from pathlib import Path

import numpy as np
import pytest

import tolerances
import voxhop
from models.sublime_streams import decode, encode, low_rate
from streams import relative_rms

GOLDEN = Path(__file__).parent.parent / "golden" / "sublime-random"
KERNELS = ["stock", *voxhop.cpu_isas()]


def how(isa):
    return {"kernels": "stock"} if isa == "stock" else {"isa": isa}


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "model-f32.gguf")


@pytest.fixture(scope="module")
def pcm():
    return np.fromfile(GOLDEN / "in.f32", "<f4")


@pytest.fixture(scope="module")
def codes():
    return np.fromfile(GOLDEN / "codes.u8", "u1").reshape(-1, 24)


@pytest.fixture(scope="module")
def margins():
    return np.fromfile(GOLDEN / "margins.f64", "<f8").reshape(-1, 24)


@pytest.mark.parametrize("isa", KERNELS)
def test_features_queries_and_codes(model, pcm, codes, margins, isa):
    with model.session(part="encoder", **how(isa)) as session:
        found, mel, queries = encode(session, pcm, ["mel", "queries"])
    mel = mel.reshape(-1, 160)[1:]  # the first frame lies before the stream
    expected = np.fromfile(GOLDEN / "mel.f64", "<f8").reshape(-1, 160)[: len(mel)]
    assert np.abs(mel - expected).max() <= tolerances.SUBLIME_MEL
    expected = np.fromfile(GOLDEN / "queries.f64", "<f8").reshape(-1, 24 * 8)
    assert np.abs(queries - expected).max() <= tolerances.SUBLIME_QUERIES
    assert found.dtype == np.uint8
    clear = margins > tolerances.SUBLIME_MARGIN
    assert clear.mean() > 0.99
    assert np.array_equal(found[clear], codes[clear])


@pytest.mark.parametrize("kbps", [1, 6])
@pytest.mark.parametrize("isa", KERNELS)
def test_samples_in_both_modes(model, codes, isa, kbps):
    expected = np.fromfile(GOLDEN / f"out.{kbps}k.f64", "<f8")
    with model.session(part="decoder", **how(isa)) as session:
        found = decode(session, low_rate(codes) if kbps == 1 else codes)
    assert np.abs(found - expected).max() <= tolerances.SUBLIME_ABSOLUTE
    assert relative_rms(found, expected) <= tolerances.SUBLIME_RELATIVE_RMS


@pytest.mark.parametrize("precision", ["f16", "bf16", "int8"])
@pytest.mark.parametrize("isa", voxhop.cpu_isas())
def test_reduced_precision_flips_codes_of_small_margin_only(
    model, pcm, codes, margins, isa, precision
):
    with model.session(part="encoder", isa=isa, precision=precision) as session:
        (found,) = encode(session, pcm)
    flipped = found != codes
    rate, widest = tolerances.SUBLIME_FLIPS[precision]
    assert 0 < flipped.mean() <= rate
    assert margins[flipped].max() <= widest


@pytest.mark.parametrize("precision", ["f16", "bf16", "int8"])
@pytest.mark.parametrize("isa", voxhop.cpu_isas())
def test_reduced_precision_sounds_alike(model, codes, isa, precision):
    expected = np.fromfile(GOLDEN / "out.6k.f64", "<f8")
    with model.session(part="decoder", isa=isa, precision=precision) as session:
        error = relative_rms(decode(session, codes), expected)
    assert 0 < error <= tolerances.SUBLIME_REDUCED[precision]
