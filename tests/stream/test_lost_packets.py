"""Lost packets: zeros for exactly their samples, a fade when it lasts, and the count."""

from pathlib import Path

import numpy as np
import pytest

import signals
import voxhop
from voxhop._bindings import native
from voxhop.errors import ArgumentError, DtypeError, ShapeError, VoxhopError
from voxhop.stream import Stream

SEFLOW = Path(__file__).parents[1] / "golden" / "seflow-random" / "model-f32.gguf"


@pytest.fixture(scope="module")
def seflow():
    """Random weights, which answer silence with sound: what fades can be seen."""
    with voxhop.load(SEFLOW) as model:
        yield model


def recording(rate, seconds, dtype=np.float32, channels=1):
    mic = np.stack(
        [signals.speech_like(round(rate * seconds), 7 + c) for c in range(channels)], axis=1
    )
    mic = mic[:, 0] if channels == 1 else mic
    return (mic * 32767).astype(dtype) if dtype == np.int16 else mic.astype(dtype)


def through(stream, mic, packet, lost, split=None):
    """Feed packets; what is lost is reported, in parts of `split` frames if given."""
    parts = []
    for i, at in enumerate(range(0, len(mic), packet)):
        block = mic[at : at + packet]
        if i not in lost:
            parts.append(stream.process(block))
            continue
        step = split or len(block)
        parts += [
            stream.process_lost(min(step, len(block) - k)) for k in range(0, len(block), step)
        ]
    return np.concatenate(parts)


def zeroed(mic, packet, lost):
    mic = mic.copy()
    for i in lost:
        mic[i * packet : (i + 1) * packet] = 0
    return mic


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize(
    ("rate", "packet_ms"), [(16000, 10), (16000, 20), (44100, 20), (48000, 60)]
)
def test_what_is_lost_counts_as_zeros_for_exactly_so_long(seflow, rate, packet_ms, dtype):
    mic, packet, lost = recording(rate, 0.6, dtype), rate * packet_ms // 1000, {2, 3, 7}
    settings = {"sample_rate": rate, "highpass_hz": 0}
    with Stream(seflow, **settings) as told, Stream(seflow, **settings) as zeros:
        out = through(told, mic, packet, lost)
        assert np.array_equal(out, zeros.process(zeroed(mic, packet, lost)))
        assert not np.array_equal(out[: len(mic)], through(zeros, mic, packet, {}))
        assert (told.metrics.lost_frames, told.metrics.lost_bursts) == (3 * packet, 2)
        assert told.metrics.frames == len(mic)
        told.reset()
        assert (told.metrics.lost_frames, told.metrics.lost_bursts) == (0, 0)


def test_channels_and_parts_of_a_loss_change_nothing(seflow):
    mic, lost = recording(48000, 0.5, channels=2), {1, 2, 5}
    with Stream(seflow, channels=2) as whole, Stream(seflow, channels=2) as split:
        expected = through(whole, mic, 960, lost)
        assert np.array_equal(through(split, mic, 960, lost, split=37), expected)
        assert split.metrics.lost_bursts == 2


def test_a_stream_with_a_reference_takes_it_on(call):
    mic, ref = (track[:16000] for track in call)
    settings = {"sample_rate": 16000, "highpass_hz": 0}
    with (
        voxhop.load() as model,
        Stream(model, **settings) as told,
        Stream(model, **settings) as out,
    ):
        parts = [told.process(mic[:8000], ref[:8000])]
        parts.append(told.process_lost(320, ref[8000:8320]))
        parts.append(told.process(mic[8320:], ref[8320:]))
        silent = zeroed(mic, 320, {25})
        assert np.array_equal(np.concatenate(parts), out.process(silent, ref))
        assert told.metrics.ref_missing_frames == 0


def test_beside_a_pushed_reference(call):
    mic, ref = (track[:16000] for track in call)
    settings = {"sample_rate": 16000, "highpass_hz": 0}
    with (
        voxhop.load() as model,
        Stream(model, **settings) as told,
        Stream(model, **settings) as out,
    ):
        for stream in (told, out):
            stream.push_ref(ref)
        parts = [told.push_mic(mic[:8000]), told.process_lost(320), told.push_mic(mic[8320:])]
        assert np.array_equal(np.concatenate(parts), out.push_mic(zeroed(mic, 320, {25})))
        with pytest.raises(ArgumentError, match="process and by push_mic"):
            told.process_lost(320, ref[:320])


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_long_burst_fades_to_silence_and_returns_at_once(seflow, rate):
    mic = recording(rate, 3.0)
    first, last = rate // 2, 2 * rate
    settings = {"sample_rate": rate, "highpass_hz": 0}
    with Stream(seflow, **settings) as told, Stream(seflow, **settings) as zeros:
        parts = [told.process(mic[:first]), told.process_lost(last - first)]
        faded = np.concatenate([*parts, told.process(mic[last:]), told.flush()])
        silent = mic.copy()
        silent[first:last] = 0
        babble = np.concatenate([zeros.process(silent), zeros.flush()])
        late = told.latency_samples
    faded, babble = faded[late:], babble[late:]
    held, gone = first + round(0.8 * rate), first + round(1.2 * rate)
    assert np.array_equal(faded[:held], babble[:held])
    assert not faded[gone + 1 : last].any()
    assert np.abs(babble[gone:last]).max() > 1e-3
    back = last + round(0.01 * rate)
    assert np.array_equal(faded[back:], babble[back:])
    # A straight line in between: no click where it begins or ends.
    gains = faded[held:gone] / np.where(np.abs(babble[held:gone]) < 1e-6, np.nan, babble[held:gone])
    line = 1.0 - (np.arange(gone - held) + 1) / (gone - held)
    assert np.nanmax(np.abs(gains - line)) < 1e-3


def test_packets_that_come_now_and_then_are_no_burst(seflow):
    mic = recording(16000, 3.0)
    lost = {i for i in range(150) if i % 5}  # four of five packets of 20 ms
    settings = {"sample_rate": 16000, "highpass_hz": 0}
    with Stream(seflow, **settings) as told, Stream(seflow, **settings) as zeros:
        expected = zeros.process(zeroed(mic, 320, lost))
        assert np.array_equal(through(told, mic, 320, lost), expected)
        assert told.metrics.lost_bursts == 30


def test_an_offset_makes_no_step_at_the_edges(seflow):
    """The high-pass stands still meanwhile: behind it a loss is zeros, without ringing."""
    mic = np.full(16000, 0.2, np.float32)
    with Stream(seflow, sample_rate=16000, strength=0.0) as stream:
        parts = [stream.process(mic[:8000]), stream.process_lost(800), stream.process(mic[8800:])]
        out = np.concatenate([*parts, stream.flush()])[stream.latency_samples :]
    assert not out[8000:8800].any()
    assert np.abs(out[4000:]).max() < 1e-4
    with Stream(seflow, sample_rate=16000, strength=0.0) as stream:
        told_nothing = zeroed(mic, 800, {10})
        assert np.abs(stream.process(told_nothing)[8000:]).max() > 0.1


def test_what_does_not_fit_is_refused(seflow):
    with Stream(seflow, sample_rate=16000) as stream:
        assert stream.process_lost(0).shape == (0,)
        assert stream.process_lost(100).dtype == np.float32
        stream.process(np.zeros(100, np.int16))
        assert stream.process_lost(100).dtype == np.int16
        with pytest.raises(ArgumentError, match="frames: -1, expected 0 or more"):
            stream.process_lost(-1)
        with pytest.raises(DtypeError, match=r"frames: 1\.5, expected a whole number"):
            stream.process_lost(1.5)
        with pytest.raises(ShapeError, match="ref: 99 frames, expected the 100 that were lost"):
            stream.process_lost(100, np.zeros(99, np.int16))
        with pytest.raises(ArgumentError, match="ref: this model takes a microphone alone"):
            stream.process_lost(100, np.zeros(100, np.int16))


def test_figures_for_an_older_header(seflow):
    """What lies behind the end of the caller's struct is not written."""
    n = native()
    with Stream(seflow, sample_rate=16000) as stream:
        stream.process_lost(160)
        raw = n.ffi.new("vh_stream_metrics *")
        raw.lost_frames = -7
        raw.struct_size = n.ffi.offsetof("vh_stream_metrics", "lost_frames")
        n.call(n.lib.vh_stream_get_metrics, stream._handle, raw)
        assert (raw.frames, raw.lost_frames) == (160, -7)
        raw.struct_size -= 8
        with pytest.raises(VoxhopError, match="metrics: struct_size"):
            n.call(n.lib.vh_stream_get_metrics, stream._handle, raw)
