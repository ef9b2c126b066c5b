"""A codec inside a chain: the same sound as coding a recording, and packets that are lost."""

from pathlib import Path

import numpy as np
import pytest

import voxhop
from voxhop.errors import ArgumentError, StateError

GOLDEN = Path(__file__).parent.parent / "golden" / "sublime-random"
RATE = 24000


@pytest.fixture(scope="module")
def codec():
    return voxhop.load(GOLDEN / "model-f32.gguf")


@pytest.fixture(scope="module")
def pcm():
    return np.fromfile(GOLDEN / "in.f32", "<f4")[: 20 * 480 + 100]


def through(link, pcm, **rates):
    with voxhop.Chain([link], sample_rate=RATE, **rates) as chain:
        out = np.concatenate((chain.process(pcm), chain.flush()))
        return out[chain.latency_samples :], chain.latency_samples


@pytest.mark.parametrize("kbps", [1, 6])
def test_it_is_the_codec(codec, pcm, kbps):
    out, latency = through(voxhop.CodecLink(codec, kbps=kbps), pcm)
    assert latency == 719
    with voxhop.CodecEncoder(codec) as encoder, voxhop.CodecDecoder(codec, kbps) as decoder:
        codes = np.concatenate((encoder.push(pcm), encoder.flush()))
        expected = decoder.push(codes)[480:]  # the first frame's sound is before the start
    assert np.array_equal(out, expected[: len(out)])


def test_latency_by_sweep(codec, pcm):
    """A changed input changes no output before its own sample, and one soon after."""
    with voxhop.Chain([voxhop.CodecLink(codec)], sample_rate=RATE) as chain:
        chain.process(pcm[:1000])
        earliest = []
        for n in range(1000, 1000 + 481, 20):
            with chain.fork() as one, chain.fork() as other:
                a = one.process(pcm[n : n + 1500])
                b = other.process(pcm[::-1][n : n + 1500].copy())
                earliest.append(int(np.argmax(a != b)))
            chain.process(pcm[n : n + 20])
    # The windows end near zero and codes are whole numbers: the last samples change few of them.
    assert 0 <= min(earliest) < 100


def test_losses_are_the_share_and_the_bursts_that_were_asked_for(codec):
    quiet = np.zeros(480, np.float32)
    for burst in (0.0, 3.0):
        link = voxhop.CodecLink(codec, loss=0.2, burst=burst, seed=5)
        with voxhop.Chain([link], sample_rate=RATE) as chain:
            lost = []
            for _ in range(600):
                before = chain.metrics.links[0].lost_packets
                chain.process(quiet)
                lost.append(chain.metrics.links[0].lost_packets - before)
            told = chain.metrics.links[0]
        assert told.packets == 600
        assert sum(lost) == told.lost_packets
        assert 0.13 < told.lost_packets / 600 < 0.27
        starts = np.count_nonzero(np.diff([0, *lost]) == 1)
        mean = told.lost_packets / starts
        assert 1.1 < mean < 1.45 if burst == 0 else 2.3 < mean < 3.9


def test_losses_follow_the_seed_and_the_state(codec, pcm):
    link = voxhop.CodecLink(codec, loss=0.3, burst=2, seed=1)
    first, _ = through(link, pcm)
    assert np.array_equal(through(link, pcm)[0], first)
    other = voxhop.CodecLink(codec, loss=0.3, burst=2, seed=2)
    assert not np.array_equal(through(other, pcm)[0], first)
    assert not np.array_equal(through(voxhop.CodecLink(codec), pcm)[0], first)
    with voxhop.Chain([link], sample_rate=RATE) as chain:
        chain.process(pcm[:3333])
        chain.set_options(0, loss=0.5, kbps=1)
        with chain.fork() as fork:
            assert np.array_equal(fork.process(pcm[3333:]), chain.process(pcm[3333:]))
        saved = chain.state()
    foreign = voxhop.Chain([other], sample_rate=RATE)
    with foreign, pytest.raises(StateError, match="other links"):
        foreign.load_state(saved)


def test_a_call_through_everything(codec, pcm):
    """Cancel, code, lose, decode and restore, at 48 kHz, in blocks of 10 ms or as a whole."""
    folder = GOLDEN.parent
    links = [
        voxhop.ModelLink("voxhop-localvqe-small", name="echo"),
        voxhop.CodecLink(codec, loss=0.1, burst=2),
        voxhop.ModelLink(
            folder / "streamfm-random" / "model-f32.gguf", options={"solver": "euler1"}
        ),
    ]
    mic = np.repeat(pcm, 2)[:19200]
    with voxhop.Chain(links, sample_rate=48000) as chain:
        whole = chain.process(mic, mic)
        parts = sum(link.latency_samples for link in chain.metrics.links)
        assert parts == chain.latency_samples
        chain.reset()
        blocks = mic.reshape(-1, 480)
        split = np.concatenate([chain.process(block, block) for block in blocks])
        told = chain.metrics
    assert np.array_equal(whole, split)
    assert [link.kind for link in told.links] == ["model", "codec", "model"]
    assert told.links[1].packets in {18, 19}


def test_what_does_not_fit_is_refused(codec):
    for wrong, words in (
        ({"kbps": 3}, "kbps: 3"),
        ({"loss": 1.0}, "loss: 1, expected 0 to below 1"),
        ({"loss": -0.1}, "loss: -0.1"),
        ({"loss": 0.9, "burst": 2.0}, "expected at most 0.667"),
        ({"burst": 0.5}, "burst: 0.5"),
        ({"seed": -1}, "seed -1"),
        ({"strength": 2.0}, "strength 2, expected 0 to 1"),
    ):
        with pytest.raises(ArgumentError, match=words):
            voxhop.CodecLink(codec, **wrong)
    with pytest.raises(ArgumentError, match="localvqe, expected a speech codec"):
        voxhop.Chain([voxhop.CodecLink(voxhop.DEFAULT_MODEL)])
    with voxhop.Chain([voxhop.CodecLink(codec)]) as chain:
        with pytest.raises(ArgumentError, match="seed: of a codec only kbps, loss, burst"):
            chain.set_options(0, seed=3)
        with pytest.raises(ArgumentError, match="kbps: 2"):
            chain.set_options(0, kbps=2)
