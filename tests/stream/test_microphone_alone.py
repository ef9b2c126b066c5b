"""Streams of models that take a microphone alone: rates, options, no reference, one truth."""

from pathlib import Path

import numpy as np
import pytest

import signals
import voxhop
from streams import run
from voxhop.errors import ArgumentError
from voxhop.stream import Stream

GOLDEN = Path(__file__).parents[1] / "golden"
RAW = {"highpass_hz": 0}  # so that a session hears the same


@pytest.fixture(scope="module")
def seflow():
    """At 8000 and 16000 Hz, three blocks and two heads."""
    with voxhop.load(GOLDEN / "seflow-random" / "model-f32.gguf") as model:
        yield model


@pytest.fixture(scope="module")
def restorer():
    with voxhop.load(GOLDEN / "streamfm-random" / "model-f32.gguf") as model:
        yield model


def speech(samples, seed=5):
    return signals.speech_like(samples, seed).astype(np.float32)


def streamed(stream, mic, lengths=(480,)):
    """Return all output without the latency."""
    parts, at, i = [], 0, 0
    while at < len(mic):
        n = lengths[i % len(lengths)]
        parts.append(stream.process(mic[at : at + n]))
        at, i = at + n, i + 1
    return np.concatenate([*parts, stream.flush()])[stream.latency_samples :]


def assert_is_the_session(out, session, mic):
    """Sample for sample, as far as the session gives any."""
    hop = session.hop_length
    whole = mic[: len(mic) // hop * hop]
    expected = run(session, whole)[session.latency_samples :]
    assert np.array_equal(out[: len(expected)], expected)
    assert np.abs(expected).max() > 1e-4


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("options", [{}, {"depth": 2, "heads": 1, "window": 9, "cache": "f16"}])
def test_a_rate_of_the_file_is_the_models_own(seflow, rate, options):
    mic = speech(rate)
    with Stream(seflow, sample_rate=rate, **options, **RAW) as stream:
        out = streamed(stream, mic, (160, 37, 1000))
        # One hop to gather but for its last sample, and the window's overlap.
        assert stream.latency_samples == 2 * (rate * 16 // 1000) - 1
    with seflow.session(sample_rate=rate, precision="auto", **options) as session:
        assert_is_the_session(out, session, mic)


@pytest.mark.parametrize(("rate", "model_rate"), [(11025, 16000), (12000, 16000), (48000, 16000)])
def test_another_rate_takes_the_next_above_or_the_highest(seflow, rate, model_rate):
    mic = speech(rate)
    with (
        Stream(seflow, sample_rate=rate) as chosen,
        Stream(seflow, sample_rate=rate, model_rate=model_rate) as told,
        Stream(seflow, sample_rate=rate, model_rate=8000) as other,
    ):
        expected = streamed(told, mic)
        assert np.array_equal(streamed(chosen, mic), expected)
        assert not np.array_equal(streamed(other, mic)[: len(mic) // 2], expected[: len(mic) // 2])
        assert told.values == {"sample_rate": str(model_rate)}


def test_a_restorer_streams_too(restorer):
    mic = speech(16000)
    with Stream(restorer, sample_rate=16000, **RAW) as stream:
        out = streamed(stream, mic, (441,))
    with restorer.session(precision="auto") as session:
        assert_is_the_session(out, session, mic)


def test_int16_channels_and_splits(seflow):
    mic = (np.stack([speech(8000, 1), speech(8000, 2)], axis=1) * 32767).astype(np.int16)
    settings = {"sample_rate": 16000, "channels": 2}
    with Stream(seflow, **settings) as stream:
        whole = streamed(stream, mic, (8000,))
        assert np.array_equal(streamed(stream, mic, (1, 500, 33)), whole)
    with Stream(seflow, sample_rate=16000) as one:
        assert np.array_equal(streamed(one, np.ascontiguousarray(mic[:, 1])), whole[:, 1])


def test_a_reference_is_refused_by_name(seflow):
    mic = np.zeros(480, np.float32)
    with Stream(seflow, sample_rate=16000) as stream:
        with pytest.raises(ArgumentError, match="ref: this model takes a microphone alone"):
            stream.process(mic, mic)
        with pytest.raises(ArgumentError, match="ref: this model takes a microphone alone"):
            stream.push_ref(mic)
        assert stream.push_mic(mic).shape == mic.shape  # which needs none
    with pytest.raises(ArgumentError, match="ref: this model takes a microphone alone"):
        voxhop.enhance(mic, mic, sample_rate=16000, model=seflow)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"delay_ms": 30.0}, "delay_ms: 30, expected none: this model takes a microphone alone"),
        ({"lookahead_ms": 30.0}, "lookahead_ms: 30, expected 0: this model takes"),
        ({"depth": 4}, "depth: 4, expected 1 to 3"),
        ({"model_rate": 48000}, "sample_rate: 48000, expected one of 8000, 16000"),
        ({"speed": 2}, "unknown setting 'speed', expected .*cache.*depth.*strength"),
    ],
)
def test_what_has_no_meaning_is_refused(seflow, settings, words):
    with pytest.raises(ArgumentError, match=words):
        Stream(seflow, sample_rate=16000, **settings)


def test_a_model_without_options_names_what_there_is():
    with voxhop.load() as model:
        with pytest.raises(ArgumentError, match="unknown setting 'depth', expected auto_bypass"):
            Stream(model, depth=2)
        with pytest.raises(ArgumentError, match="sample_rate: this model has no such option"):
            Stream(model, model_rate=16000)


def test_figures_say_nothing_of_a_reference(seflow):
    """Random weights make it louder, which only an echo canceller is stopped for."""
    mic = 0.01 * speech(4 * 16000)
    with Stream(seflow, sample_rate=16000, missing_ref="bypass") as stream:
        stream.process(mic)
        m = stream.metrics
    assert m.out_dbfs > m.mic_dbfs + 3.0
    assert not any([m.not_helping, m.bypassed, m.ref_missing, m.ref_active, m.ref_unrelated])
    assert (m.delay_ms, m.drift_ppm, m.erle_db, m.model_delay_ms) == (None,) * 4
    assert (m.ref_missing_frames, m.ref_late_frames, m.pre_delay_ms) == (0, 0, 0.0)


def test_enhance_takes_the_models_options(seflow):
    mic = speech(8000)
    settings = {"sample_rate": 16000, "model": seflow, "highpass_hz": 0, "depth": 1, "heads": 1}
    out = voxhop.enhance(mic, **settings)
    with seflow.session(depth=1, heads=1, precision="auto") as session:
        assert_is_the_session(out, session, mic)
    assert not np.array_equal(voxhop.enhance(mic, **settings | {"depth": 2}), out)
