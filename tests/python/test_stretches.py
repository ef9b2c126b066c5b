"""Recordings that several threads work on give what one stream gives."""

import dataclasses
import threading

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop import SessionOptions
from voxhop.cli import main
from voxhop.files.enhancer import Enhancer, stream_settings, stream_source
from voxhop.files.stretches import StretchPool, plan_stretches
from voxhop.media.formats import ChannelRule
from voxhop.media.sources import ArraySource, SharedReference

QUIET = SessionOptions(precision="f32", comfort_noise=False)
SMALL = "voxhop-localvqe-small"
CANCELLER = "voxhop-localvqe-1.3M-canceller"


@pytest.fixture(scope="module")
def small():
    with voxhop.load(SMALL) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def call():
    """Two minutes of the call in the package, at 16 kHz: microphone and reference."""
    folder = voxhop.models._WEIGHTS.parent / "demo"
    mic, ref = (soundfile.read(folder / f"{n}.flac", dtype="float32")[0] for n in ("mic", "ref"))
    rng = np.random.default_rng(1)
    gains = rng.uniform(0.3, 1.0, 14).astype(np.float32)
    return tuple(np.concatenate([g * x for g in gains]) for x in (mic, ref))


def at(rate, sound):
    return np.repeat(sound, rate // 16000) if rate >= 16000 else sound[:: 16000 // rate]


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_the_same_but_for_rounding(small, call, rate):
    mic, ref = (at(rate, x) for x in call)
    plain = {"sample_rate": rate, "model": small, "options": QUIET}
    whole = voxhop.enhance(mic, ref, **plain)
    found = voxhop.enhance(mic, ref, workers=2, **plain)
    assert found.shape == whole.shape
    assert np.abs(found - whole).max() < 2e-6
    assert np.abs(whole).max() > 0.05


def test_without_a_reference_and_with_two_channels(small, call):
    mic, _ = call
    both = np.stack([mic, np.roll(mic, 4000)], axis=1)
    exact = voxhop.SessionOptions(precision="f32")
    # Histories in f16 round what differs by less.
    for options, most in ((exact, 2e-6), (voxhop.SessionOptions(), 1e-5)):
        plain = {"sample_rate": 16000, "model": small, "options": options}
        whole = voxhop.enhance(both, **plain)
        found = voxhop.enhance(both, workers=3, **plain)
        assert np.abs(found - whole).max() < most


@pytest.mark.parametrize("settings", [{}, {"delay_ms": "auto", "auto_bypass": False}])
def test_what_remembers_all_of_the_past(call, settings):
    mic, ref = call
    hum = np.sin(2 * np.pi * 100.0 / 16000 * np.arange(len(mic))).astype("f4")
    exact = voxhop.SessionOptions(precision="f32", comfort_noise=False)
    with voxhop.load(CANCELLER) as model:
        plain = {"sample_rate": 16000, "model": model, "options": exact, **settings}
        heard = mic + 0.01 * hum
        whole = voxhop.enhance(heard, ref, **plain)
        found = voxhop.enhance(heard, ref, workers=3, **plain)
    assert np.abs(found - whole).max() < 2e-6
    assert np.abs(whole).max() > 0.05


def test_what_counts_hops(call):
    """A network that attends to the past by where it lies, at a rate of its own."""
    with voxhop.load("voxhop-seflow") as model:
        assert model.info.warm_up_samples == (6 * 124 + 2) * 256
        plain = {"sample_rate": 48000, "model": model, "ref": None}
        heard = at(48000, call[0][: 40 * 16000])
        whole = voxhop.enhance(heard, **plain)
        found = voxhop.enhance(heard, workers=2, **plain)
    assert np.abs(found - whole).max() < 2e-6
    assert np.abs(whole).max() > 0.05


def test_what_others_work_on_is_skimmed(small, call, monkeypatch):
    asked = []
    monkeypatch.setattr(
        voxhop.Stream, "set_skim", lambda stream, skim: asked.append((id(stream), skim))
    )
    voxhop.enhance(*call, sample_rate=16000, model=small, options=QUIET, workers=2)
    by_stream = [[skim for one, skim in asked if one == stream] for stream in {s for s, _ in asked}]
    # The first has nothing behind its stretch, the second nothing before its lead.
    assert sorted(by_stream) == [[True, False]]


def passed(recording_of, small, workers, **settings):
    recording = recording_of()
    chosen = stream_settings(settings)
    with Enhancer(recording, small, QUIET, chosen, workers=workers) as enhancer:
        out = np.concatenate(list(enhancer.blocks()))
        return out, enhancer.figures(), enhancer.sides


def test_figures_are_those_of_one_stream(small, call):
    def recording():
        mic, ref = (ArraySource(x[:, None], 16000) for x in call)
        return SharedReference(stream_source(mic), ref, ChannelRule())

    one, expected, (side,) = passed(recording, small, 1, delay_ms=40.0)
    two, found, (joint,) = passed(recording, small, 2, delay_ms=40.0)
    assert np.abs(one - two).max() < 2e-6
    for name, value in dataclasses.asdict(expected).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-4), name
    assert joint.frames == len(one)
    assert abs(joint.hops - side.hops) <= 2
    assert joint.model_delay_ms == side.model_delay_ms
    assert joint.clipped_samples == side.clipped_samples


def test_no_reference_is_not_a_missing_one(small, call):
    def recording():
        return SharedReference(ArraySource(call[0][:, None], 16000), None, ChannelRule())

    for workers in (1, 2):
        _, _, (side,) = passed(recording, small, workers)
        assert side.ref_missing_frames == 0


def plan(info, seconds, workers=2, rate=16000, **settings):
    recording = SharedReference(
        ArraySource(np.zeros((int(seconds * rate), 1), np.float32), rate), None, ChannelRule()
    )
    return plan_stretches(info, recording, stream_settings(settings), workers)


def test_plans(small):
    info = small.info
    assert info.warm_up_samples == pytest.approx(25.5 * 16000, abs=0.1 * 16000)
    cut = plan(info, 600)
    assert cut.lead == 28 * 16000
    # The first has nothing to skim and no lead, so it works on more.
    first, rest = cut.begins[1], 600 * 16000 - cut.begins[1]
    assert first == pytest.approx(rest + cut.lead + 0.2 * (first - cut.lead), abs=2 * 16000)
    three = plan(info, 600, workers=3).begins
    assert three[0] == 0
    assert three[1] > three[2] - three[1] > 600 * 16000 - three[2] > cut.lead
    # Each skims what those before it work on: at some number one more gains too little.
    many = plan(info, 600, workers=24)
    assert 4 < many.workers == len(many.begins) < 24
    assert 600 * 16000 - many.begins[-1] >= many.lead
    assert plan(info, 600, delay_ms=1600.0).lead == 30 * 16000
    # An hour at a high rate waits in pieces that fit in memory.
    hour = plan(info, 3600, workers=2, rate=48000)
    assert 60 * 48000 <= hour.longest < 140 * 48000
    assert len(hour.begins) > 20
    assert 1 < plan(info, 3600, workers=24, rate=48000).workers < 24


@pytest.mark.parametrize("begins", [(0, 30, 60, 90), (0, 30, 119), (0, 30, 120), (0, 118, 121)])
def test_stretches_of_any_length(small, call, begins):
    """The last has what is left: most, a second, nothing."""
    mic, _ = (x[: 119 * 16000] for x in call)
    recording = SharedReference(ArraySource(mic[:, None], 16000), None, ChannelRule())
    whole = voxhop.enhance(mic, sample_rate=16000, model=small, options=QUIET, highpass_hz=0.0)
    settings = stream_settings({"highpass_hz": 0.0})
    with Enhancer(recording, small, QUIET, settings, workers=2) as enhancer:
        begins = tuple(16000 * begin for begin in begins)
        enhancer._plan = dataclasses.replace(enhancer._plan, begins=begins)
        found = np.concatenate(list(enhancer.blocks()))[:, 0]
    assert found.shape == whole.shape
    assert np.abs(found - whole).max() < 2e-6


def test_one_stream_does_it_all_where_all_of_the_past_counts(small):
    info = small.info
    assert plan(info, 600, workers=1) is None
    assert plan(info, 50) is None  # too short to gain
    assert plan(info, 600, delay_ms="auto") is None  # and with it `auto_bypass`
    assert plan(info, 600, auto_bypass=True) is None
    assert plan(dataclasses.replace(info, warm_up_samples=0), 600) is None


def test_only_models_that_forget_are_said_to():
    info = voxhop.load("voxhop-streamfm-bwe").info
    assert info.memory_samples == info.warm_up_samples == 0
    for name in (CANCELLER, "voxhop-seflow"):
        info = voxhop.load(name).info
        assert info.memory_samples == 0 < info.warm_up_samples


def test_an_interrupt_ends_all_threads(small, call, monkeypatch):
    passed_blocks = []
    real = StretchPool._passed

    def counted(self, streams, block):
        out = real(self, streams, block)
        passed_blocks.append(len(out))
        return out

    monkeypatch.setattr(StretchPool, "_passed", counted)
    before = threading.active_count()
    sound = np.tile(call[0], 5)[:, None]
    recording = SharedReference(ArraySource(sound, 16000), None, ChannelRule())
    with Enhancer(recording, small, QUIET, stream_settings({}), workers=2) as enhancer:
        # Short stretches, so that others are in the works when the first is done.
        begins = tuple(range(0, 600 * 16000, 60 * 16000))
        enhancer._plan = dataclasses.replace(enhancer._plan, begins=begins)
        blocks = enhancer.blocks()
        assert len(next(blocks))
        blocks.close()
    assert threading.active_count() == before
    # Both have heard little more than the first, of 60 s, of the ten minutes: 180 s at most.
    assert sum(passed_blocks) < 2 * 190 * 16000


def test_a_fault_of_the_recording_is_the_callers(small, call):
    mic, _ = call

    class Broken(ArraySource):
        def read(self, frames):
            if self._at > 60 * 16000:
                raise voxhop.AudioFileError("mic.wav: cannot be read")
            return super().read(frames)

    recording = SharedReference(Broken(mic[:, None], 16000), None, ChannelRule())
    with (
        Enhancer(recording, small, QUIET, stream_settings({}), workers=2) as enhancer,
        pytest.raises(voxhop.AudioFileError, match=r"mic\.wav"),
    ):
        list(enhancer.blocks())


def test_workers_that_are_none(small, call):
    with pytest.raises(voxhop.ArgumentError, match="workers: 0, expected 1 or more"):
        voxhop.enhance(call[0][:2000], sample_rate=16000, model=small, workers=0)


def test_the_command(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    soundfile.write("mic.wav", call[0], 16000, "FLOAT")
    line = ["enhance", "mic.wav", "--model", SMALL, "--precision", "f32"]
    assert main([*line, "-o", "one.wav"]) == 0
    assert main([*line, "-o", "two.wav", "--workers", "2"]) == 0
    one, two = (soundfile.read(name, dtype="float32")[0] for name in ("one.wav", "two.wav"))
    assert np.abs(one - two).max() < 2e-6
    assert main([*line, "-o", "x.wav", "--workers", "0"]) == 2
