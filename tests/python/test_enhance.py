"""Whole recordings as arrays: alignment, rates, channels, types."""

import numpy as np
import pytest
import soxr

import signals
import tolerances
import voxhop
from hops import hop_by_hop
from voxhop.files import enhancer as _enhancer

RATE = 16000


def relative_rms(found, expected):
    return np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))


@pytest.mark.parametrize("length", [1, 255, 256, 257, 5000])
def test_equals_the_streamed_output_without_its_lag(model, call, length):
    mic, ref = (track[:length] for track in call)
    out = voxhop.enhance(mic, ref, sample_rate=RATE, model=model, highpass_hz=0)
    padded = [np.pad(track, (0, 768 - length % 256)) for track in (mic, ref)]
    with model.session(precision="auto") as session:
        streamed = hop_by_hop(session, *padded)
    assert out.shape == mic.shape
    assert np.array_equal(out, streamed[256 : 256 + length])


# The last four are no rates of a stream.
@pytest.mark.parametrize(
    "rate", [8000, 11025, 22050, 24000, 44100, 48000, 96000, 1000, 11127, 47999, 384000]
)
@pytest.mark.parametrize("length", [1, 1000, 4411])
def test_length_is_kept_at_any_rate(model, rate, length):
    mic = np.random.default_rng(rate).uniform(-0.1, 0.1, length).astype(np.float32)
    assert voxhop.enhance(mic, mic, sample_rate=rate, model=model).shape == mic.shape


def converted(track, rate, to_rate):
    return soxr.resample(track, rate, to_rate, "VHQ")


def band_limited(track, rate):
    """Return what the stream's filters hand on at `rate` untouched: flat to 7/16 of the lower."""
    spectrum = np.fft.rfft(track)
    spectrum[np.fft.rfftfreq(len(track), 1 / RATE) > 0.42 * min(rate, RATE)] = 0
    return np.fft.irfft(spectrum, len(track)).astype(np.float32)


@pytest.fixture(scope="module")
def plain():
    """Return a model without adaptive filters, which make much of what a conversion rounds."""
    with voxhop.load("voxhop-localvqe-1.3M") as loaded:
        yield loaded


# 11127 and 47999 Hz are no rates of a stream: those recordings are converted by soxr.
@pytest.mark.parametrize("rate", [8000, 11127, 24000, 44100, 47999, 48000])
def test_other_rates_are_converted_there_and_back_without_a_shift(plain, call, rate):
    mic_up, ref_up = (converted(band_limited(track, rate), RATE, rate) for track in call)
    mic, ref = (converted(track, rate, RATE) for track in (mic_up, ref_up))
    expected = converted(voxhop.enhance(mic, ref, sample_rate=RATE, model=plain), RATE, rate)
    out = voxhop.enhance(mic_up, ref_up, sample_rate=rate, model=plain)
    assert out.shape == mic_up.shape
    middle = slice(rate // 10, -rate // 10)
    error = relative_rms(out[middle], expected[: len(out)][middle])
    assert error < (tolerances.RATE_ROUND_TRIP if rate == 11127 else tolerances.STREAM_RATE)


@pytest.mark.parametrize("rate", [24000, 48000, 47999])
def test_band_above_the_model_follows_or_is_dropped(model, call, rate):
    speech, _ = (converted(track, RATE, rate) for track in call)
    hiss = np.random.default_rng(5).normal(0, 0.03, len(speech))
    mic = (speech + hiss).astype(np.float32)

    def level_above_9_khz(signal):
        power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
        return 10 * np.log10(power[np.fft.rfftfreq(len(signal), 1 / rate) > 9000].mean())

    follow = voxhop.enhance(mic, sample_rate=rate, model=model)
    drop = voxhop.enhance(mic, sample_rate=rate, model=model, high_band="drop")
    before = level_above_9_khz(mic)
    assert before - 30.0 < level_above_9_khz(follow) < before - 3.0
    assert level_above_9_khz(drop) < before - 60.0


def test_reference_may_have_another_rate(model, call):
    mic, ref = call
    ref_up = converted(ref, RATE, 48000)
    expected = voxhop.enhance(mic, converted(ref_up, 48000, RATE), sample_rate=RATE, model=model)
    out = voxhop.enhance(mic, ref_up, sample_rate=RATE, ref_sample_rate=48000, model=model)
    assert relative_rms(out, expected) < tolerances.RATE_ROUND_TRIP


def test_result_does_not_depend_on_the_block(model, call, monkeypatch):
    mic, ref = (soxr.resample(track[:8000], RATE, 44100) for track in call)
    expected = voxhop.enhance(mic, ref, sample_rate=44100, model=model)
    monkeypatch.setattr(_enhancer, "BLOCK_S", 0.01)
    found = voxhop.enhance(mic, ref, sample_rate=44100, model=model)
    assert np.abs(found - expected).max() <= tolerances.BLOCKWISE_RESAMPLING


def test_short_reference_is_followed_by_silence_and_long_one_cut(model, call):
    mic, ref = (track[:6000] for track in call)
    silent = np.concatenate([ref[:2000], np.zeros(4000, np.float32)])
    assert np.array_equal(
        voxhop.enhance(mic, ref[:2000], sample_rate=RATE, model=model),
        voxhop.enhance(mic, silent, sample_rate=RATE, model=model),
    )
    assert np.array_equal(
        voxhop.enhance(mic, call[1], sample_rate=RATE, model=model),
        voxhop.enhance(mic, ref, sample_rate=RATE, model=model),
    )


@pytest.mark.parametrize(("dtype", "scale"), [(np.int16, 32768.0), (np.int32, 2147483648.0)])
def test_integers_come_back_rounded(model, call, dtype, scale):
    mic, ref = (np.rint(track[:4000] * scale * 0.99).astype(dtype) for track in call)
    floats = [(track / scale).astype(np.float32) for track in (mic, ref)]
    out = voxhop.enhance(mic, ref, sample_rate=RATE, model=model)
    exact = voxhop.enhance(*floats, sample_rate=RATE, model=model)
    assert out.dtype == dtype
    assert np.abs(out - exact.astype(np.float64) * scale).max() <= 0.5


def test_float64_comes_back_as_float64(model, call):
    mic, ref = (track[:4000] for track in call)
    out = voxhop.enhance(mic.astype(np.float64), ref, sample_rate=RATE, model=model)
    assert out.dtype == np.float64
    assert np.array_equal(out, voxhop.enhance(mic, ref, sample_rate=RATE, model=model))


def test_integer_output_saturates(model):
    t = np.arange(8000) / RATE
    square = (np.sign(np.sin(2 * np.pi * 150 * t)) * 32767).astype(np.int16)
    out = voxhop.enhance(square, sample_rate=RATE, model=model)
    exact = voxhop.enhance((square / 32768).astype(np.float32), sample_rate=RATE, model=model)
    # A wrapped sample would have the other sign.
    assert not (np.sign(out) * np.sign(exact) < 0).any()
    assert np.abs(out - np.clip(np.rint(exact * 32768.0), -32768, 32767)).max() == 0


def test_each_channel_is_enhanced_on_its_own(model, call):
    mic, ref = (track[:4000] for track in call)
    pair = np.stack([mic, mic[::-1]], axis=1)
    out = voxhop.enhance(pair, ref, sample_rate=RATE, model=model)
    assert out.shape == pair.shape
    for channel in range(2):
        alone = voxhop.enhance(pair[:, channel], ref, sample_rate=RATE, model=model)
        assert np.array_equal(out[:, channel], alone)
        chosen = voxhop.enhance(pair, ref, sample_rate=RATE, model=model, mic_channel=channel)
        assert np.array_equal(chosen, alone)


def test_reference_channels_are_averaged_or_chosen(model, call):
    mic, ref = (track[:4000] for track in call)
    stereo = np.stack([ref, np.roll(ref, 700)], axis=1)
    expected = voxhop.enhance(mic, stereo.mean(axis=1), sample_rate=RATE, model=model)
    averaged = voxhop.enhance(mic, stereo, sample_rate=RATE, model=model)
    assert np.array_equal(averaged, expected)
    for channel in range(2):
        expected = voxhop.enhance(mic, stereo[:, channel].copy(), sample_rate=RATE, model=model)
        chosen = voxhop.enhance(mic, stereo, sample_rate=RATE, model=model, ref_channel=channel)
        assert np.array_equal(chosen, expected)
        assert relative_rms(averaged, chosen) > 1e-3


def test_reference_may_be_a_channel_of_the_recording(model, call):
    mic, ref = (track[:4000] for track in call)
    both = np.stack([ref, mic], axis=1)
    expected = voxhop.enhance(mic, ref, sample_rate=RATE, model=model)
    rest = voxhop.enhance(both, sample_rate=RATE, model=model, ref_channel=0)
    assert np.array_equal(rest, expected[:, None])
    chosen = voxhop.enhance(both, sample_rate=RATE, model=model, mic_channel=1, ref_channel=0)
    assert np.array_equal(chosen, expected)


def test_settings_reach_the_stream(model, call):
    mic, ref = (track[:8000] for track in call)
    keywords = {"sample_rate": RATE, "model": model}
    raw = voxhop.enhance(mic, ref, strength=0.0, highpass_hz=0, **keywords)
    assert np.array_equal(raw, mic)
    late = np.concatenate([np.zeros(1600, np.float32), ref])[: len(ref)]
    delayed = voxhop.enhance(mic, ref, delay_ms=100.0, **keywords)
    same = slice(0, -512)  # the last hop looks at what comes after the end
    assert np.array_equal(delayed[same], voxhop.enhance(mic, late, **keywords)[same])


def test_nothing_is_bypassed_unless_the_delay_is_found():
    assert _enhancer.stream_settings({}) == {"delay_ms": 0.0, "auto_bypass": False}
    assert _enhancer.stream_settings({"delay_ms": "auto"})["auto_bypass"] is True
    assert _enhancer.stream_settings({}, delay_ms="auto")["auto_bypass"] is True
    assert _enhancer.stream_settings({"auto_bypass": True})["auto_bypass"] is True


def test_long_delay_is_found_when_asked_for(model):
    """The echo comes 1.3 s after the reference: beyond the model's window."""
    far = signals.speech_like(12 * RATE, 3)
    heard = 0.5 * signals.delayed(far, 20000) + signals.noise(len(far), 4, rms=0.003)
    mic, ref = heard.astype(np.float32), far.astype(np.float32)
    keywords = {"sample_rate": RATE, "model": model}
    plain = voxhop.enhance(mic, ref, **keywords)
    found = voxhop.enhance(mic, ref, delay_ms="auto", **keywords)
    second_half = slice(len(mic) // 2, None)
    powers = [np.mean(x[second_half] ** 2) for x in (plain, found)]
    assert 10 * np.log10(powers[0] / powers[1]) > 3.0


def mono(samples=512):
    return np.zeros(samples, np.float32)


REFUSED = {
    "channels first": ((np.zeros((2, 512), np.float32),), {}, voxhop.ShapeError, "transposed"),
    "ref channels first": ((mono(), np.zeros((2, 9), np.float32)), {}, voxhop.ShapeError, "^ref:"),
    "rank 3": ((np.zeros((4, 2, 2), np.float32),), {}, voxhop.ShapeError, r"\(4, 2, 2\)"),
    "empty": ((mono(0),), {}, voxhop.ShapeError, r"shape \(0,\)"),
    "empty ref": ((mono(), mono(0)), {}, voxhop.ShapeError, "^ref:"),
    "list": (([0.0],), {}, voxhop.DtypeError, "list"),
    "uint8": ((np.zeros(512, np.uint8),), {}, voxhop.DtypeError, "uint8"),
    "complex": ((np.zeros(512, complex),), {}, voxhop.DtypeError, "complex128"),
    "integer scale": ((mono() + 3000.0,), {}, voxhop.ArgumentError, "reach 3000"),
    "mic channel": ((mono(),), {"mic_channel": 1}, voxhop.ArgumentError, "mic_channel: 1"),
    "negative channel": ((mono(),), {"mic_channel": -1}, voxhop.ArgumentError, "mic_channel: -1"),
    "no channel": ((mono(),), {"mic_channel": "left"}, voxhop.DtypeError, "'left'"),
    "ref channel": ((mono(), mono()), {"ref_channel": 2}, voxhop.ArgumentError, "ref_channel: 2"),
    "own ref": ((mono(),), {"ref_channel": 0}, voxhop.ArgumentError, "the microphone too"),
    "rate 0": ((mono(),), {"sample_rate": 0}, voxhop.ArgumentError, "sample_rate: 0"),
    "rate half": ((mono(),), {"sample_rate": 16000.5}, voxhop.ArgumentError, r"16000\.5"),
    "rate nan": ((mono(),), {"sample_rate": float("nan")}, voxhop.ArgumentError, "nan"),
    "rate text": ((mono(),), {"sample_rate": "16k"}, voxhop.DtypeError, "str"),
    "channels": ((mono(),), {"channels": 2}, voxhop.ArgumentError, "^channels: as the recording"),
    "setting": ((mono(),), {"volume": 2}, voxhop.ArgumentError, "unknown setting 'volume'"),
    "strength": ((mono(),), {"strength": 2.0}, voxhop.ArgumentError, "strength: 2"),
    "ref rate": ((mono(), mono()), {"ref_sample_rate": 5}, voxhop.ArgumentError, "ref_sample_rate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_named(model, case):
    arrays, options, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        voxhop.enhance(*arrays, **{"sample_rate": RATE, "model": model, **options})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["mic", "ref"])
def test_samples_that_are_not_finite_are_refused(model, bad, place):
    arrays = {"mic": mono(), "ref": mono()}
    arrays[place][300] = bad
    with pytest.raises(voxhop.ArgumentError, match=f"{place}: sample 300 is not finite"):
        voxhop.enhance(**arrays, sample_rate=RATE, model=model)


def test_model_may_be_a_name_and_options_reach_the_session(call):
    mic = call[0][:2000]
    by_name = voxhop.enhance(mic, sample_rate=RATE, model=voxhop.DEFAULT_MODEL)
    assert np.array_equal(voxhop.enhance(mic, sample_rate=RATE), by_name)
    with pytest.raises(voxhop.VoxhopError, match="nonsense"):
        voxhop.enhance(mic, sample_rate=RATE, options=voxhop.SessionOptions(kernels="nonsense"))


def test_a_recording_does_not_depend_on_how_busy_the_machine_is():
    with pytest.raises(voxhop.ArgumentError, match="governor: a recording has no deadline"):
        voxhop.enhance(np.zeros(1600, "f4"), sample_rate=16000, governor=True)
