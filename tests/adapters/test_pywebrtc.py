"""The look-alike of pywebrtc-audio against the package itself: same calls, same refusals."""

import inspect

import numpy as np
import pytest
from agent_call import blocks, erle_db, near_kept_db

import voxhop
from voxhop.adapters import pywebrtc

original = pytest.importorskip("pywebrtc_audio", reason="pywebrtc-audio: of the extra test")

SILENCE = np.zeros(160, np.int16)
CLASSES = ("AudioProcessor", "EchoCanceller", "NoiseSuppressor")


def outcome(package, kind, options, arguments):
    """Return what a call gives or which of the usual errors it raises."""
    try:
        out = getattr(package, kind)(**options).process(*arguments)
    except (ValueError, TypeError) as error:
        # The original calls what is no array a TypeError, and the rest a ValueError.
        return ValueError if isinstance(error, ValueError) else TypeError
    return out.shape, out.dtype


@pytest.mark.parametrize("kind", CLASSES)
def test_names_and_order_of_arguments_are_the_originals(kind):
    known = inspect.signature(getattr(pywebrtc, kind)).parameters.values()
    ours = [p.name for p in known if p.kind is p.POSITIONAL_OR_KEYWORD]
    text = getattr(original, kind).__init__.__doc__
    theirs = [part.split(":")[0].strip(" *") for part in text[text.index("(") :].split(",")[1:]]
    assert ours == theirs
    public = {n for n in dir(getattr(original, kind)) if not n.startswith("_")}
    assert public <= set(dir(getattr(pywebrtc, kind)))


@pytest.mark.parametrize(
    ("kind", "options", "arguments"),
    [
        ("AudioProcessor", {}, (SILENCE,)),
        ("AudioProcessor", {}, (SILENCE, SILENCE)),
        ("AudioProcessor", {"echo_cancellation": True}, (SILENCE, SILENCE)),
        ("AudioProcessor", {"echo_cancellation": True}, (SILENCE,)),
        ("AudioProcessor", {"echo_cancellation": True}, (SILENCE, SILENCE[:3])),
        ("AudioProcessor", {"echo_cancellation": True}, (SILENCE, SILENCE.astype("f4"))),
        ("AudioProcessor", {"noise_suppression": True}, (SILENCE.astype("f8"),)),
        ("AudioProcessor", {"noise_suppression": True}, (SILENCE[:0],)),
        ("AudioProcessor", {"noise_suppression": True}, (SILENCE.reshape(2, -1),)),
        ("AudioProcessor", {"noise_suppression": True}, (np.zeros(441, np.int16)[::2],)),
        ("AudioProcessor", {"sample_rate": 4000}, (SILENCE,)),
        ("AudioProcessor", {"num_channels": 0}, (SILENCE,)),
        ("AudioProcessor", {"num_channels": 2, "noise_suppression": True}, (SILENCE,)),
        ("AudioProcessor", {"ns_level": 7}, (SILENCE,)),
        ("AudioProcessor", {"stream_delay_ms": -1}, (SILENCE,)),
        ("EchoCanceller", {"stream_delay_ms": 40}, (SILENCE, SILENCE)),
        ("EchoCanceller", {"sample_rate": 48000}, (SILENCE, SILENCE)),
        ("NoiseSuppressor", {"level": 3}, (SILENCE,)),
        ("NoiseSuppressor", {"level": 9}, (SILENCE,)),
    ],
)
def test_takes_and_refuses_what_the_original_does(kind, options, arguments):
    expected = outcome(original, kind, options, arguments)
    assert outcome(pywebrtc, kind, options, arguments) == expected


def test_an_agents_own_playback_is_gone(call):
    mic, ref = call
    with pywebrtc.AudioProcessor(echo_cancellation=True) as processor:
        out = np.concatenate([processor.process(m, r) for m, r in blocks(mic, ref, frames=250)])
        assert processor.metrics.delay_ms == pytest.approx(80, abs=10)
        assert erle_db(mic, out, processor.latency_samples) > 25
        assert near_kept_db(mic, out, processor.latency_samples) > -3


def test_it_is_a_stream(model, call):
    mic, ref = (track[40000:48000] for track in call)
    with (
        pywebrtc.EchoCanceller(model=model) as canceller,
        voxhop.Stream(model, sample_rate=16000) as stream,
    ):
        assert np.array_equal(canceller.process(mic, ref), stream.process(mic, ref))


def test_channels_are_interleaved(model, call):
    mic, ref = (track[:8000] for track in call)
    other = np.roll(mic, 100)
    stereo = np.stack([mic, other], axis=1).reshape(-1)
    with pywebrtc.EchoCanceller(num_channels=2, model=model) as both:
        out = both.process(stereo, np.repeat(ref, 2)).reshape(-1, 2)
    for channel, alone in enumerate((mic, other)):
        with pywebrtc.EchoCanceller(model=model) as one:
            assert np.array_equal(out[:, channel], one.process(alone, ref))


def test_noise_goes_by_no_more_than_the_level_says(model):
    noise = np.random.default_rng(1).normal(0, 500, 32000).astype(np.int16)
    lowered = {}
    for level in (0, 3):
        with pywebrtc.NoiseSuppressor(level=level, model=model) as suppressor:
            out = suppressor.process(noise)
        lowered[level] = -near_kept_db_of(noise[16000:], out[16000:])
    assert lowered[0] == pytest.approx(6, abs=1)
    assert 12 < lowered[3] < 22


def near_kept_db_of(before, after):
    return 20 * np.log10(np.std(after) / np.std(before))


def test_a_told_delay_beyond_the_window_is_taken_off_at_once(model, call):
    mic, ref = (track[: 3 * 16000] for track in call)
    late = 1500  # ms: the model sees 512 of them
    delayed = np.concatenate([np.zeros(late * 16, np.int16), mic])
    padded = np.concatenate([ref, np.zeros(late * 16, np.int16)])
    outs = {}
    for told in (0, late):
        with pywebrtc.EchoCanceller(
            stream_delay_ms=told, model=model, delay_ms=0.0, auto_bypass=False
        ) as canceller:
            out = np.concatenate([canceller.process(m, r) for m, r in blocks(delayed, padded)])
            outs[told] = erle_db(mic, out[late * 16 :], canceller.latency_samples)
    assert outs[late] > 25
    assert outs[0] < 15


def test_what_is_not_there_says_so(model):
    with pytest.raises(ValueError, match="gain control"):
        pywebrtc.AudioProcessor(auto_gain_control=True)
    with pywebrtc.AudioProcessor(model=model) as processor:
        with pytest.raises(RuntimeError, match="auto_gain_control"):
            _ = processor.gain_db
        assert np.array_equal(processor.process(SILENCE + 7), SILENCE + 7)


def test_samples_that_are_no_numbers_do_not_spoil_what_follows(model, call):
    mic, ref = (track[:32000].astype(np.float32) / 32768 for track in call)
    broken = mic.copy()
    broken[100:200] = np.nan
    outs = []
    for track in (mic, broken):
        with pywebrtc.EchoCanceller(model=model) as canceller:
            outs.append(canceller.process(track, ref))
    assert np.isfinite(outs[1]).all()
    assert erle_db(mic, outs[1], 511) > erle_db(mic, outs[0], 511) - 3
