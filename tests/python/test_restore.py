"""`voxhop.restore`: whole recordings through a model with one input."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import voxhop
from gguf_bytes import STRING, decode
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
    with voxhop.Session(model, precision="auto") as session:
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


def test_telephone_speech_gets_its_upper_band():
    """The package's own model, on a talker that it has not heard."""
    demo = Path(voxhop.__file__).parent / "demo"
    first, last = json.loads((demo / "segments.json").read_text())["near end"]
    wide, rate = soundfile.read(demo / "mic.flac", dtype="float32")
    wide = wide[round(first * rate) : round(last * rate)]
    narrow = soxr.resample(wide, rate, 8000, "VHQ")
    out = voxhop.restore(narrow, sample_rate=8000, task="bwe")
    assert len(out) == 2 * len(narrow)

    def band(x, low, high):
        spectrum = np.fft.rfft(x[: len(out)])
        hertz = np.linspace(0, 8000, len(spectrum))
        return spectrum[(hertz >= low) & (hertz < high)]

    def level(x, low, high):
        return 10 * np.log10(np.mean(np.abs(band(x, low, high)) ** 2))

    for low, high in ((4200, 5500), (5500, 7500)):
        assert abs(level(out, low, high) - level(wide, low, high)) < 15
    error = np.linalg.norm(band(out, 100, 3300) - band(wide, 100, 3300))
    assert error < 0.1 * np.linalg.norm(band(wide, 100, 3300))


def test_level_is_followed_as_a_stream_has_it(model, speech):
    """What a program makes of hops with a `LevelFollower` is what the function makes."""
    quiet = speech[: 16 * 256] * np.float32(0.01)
    with voxhop.Session(model, solver="euler1", precision="auto") as session:
        level = voxhop.LevelFollower(256, 16000, session.latency_samples)
        hops = np.concatenate((quiet, np.zeros(256, np.float32))).reshape(-1, 256)
        out = np.concatenate([level.lower(session.process_hop(level.lift(x))) for x in hops])
    options = {"sample_rate": 16000, "model": model, "solver": "euler1", "level": "follow"}
    assert np.array_equal(voxhop.restore(quiet, **options), out[256:])


@pytest.mark.parametrize("level", ["follow", "off"])
def test_streams_give_what_the_function_gives(model, speech, level):
    """A chain of the one link follows the level; a `Stream` leaves it alone."""
    if level == "follow":
        link = voxhop.ModelLink(model, options={"solver": "euler1", "seed": 2})
        stream = voxhop.Chain([link], sample_rate=16000)
    else:
        settings = {"highpass_hz": 0.0, "solver": "euler1", "seed": 2}
        stream = voxhop.Stream(model, sample_rate=16000, **settings)
    with stream:
        blocks = [stream.process(block) for block in np.split(speech, [333, 334, 2000])]
        out = np.concatenate([*blocks, stream.flush()])[stream.latency_samples :]
    expected = voxhop.restore(
        speech, sample_rate=16000, model=model, level=level, solver="euler1", seed=2
    )
    assert np.array_equal(out, expected)


def test_the_rate_of_bandwidth_extension_is_the_models(speech, tmp_path):
    path = tmp_path / "bwe.gguf"
    file = decode((GOLDEN / "streamfm-random" / "model-f32.gguf").read_bytes())
    file.metadata["streamfm.task"] = (STRING, "bwe")
    path.write_bytes(file.encode())
    narrow = speech[::2].copy()
    wide = voxhop.restore(narrow, sample_rate=8000, model=path, task="bwe", steps=1)
    assert len(wide) == len(speech)
    same = voxhop.restore(
        narrow, sample_rate=8000, model=path, task="bwe", steps=1, out_sample_rate=8000
    )
    assert len(same) == len(narrow)


def test_a_band_that_the_model_does_not_carry_is_told(model, speech, tmp_path):
    soundfile.write(tmp_path / "wide.wav", np.repeat(speech[:1600], 3), 48000)
    report = voxhop.restore_file(tmp_path / "wide.wav", tmp_path / "out.wav", model=model, steps=1)
    (note,) = report.notes
    assert "above 8 kHz" in note
    assert report.sample_rate == 48000


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
