"""Stream: lengths, latency, splits, dtypes, controls and hostile input."""

import asyncio
import threading

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import signals
import tolerances
import voxhop
from voxhop.errors import ArgumentError, DtypeError, EngineError, ShapeError, StateError
from voxhop.stream import Stream

RATES = (8000, 16000, 24000, 32000, 44100, 48000)
STATED_LATENCY = {8000: 348, 16000: 511, 24000: 906, 32000: 1208, 44100: 1664, 48000: 1812}


def pair(rate, seconds, seed=1, channels=1, dtype=np.float32, near=0.0):
    """Microphone with echo, and with `near` (at 16 kHz), and its reference at `rate`."""
    mic, ref = signals.echo_pair(round(16000 * seconds), seed)
    out = []
    for side in (mic + near, ref):
        x = side if rate == 16000 else soxr.resample(side, 16000, rate)
        x = np.stack([x * (1.0 - 0.2 * c) for c in range(channels)], axis=1)
        x = x[:, 0] if channels == 1 else x
        out.append((x * 32767).astype(dtype) if dtype == np.int16 else x.astype(dtype))
    return out


def run(stream, mic, ref, lengths):
    """Feed the recording in blocks of the given lengths, over and over; return all output."""
    parts, at, i = [], 0, 0
    while at < len(mic):
        n = lengths[i % len(lengths)]
        block = mic[at : at + n]
        out = stream.process(block, None if ref is None else ref[at : at + n])
        assert out.shape == block.shape
        assert out.dtype == block.dtype
        parts.append(out)
        at, i = at + n, i + 1
    parts.append(stream.flush())
    return np.concatenate(parts)


configurations = st.fixed_dictionaries(
    {
        "rate": st.sampled_from(RATES),
        "dtype": st.sampled_from([np.float32, np.int16]),
        "channels": st.sampled_from([1, 1, 1, 2]),
        "rule": st.sampled_from(["each", "mix"]),
        "delay": st.sampled_from(["auto", 0.0, 37.5]),
        "lookahead": st.sampled_from([0.0, 0.0, 12.3]),
        "lengths": st.lists(st.integers(1, 3000), min_size=1, max_size=6),
        "seed": st.integers(0, 10**6),
    }
)


@pytest.fixture(scope="module")
def word(call):
    """Return 0.35 s of a talker: what stays of synthetic sound depends on the weights."""
    return 0.5 * call[0][108000:113600]


def check_configuration(model, case, word):
    """Exact length, the same bits for any split, `enhance`'s too; an impulse at the latency."""
    mic, ref = pair(case["rate"], 0.35, case["seed"], case["channels"], case["dtype"], word)
    keywords = {
        "sample_rate": case["rate"],
        "channels": case["channels"],
        "channel_rule": case["rule"],
        "ref_channels": case["channels"],
        "delay_ms": case["delay"],
        "lookahead_ms": case["lookahead"],
    }
    with Stream(model, **keywords) as stream:
        latency = stream.latency_samples
        split = run(stream, mic, ref, case["lengths"])
        whole = run(stream, mic, ref, [len(mic)])
    assert len(split) == len(mic) + latency
    assert np.array_equal(split, whole)
    assert not whole[:latency].any()
    assert_equals_enhance(model, mic, ref, split[latency:], keywords)
    with Stream(model, **keywords, strength=0.0) as stream:
        click = np.zeros_like(mic)
        at = len(mic) // 3
        click[at] = 16000 if case["dtype"] == np.int16 else 0.5
        heard = run(stream, click, ref, case["lengths"])
    heard = heard if heard.ndim == 1 else heard[:, 0]
    assert int(np.argmax(np.abs(heard.astype(np.float64)))) == at + latency


def assert_equals_enhance(model, mic, ref, aligned, keywords):
    """What the blocks gave, without the latency, is what a whole recording gives."""
    mixed = keywords["channel_rule"] == "mix" and mic.ndim == 2
    alone = {k: v for k, v in keywords.items() if k in {"sample_rate", "delay_ms", "lookahead_ms"}}
    alone |= {"auto_bypass": True, "model": model}
    if mixed:  # the average of the channels, given to all
        floats = mic.mean(axis=1, dtype=np.float64) / (32768.0 if mic.dtype == np.int16 else 1.0)
        one = voxhop.enhance(floats.astype(np.float32), ref, **alone)
        if mic.dtype == np.int16:
            one = np.clip(np.rint(one * 32768.0), -32768, 32767)
        expected = np.stack([one, one], axis=1)
    else:
        expected = voxhop.enhance(mic, ref, **alone)
    assert np.array_equal(aligned, expected)
    assert np.abs(expected).max() > (20 if mic.dtype == np.int16 else 1e-3)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=configurations)
def test_any_configuration_is_exact(model, word, case):
    check_configuration(model, case, word)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=configurations)
def test_two_hundred_configurations_are_exact(model, word, case):
    check_configuration(model, case, word)


@pytest.mark.parametrize("rate", RATES)
def test_latency_is_what_the_documentation_says(model, rate):
    with Stream(model, sample_rate=rate) as stream:
        assert stream.latency_samples == STATED_LATENCY[rate]


@pytest.mark.parametrize("rate", RATES)
def test_enhanced_speech_lags_by_the_latency(model, rate):
    """By cross-correlation of the model's own output with near speech alone."""
    speech = signals.speech_like(24000, 5)
    mic = (speech if rate == 16000 else soxr.resample(speech, 16000, rate)).astype(np.float32)
    with Stream(model, sample_rate=rate, delay_ms=0.0, auto_bypass=False) as stream:
        latency = stream.latency_samples
        out = stream.process(mic, np.zeros_like(mic))
    size = 2 * len(mic)
    cross = np.fft.irfft(np.fft.rfft(out, size) * np.conj(np.fft.rfft(mic, size)))
    lag = int(np.argmax(cross))
    assert abs(lag - latency) <= rate // 16000  # a masked spectrum may lean by a sample


@pytest.mark.parametrize("rate", RATES)
def test_bypass_returns_the_microphone(model, rate):
    mic, ref = pair(rate, 0.5)
    with Stream(model, sample_rate=rate, highpass_hz=0) as stream:
        stream.set_bypass(True)
        stream.process(mic, ref)
        out = np.concatenate([stream.process(mic, ref), stream.flush()])
        assert stream.latency_samples < len(mic)
    # The first block's end is still on its way; after it comes the second, aligned.
    assert np.abs(out[-len(mic) :] - mic).max() < tolerances.STREAM_BYPASS


def test_session_and_stream_give_the_same_samples(model, call):
    mic, ref = (x[32000:64000] for x in call)
    raw = {"delay_ms": 0.0, "auto_bypass": False, "highpass_hz": 0}
    with Stream(model, sample_rate=16000, **raw) as stream:
        latency = stream.latency_samples
        out = np.concatenate([stream.process(mic, ref), stream.flush()])[latency:]
    with model.session(precision="auto") as session:
        hops = [
            session.process_hop(mic[at : at + 256], ref[at : at + 256])
            for at in range(0, len(mic), 256)
        ]
    expected = np.concatenate(hops)[model.latency_samples :]
    assert np.array_equal(out[: len(expected)], expected)


def test_int16_is_the_rounded_float_path(model):
    mic, ref = pair(48000, 0.5, dtype=np.int16)
    with Stream(model, sample_rate=48000) as stream:
        short = np.concatenate([stream.process(mic, ref), stream.flush()])
        floats = [(x / 32768).astype(np.float32) for x in (mic, ref)]
        full = np.concatenate([stream.process(*floats), stream.flush()])
    assert np.array_equal(short, np.clip(np.rint(full * 32768.0), -32768, 32767).astype(np.int16))


def test_int16_saturates_at_full_scale(model):
    mic = np.full(4000, 32767, np.int16)
    mic[1::2] = -32768
    with Stream(model, sample_rate=16000, strength=0.0, highpass_hz=0) as stream:
        out = np.concatenate([stream.process(mic), stream.flush()])[stream.latency_samples :]
        assert np.array_equal(out, mic)
        stream.process(mic)
        assert stream.metrics.clipped_samples == len(mic)


def test_channels_do_not_touch_each_other(model):
    mic, ref = pair(16000, 0.5)
    other = signals.noise(len(mic), 9).astype(np.float32)
    keywords = {"sample_rate": 16000, "delay_ms": 0.0}
    with Stream(model, channels=2, **keywords) as both, Stream(model, **keywords) as one:
        out = both.process(np.stack([mic, other], axis=1), ref)
        assert np.array_equal(out[:, 0], one.process(mic, ref))
    with Stream(model, channels=2, channel_rule="mix", **keywords) as mixed:
        out = mixed.process(np.stack([mic, other], axis=1), ref)
        assert np.array_equal(out[:, 0], out[:, 1])


def test_strength_mixes_the_aligned_microphone(model):
    mic, ref = pair(16000, 0.6)
    outs = {}
    for strength in (0.0, 0.25, 1.0):
        with Stream(model, sample_rate=16000, delay_ms=0.0, strength=strength) as stream:
            outs[strength] = stream.process(mic, ref)
    expected = 0.25 * outs[1.0] + 0.75 * outs[0.0]
    assert np.abs(outs[0.25] - expected).max() < tolerances.STREAM_MIX
    assert np.abs(outs[0.0] - outs[1.0]).max() > 0.01


def test_floor_limits_the_attenuation(model):
    rng = np.random.default_rng(4)
    mic = (0.05 * rng.standard_normal(32000)).astype(np.float32)
    losses = {}
    for floor_db in (6.0, np.inf):
        with Stream(model, sample_rate=16000, delay_ms=0.0, floor_db=floor_db) as stream:
            out = stream.process(mic)[16000:]
        losses[floor_db] = 10 * np.log10(np.mean(mic[16000:] ** 2) / np.mean(out**2))
    assert losses[np.inf] > 9.0  # the model removes noise: the floor has something to do
    assert losses[6.0] < 7.0


def test_gate_mutes_what_is_below_it_and_nothing_else(model):
    speech = signals.speech_like(32000, 3).astype(np.float32)
    quiet = np.concatenate([speech, (1e-4 * signals.noise(32000, 4)).astype(np.float32)])
    raw = {"strength": 0.0, "highpass_hz": 0}
    with Stream(model, sample_rate=16000, gate_dbfs=-60.0, **raw) as stream:
        latency = stream.latency_samples
        out = np.concatenate([stream.process(quiet), stream.flush()])[latency:]
    assert not out[-16000:].any()
    loud = np.abs(speech) > 0.02
    assert np.array_equal(out[:32000][loud], speech[loud])


def test_high_band_follows_the_gain_below_or_is_dropped(model):
    """White noise is removed by the model; the band above 8 kHz goes down with it."""
    mic = (0.05 * np.random.default_rng(2).standard_normal(96000)).astype(np.float32)

    def high_level(signal):
        power = np.abs(np.fft.rfft(signal[48000:])) ** 2
        return 10 * np.log10(power[np.fft.rfftfreq(48000, 1 / 48000) > 9000].mean())

    levels = {}
    for name, keywords in {
        "microphone": {"strength": 0.0},
        "follow": {"high_band": "follow"},
        "drop": {"high_band": "drop"},
    }.items():
        with Stream(model, sample_rate=48000, delay_ms=0.0, **keywords) as stream:
            levels[name] = high_level(stream.process(mic))
    assert levels["follow"] < levels["microphone"] - 6.0
    assert levels["follow"] > levels["drop"] + 10.0
    assert levels["drop"] < levels["microphone"] - 70.0


def rumble(samples, seed):
    """Return smooth noise below 80 Hz: its steps are small, and the model changes it."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    spectrum[np.fft.rfftfreq(samples, 1 / 48000) > 80] = 0
    smooth = np.fft.irfft(spectrum, samples)
    return (0.1 * smooth / np.sqrt(np.mean(smooth**2))).astype(np.float32)


@pytest.mark.parametrize("control", ["bypass", "strength"])
def test_controls_change_without_a_click(model, control):
    mic = rumble(144000, 6)
    raw = {"delay_ms": 0.0, "auto_bypass": False, "highpass_hz": 0}
    with Stream(model, sample_rate=48000, **raw) as stream:
        blocks = []
        for i, block in enumerate(np.split(mic, 300)):
            if i in {150, 230}:
                on = i == 150
                stream.set_bypass(on) if control == "bypass" else stream.set_strength(1.0 - on)
            blocks.append(stream.process(block))
        latency = stream.latency_samples
    out = np.concatenate(blocks)
    change = out[latency:] - mic[:-latency]
    assert np.abs(change[90000:106000]).max() < tolerances.STREAM_BYPASS
    # There are two signals to switch between, far apart for the steps that are allowed.
    assert np.std(change[50000:70000]) > 0.02
    assert np.std(change[120000:]) > 0.02
    assert np.abs(np.diff(out[48000:])).max() < 1.5 * np.abs(np.diff(mic)).max()


def test_samples_that_are_not_finite_are_zeros_and_counted(model):
    mic, ref = pair(48000, 0.5)
    clean_mic, clean_ref = mic.copy(), ref.copy()
    mic[[100, 5000]] = np.nan, np.inf
    ref[7000] = -np.inf
    clean_mic[[100, 5000]] = 0
    clean_ref[7000] = 0
    with Stream(model) as dirty, Stream(model) as clean:
        assert np.array_equal(dirty.process(mic, ref), clean.process(clean_mic, clean_ref))
        assert dirty.metrics.nonfinite_samples == 3
        assert clean.metrics.nonfinite_samples == 0


def test_reset_and_flush_make_a_new_stream(model):
    mic, ref = pair(48000, 0.4)
    with Stream(model) as stream:
        first = stream.process(mic, ref)
        stream.flush()
        second = stream.process(mic, ref)
        stream.set_strength(0.3)
        stream.reset()
        third = stream.process(mic, ref)
        assert stream.metrics.frames == len(mic)
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)


def test_empty_blocks_are_legal(model):
    with Stream(model) as stream:
        assert stream.process(np.zeros(0, np.float32)).shape == (0,)


@pytest.mark.parametrize(
    ("keywords", "word"),
    [
        ({"sample_rate": 4000}, "sample_rate"),
        ({"channels": 0}, "channels"),
        ({"channels": 9}, "channels"),
        ({"delay_ms": -1.0}, "delay_ms"),
        ({"delay_ms": 2001.0}, "delay_ms"),
        ({"strength": 1.5}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"floor_db": -3.0}, "floor_db"),
        ({"gate_dbfs": 1.0}, "gate_dbfs"),
        ({"lookahead_ms": 3000.0}, "lookahead_ms"),
        ({"missing_ref": "guess"}, "missing_ref"),
        ({"channel_rule": "left"}, "channel_rule"),
        ({"high_band": "boost"}, "high_band"),
        ({"colour": 3}, "colour"),
    ],
)
def test_bad_settings_are_refused_by_name(model, keywords, word):
    with pytest.raises(ArgumentError, match=word):
        Stream(model, **keywords)


def test_a_rate_without_a_short_ratio_is_refused(model):
    with pytest.raises(EngineError, match="47999"):
        Stream(model, sample_rate=47999)


def test_bad_arrays_are_refused_by_name(model):
    good = np.zeros(100, np.float32)
    with Stream(model) as stream:
        with pytest.raises(DtypeError, match="float64"):
            stream.process(np.zeros(100))
        with pytest.raises(ShapeError, match=r"ref: 99 frames"):
            stream.process(good, good[:99])
        with pytest.raises(DtypeError, match="ref: dtype int16"):
            stream.process(good, good.astype(np.int16))
        with pytest.raises(ShapeError, match=r"\(100, 2\)"):
            stream.process(np.zeros((100, 2), np.float32))
        stream.process(good)
        with pytest.raises(ArgumentError, match="process and by push_mic"):
            stream.push_mic(good)
    with pytest.raises(StateError, match="close"):
        stream.process(good)


def test_two_streams_in_two_threads_do_not_touch(model):
    pairs = [pair(48000, 0.5, seed) for seed in (1, 2)]
    alone = []
    for mic, ref in pairs:
        with Stream(model) as stream:
            alone.append(stream.process(mic, ref))
    together = [None, None]

    def work(i):
        with Stream(model) as stream:
            blocks = [np.split(x, 50) for x in pairs[i]]
            together[i] = np.concatenate([stream.process(*b) for b in zip(*blocks, strict=True)])

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in (0, 1):
        assert np.array_equal(together[i], alone[i])


def test_async_iteration_gives_the_same_samples(model):
    mic, ref = pair(48000, 0.3)
    blocks = list(zip(np.array_split(mic, 11), np.array_split(ref, 11), strict=True))

    async def source():
        for block in blocks:
            await asyncio.sleep(0)
            yield block

    async def collect(stream):
        return [out async for out in stream.iterate(source())]

    with Stream(model) as stream:
        outs = asyncio.run(collect(stream))
        direct = np.concatenate([stream.process(mic, ref), stream.flush()])
    assert [len(o) for o in outs[:-1]] == [len(m) for m, _ in blocks]
    assert np.array_equal(np.concatenate(outs), direct)


def test_the_model_loads_once_and_may_close_before_the_stream():
    loaded = voxhop.load()
    stream = Stream(loaded, sample_rate=16000)
    loaded.close()
    assert stream.process(np.zeros(512, np.float32)).shape == (512,)
    stream.close()
    stream.close()
