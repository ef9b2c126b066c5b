"""Clipped microphones at the door of a stream: what is restored, and what is left alone."""

import numpy as np
import pytest
import soxr

import voxhop
from voxhop.reference.declipper import TOLERANCE, ClipLevel, Declipper
from voxhop.stream import Stream

RATE = 16000


def heard(model, mic, rate=RATE, block=None, **settings):
    """Return the microphone as the stream hears it, aligned with `mic`, and the figures."""
    settings = {"strength": 0.0, "highpass_hz": 0, "delay_ms": 0.0} | settings
    with Stream(model, sample_rate=rate, **settings) as stream:
        parts = np.split(mic, range(block or len(mic), len(mic), block or len(mic)))
        out = [stream.process(part) for part in parts]
        figures = stream.metrics
        return np.concatenate([*out, stream.flush()])[stream.latency_samples :], figures


def talker(rate, seconds=2.0, seed=3):
    """Return a voice: pulses of a wandering pitch through two formants, float32."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate)
    pitch = 120 + 15 * np.sin(2 * np.pi * 1.3 * np.arange(n) / rate)
    phase = np.cumsum(2 * np.pi * pitch / rate)
    voice = sum(np.cos(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25))
    voice *= 0.5 + 0.5 * np.sin(2 * np.pi * 2.7 * np.arange(n) / rate) ** 2
    return (0.1 * voice / np.std(voice)).astype(np.float32)


def cut(speech, quantile=0.95):
    level = np.float32(np.quantile(np.abs(speech), quantile))
    return np.clip(speech, -level, level), level


def si_sdr(x, target):
    target = target.astype(np.float64)
    scaled = target * (x @ target) / (target @ target)
    return 10 * np.log10((scaled @ scaled) / np.sum((x - scaled) ** 2))


@pytest.mark.parametrize("quantile", [0.8, 0.98])
def test_blocks_are_those_of_the_reference(model, quantile):
    mic, _ = cut(talker(RATE), quantile)
    found, figures = heard(model, mic)
    reference = Declipper(RATE)
    blocks = np.split(mic.astype(np.float64), range(256, len(mic), 256))
    expected = np.concatenate([reference.process(block) for block in blocks])
    assert np.abs(found - expected).max() <= 1e-6
    at_it = np.abs(mic) >= np.abs(mic).max() - TOLERANCE
    assert 500 < np.count_nonzero(found != mic) <= figures.declipped_samples <= at_it.sum()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
def test_it_comes_closer_to_what_was_said_at_any_rate_without_a_delay(model, call, rate):
    speech = talker(rate)
    if rate == 8000:  # two samples at the top are rare in that voice
        speech = np.tile(soxr.resample(call[0][108000:124000], 16000, rate), 4)
    mic, level = cut(speech)
    with (
        Stream(model, sample_rate=rate) as one,
        Stream(model, sample_rate=rate, declip=False) as other,
    ):
        assert one.latency_samples == other.latency_samples
    found, _ = heard(model, mic, rate)
    assert found.shape == mic.shape
    assert si_sdr(found, speech) > si_sdr(mic, speech) + (0.5 if rate == 8000 else 6.0)
    kept = np.abs(mic) < level - TOLERANCE
    assert np.array_equal(found[kept], mic[kept])
    assert (np.abs(found[~kept]) >= level - TOLERANCE).all()
    assert np.abs(found).max() <= 3.001 * level


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("block", [1, 77, 5000])
def test_any_split_gives_the_same_bits(model, rate, block):
    mic, _ = cut(talker(rate, 0.4))
    whole, _ = heard(model, mic, rate)
    assert np.array_equal(whole, heard(model, mic, rate, block)[0])
    assert not np.array_equal(whole, mic)


@pytest.mark.parametrize("lookahead_ms", [0.0, 100.0])
def test_what_is_not_cut_passes_to_the_bit(model, call, lookahead_ms):
    rng = np.random.default_rng(1)
    t = np.arange(2 * RATE) / RATE
    for sound in (
        call[0][: 2 * RATE],
        talker(RATE),
        0.2 * rng.standard_normal(2 * RATE),
        np.round(talker(RATE) * 200) / 32768,  # coarse steps, all of it below -40 dBFS
        0.3 * np.sin(2 * np.pi * 997 * t) + 0.2 * np.sin(2 * np.pi * 333.3 * t),
    ):
        mic = sound.astype(np.float32)
        found, figures = heard(model, mic, lookahead_ms=lookahead_ms)
        assert np.array_equal(found, mic)
        assert figures.declipped_samples == 0


@pytest.mark.parametrize("hertz", [30, 50, 100, 1000, 3000])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_round_peaks_are_not_cut(model, rate, hertz):
    mic = 0.5 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    found, figures = heard(model, mic.astype(np.float32), rate)
    assert figures.declipped_samples == 0
    assert np.array_equal(found, mic.astype(np.float32))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_peak_that_is_steep_on_one_side_alone_is_not_cut(model, backwards):
    beat = np.concatenate([np.zeros(100), 0.5 - 4e-5 * np.arange(700)])
    mic = np.tile(beat, 20)[:: -1 if backwards else 1].astype(np.float32)
    found, figures = heard(model, mic)
    assert figures.declipped_samples == 0
    assert np.array_equal(found, mic)


def test_off_is_off(model):
    mic, _ = cut(talker(RATE))
    found, figures = heard(model, mic, declip=False)
    assert np.array_equal(found, mic)
    assert figures.declipped_samples == 0


def test_sixteen_bits(model):
    speech = talker(RATE)
    mic = np.round(cut(speech)[0] * 32767).astype(np.int16)
    found, _ = heard(model, mic)
    assert found.dtype == np.int16
    assert si_sdr(found / 32768, speech) > si_sdr(mic / 32768, speech) + 6.0


def test_one_polarity(model):
    speech = talker(RATE)
    mic = np.minimum(speech, np.float32(np.quantile(speech, 0.95)))
    found, _ = heard(model, mic)
    assert si_sdr(found, speech) > si_sdr(mic, speech) + 6.0
    assert np.array_equal(found[mic < 0], mic[mic < 0])


def test_a_level_is_found_again_after_a_second(model):
    speech = talker(RATE)
    one, _ = cut(speech)
    quieter, _ = cut(0.4 * speech)
    mic = np.concatenate([one, np.zeros(RATE + 256, np.float32), quieter])
    found, _ = heard(model, mic)
    assert si_sdr(found[-len(speech) :], speech) > si_sdr(quieter, speech) + 6.0


def test_every_channel_has_its_own(model):
    speech = talker(RATE)
    both = np.stack([cut(speech)[0], speech], axis=1)
    settings = {"strength": 0.0, "highpass_hz": 0, "delay_ms": 0.0, "channels": 2}
    with Stream(model, sample_rate=RATE, **settings) as stream:
        out = np.concatenate([stream.process(both), stream.flush()])[stream.latency_samples :]
    assert np.array_equal(out[:, 1], speech)
    assert np.array_equal(out[:, 0], heard(model, both[:, 0].copy())[0])


def test_lost_packets_stay_lost(model):
    mic, _ = cut(talker(RATE))
    settings = {"strength": 0.0, "highpass_hz": 0, "delay_ms": 0.0}
    with Stream(model, sample_rate=RATE, **settings) as stream:
        parts = [stream.process(mic[:16100]), stream.process_lost(333), stream.process(mic[16433:])]
        out = np.concatenate([*parts, stream.flush()])[stream.latency_samples :]
    assert not out[16100:16433].any()
    assert (out[:16000] != mic[:16000]).any()
    assert (out[17000:] != mic[17000:]).any()


def test_nothing_but_full_scale(model):
    """A square wave, all of it at one level, is left alone."""
    mic = np.sign(np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)).astype(np.float32)
    found, _ = heard(model, mic)
    assert np.isfinite(found).all()
    assert np.array_equal(found, mic)


def test_reset_forgets(model):
    mic, _ = cut(talker(RATE, 0.5))
    settings = {"strength": 0.0, "highpass_hz": 0, "delay_ms": 0.0}
    with Stream(model, sample_rate=RATE, **settings) as stream:
        first = stream.process(mic)
        stream.reset()
        assert stream.metrics.declipped_samples == 0
        assert np.array_equal(stream.process(mic), first)


def test_before_the_high_pass(model):
    """Behind it nothing is flat any more."""
    speech = talker(RATE)
    mic, _ = cut(speech)
    found, figures = heard(model, mic, highpass_hz=30)
    assert figures.declipped_samples > 1000
    clean, _ = heard(model, speech, highpass_hz=30)
    assert si_sdr(found, clean) > si_sdr(mic, speech) + 6.0


def test_levels_of_one_polarity():
    level = ClipLevel(RATE)
    flat = np.array([0.0, 0.3, 0.3, 0.1])
    for runs in range(3):
        assert level.level == np.inf, runs
        level.add(flat)
    assert level.level == 0.3
    level.add(np.array([0.0, 0.301, 0.0]))
    assert level.level == np.inf  # louder: not cut at 0.3
    for _ in range(3):
        level.add(flat + 0.1)
    assert level.level == pytest.approx(0.4)
    level.add(np.zeros(RATE + 1))
    assert level.level == np.inf


def test_a_file_says_so(tmp_path, capsys):
    import soundfile  # noqa: PLC0415 - only here

    from voxhop.cli import main  # noqa: PLC0415 - only here

    mic, _ = cut(talker(RATE))
    soundfile.write(tmp_path / "loud.wav", mic, RATE)
    line = ["enhance", str(tmp_path / "loud.wav"), "-o", str(tmp_path / "clean.wav")]
    assert main(line) == 0
    assert "samples were cut in the recording and restored" in capsys.readouterr().out
    restored = voxhop.enhance(mic, sample_rate=RATE)
    left = voxhop.enhance(mic, sample_rate=RATE, declip=False)
    assert np.abs(restored).max() > 1.1 * np.abs(left).max()
    soundfile.write(tmp_path / "loud.wav", mic / np.abs(mic).max(), RATE)
    assert main(line) == 0
    assert "cut to it; --subtype FLOAT keeps them" in capsys.readouterr().out
    assert main([*line, "--subtype", "FLOAT"]) == 0
    assert "--subtype" not in capsys.readouterr().out
    assert np.abs(soundfile.read(tmp_path / "clean.wav")[0]).max() > 1.1
    assert main([*line, "--no-declip"]) == 0
    assert "restored" not in capsys.readouterr().out
