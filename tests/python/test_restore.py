"""`voxhop.restore`: whole recordings through a model with one input."""

from pathlib import Path

import numpy as np
import pytest

import voxhop
from voxhop.errors import ArgumentError, DtypeError

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "streamfm-random" / "model-f32.gguf")


@pytest.fixture(scope="module")
def speech():
    audio = np.fromfile(GOLDEN / "streamfm-random" / "in.f32", "<f4")[:5000]
    return audio * np.float32(0.5011872336 / np.abs(audio).max())


@pytest.fixture(scope="module")
def restored(model, speech):
    return voxhop.restore(speech, sample_rate=16000, model=model)


def test_it_is_the_stream_without_its_latency(model, speech, restored):
    padded = np.concatenate((speech, np.zeros(6 * 256 + 120, np.float32)))
    with voxhop.Session(model) as session:
        hops = padded[: len(padded) // 256 * 256].reshape(-1, 256)
        stream = np.concatenate([session.process_hop(x) for x in hops])
    assert restored.dtype == np.float32
    assert len(restored) == len(speech)
    assert np.abs(restored - stream[256 : 256 + 5000]).max() < 1e-4 * np.abs(restored).max()


def test_quiet_recordings_are_restored_like_loud_ones(model, speech, restored):
    quiet = voxhop.restore(speech * np.float32(0.01), sample_rate=16000, model=model)
    assert np.abs(quiet * 100 - restored).max() < 1e-3 * np.abs(restored).max()
    as_is = voxhop.restore(speech * np.float32(0.01), sample_rate=16000, model=model, level=False)
    assert np.abs(as_is * 100 - restored).max() > 0.1 * np.abs(restored).max()


def test_channels_are_restored_on_their_own(model, speech, restored):
    both = np.stack((speech[::-1], speech), axis=1)
    out = voxhop.restore(both, sample_rate=16000, model=model)
    assert out.shape == both.shape
    assert np.array_equal(out[:, 1], restored)


def test_rates_and_formats(model, speech, restored):
    narrow = (speech[::2] * 32767).astype(np.int16)
    wide = voxhop.restore(narrow, sample_rate=8000, model=model, out_sample_rate=16000)
    assert wide.dtype == np.int16
    assert len(wide) == 5000
    same = voxhop.restore(narrow, sample_rate=8000, model=model)
    assert len(same) == 2500
    silence = voxhop.restore(np.zeros(700, np.float32), sample_rate=16000, model=model)
    assert np.isfinite(silence).all()
    assert restored.max() > 1e-3


def test_what_does_not_fit_is_refused(model, speech):
    with pytest.raises(ArgumentError, match="localvqe has 2 audio inputs"):
        voxhop.restore(
            speech, sample_rate=16000, model=GOLDEN / "localvqe-v1.1-random" / "model-f32.gguf"
        )
    with pytest.raises(ArgumentError, match="out_sample_rate"):
        voxhop.restore(speech, sample_rate=16000, model=model, out_sample_rate=0)
    with pytest.raises(DtypeError, match="audio"):
        voxhop.restore([0.0], sample_rate=16000, model=model)
