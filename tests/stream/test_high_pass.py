"""The high-pass at the door of a stream: its corner, what it takes away, what it leaves."""

import math

import numpy as np
import pytest

import voxhop
from voxhop._bindings import native
from voxhop.errors import ArgumentError, VoxhopError
from voxhop.stream import Stream

RATES = (8000, 16000, 44100, 48000)


def heard(model, mic, rate, **settings):
    """Return the microphone as the stream hears it, aligned with `mic`."""
    with Stream(model, sample_rate=rate, strength=0.0, **settings) as stream:
        return np.concatenate([stream.process(mic), stream.flush()])[stream.latency_samples :]


def response_db(model, rate, frequencies, **settings):
    """Return gains in dB: the spectrum of the answer to an impulse, at the frequencies alone."""
    impulse = np.zeros(2 * rate, np.float32)
    impulse[100] = 1.0
    answer = heard(model, impulse, rate, **settings)[100:].astype(np.float64)
    turns = np.outer(frequencies, np.arange(len(answer)) / rate)
    return 20 * np.log10(np.abs(np.exp(-2j * np.pi * turns) @ answer))


@pytest.mark.parametrize("rate", RATES)
def test_the_corner_is_where_it_is_said_to_be(model, rate):
    found = response_db(model, rate, [15, 30, 50, 80, 1000])
    assert found == pytest.approx([-12.30, -3.01, -0.529, -0.085, 0.0], abs=0.02)


def test_another_corner_and_none(model):
    assert response_db(model, 48000, [100], highpass_hz=100)[0] == pytest.approx(-3.01, abs=0.01)
    mic = np.full(4800, 0.2, np.float32)
    assert np.array_equal(heard(model, mic, 16000, highpass_hz=0), mic)


def level_dbfs(x):
    return 10 * math.log10(np.mean(np.square(x, dtype=np.float64)) + 1e-20)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_an_offset_leaves_nothing_in_the_pauses(model, call, rate):
    """A talker between pauses, beside an offset of 0.2: speech is where it was without it."""
    speech = np.concatenate([np.zeros(32000, np.float32), call[0][108000:124000]] * 2)
    if rate != 16000:
        soxr = pytest.importorskip("soxr")
        speech = soxr.resample(speech, 16000, rate)
    settings = {"sample_rate": rate, "model": model}
    clean = voxhop.enhance(speech, **settings)
    out = voxhop.enhance(speech + np.float32(0.2), **settings)
    pauses = [slice(rate, 2 * rate), slice(4 * rate, 5 * rate)]
    assert max(level_dbfs(out[pause]) for pause in pauses) <= -58.0
    talk = slice(2 * rate, 3 * rate)
    assert level_dbfs(out[talk] - clean[talk]) < level_dbfs(clean[talk]) - 20.0
    with voxhop.load("voxhop-localvqe-1.3M") as plain:  # the default takes an offset by itself
        settings |= {"model": plain, "highpass_hz": 0}
        through = voxhop.enhance(speech + np.float32(0.2), **settings)
    assert max(level_dbfs(through[pause]) for pause in pauses) > -58.0  # there is something to do


def test_the_reference_passes_it_too(model):
    mic = np.zeros(32000, np.float32)
    levels = {}
    for corner in (0, 30):
        with Stream(model, sample_rate=16000, highpass_hz=corner, delay_ms=0.0) as stream:
            stream.process(mic, np.full_like(mic, 0.2))
            levels[corner] = stream.metrics.ref_dbfs
    assert levels[0] == pytest.approx(-13.98, abs=0.1)
    assert levels[30] < -70.0


def test_channels_have_a_state_of_their_own(model):
    mic = np.stack([np.full(9600, 0.3, np.float32), np.zeros(9600, np.float32)], axis=1)
    with Stream(model, sample_rate=48000, channels=2, strength=0.0) as stream:
        out = stream.process(mic)
    assert not out[:, 1].any()
    assert np.abs(out[:, 0]).max() > 0.25


def test_reset_and_flush_forget_it(model):
    mic = np.full(9600, 0.3, np.float32)
    with Stream(model, sample_rate=16000, strength=0.0) as stream:
        first = stream.process(mic)
        stream.flush()
        assert np.array_equal(stream.process(mic), first)
        stream.reset()
        assert np.array_equal(stream.process(mic), first)
    assert np.abs(first).max() > 0.25  # the step at the start, which a filter at rest hands on


def test_no_split_changes_a_bit_through_sound_and_long_silence(model):
    """Long enough for the state to become nothing, in blocks of any length."""
    rng = np.random.default_rng(3)
    mic = np.zeros(80000, np.float32)
    mic[:4000] = 0.3 * rng.standard_normal(4000)
    mic[-4000:] = 0.3 * rng.standard_normal(4000)
    settings = {"sample_rate": 16000, "strength": 0.0}
    with Stream(model, **settings) as whole, Stream(model, **settings) as split:
        expected = whole.process(mic)
        parts, at = [], 0
        while at < len(mic):
            n = int(rng.integers(1, 3000))
            parts.append(split.process(mic[at : at + n]))
            at += n
        assert np.array_equal(np.concatenate(parts), expected)
    assert not expected[60000:70000].any()


@pytest.mark.parametrize("corner", [-1.0, 0.5, 1000.5, math.inf, math.nan])
def test_corners_out_of_range_are_refused(model, corner):
    with pytest.raises(ArgumentError, match="highpass_hz"):
        Stream(model, highpass_hz=corner)


def open_native(model, change):
    n = native()
    options, out = n.ffi.new("vh_stream_options *"), n.ffi.new("vh_stream **")
    n.lib.vh_stream_options_init(options)
    options.sample_rate = 16000
    change(options)
    n.call(n.lib.vh_stream_open, model.handle, options, out)
    return n.own(out[0], n.lib.vh_stream_close)


def test_options_of_an_older_header_have_the_default(model):
    """What lies behind their end is not read: here a corner that would be refused."""
    n = native()

    def older(options):
        options.struct_size = n.ffi.offsetof("vh_stream_options", "highpass_hz")
        options.highpass_hz = -5.0

    stream = open_native(model, older)
    impulse = np.zeros(2048, np.float32)
    impulse[0] = 1.0
    n.call(n.lib.vh_stream_set, stream, n.lib.VH_CONTROL_STRENGTH, 0.0)
    out = np.empty_like(impulse)
    buffers = (n.ffi.from_buffer("float[]", x) for x in (impulse, out))
    mic, into = buffers
    n.call(n.lib.vh_stream_process_f32, stream, mic, n.ffi.NULL, into, len(impulse))
    with Stream(model, sample_rate=16000) as default:
        default.set_strength(0.0)
        assert np.array_equal(default.process(impulse), out)


def test_options_that_never_were_are_refused(model):
    def short(options):
        options.struct_size = 40

    def negative(options):
        options.highpass_hz = -5.0

    for change, words in ((short, "struct_size 40"), (negative, "highpass_hz: -5")):
        with pytest.raises(VoxhopError, match=words):
            open_native(model, change)
