"""Talker and listener: packets over a network that loses, doubles, delays and reorders."""

import numpy as np
import pytest
import soxr

import voxhop
from voxhop import ArgumentError, CodecDecoder, CodecEncoder, CodecFileError
from voxhop.codec import CodecListener, CodecTalker
from voxhop.codec.packing import unpack_codes


def spoken(model, pcm, block=333, **how):
    with CodecTalker(model, **how) as talker:
        packets = [p for at in range(0, len(pcm), block) for p in talker.push(pcm[at : at + block])]
        return packets + talker.flush()


def heard(listener, frames, block=480):
    return np.concatenate([listener.pull(block) for _ in range(frames * 480 // block)])


@pytest.mark.parametrize("kbps", [1, 6])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_what_is_heard_is_what_was_coded(model, pcm, codes, kbps, frames):
    packets = spoken(model, pcm, kbps=kbps, frames=frames)
    size = 4 + (15 * frames if kbps == 6 else -(-5 * frames // 2))
    assert {len(p) for p in packets[:-1]} == {size}
    assert len(packets) == -(-101 // frames)
    with CodecListener(model) as listener, CodecDecoder(model, kbps=kbps) as decoder:
        for packet in packets[:16]:
            listener.push(packet)
        found = heard(listener, 16, block=160)
        assert np.array_equal(found, decoder.push(codes[:16]))
        assert listener.metrics.heard == 16
        assert listener.metrics.concealed == 0


def test_the_rate_may_change_with_every_packet(model, pcm, codes):
    with CodecTalker(model) as talker, CodecListener(model) as listener:
        for i in range(10):
            talker.kbps = 1 if i % 2 else 6
            for packet in talker.push(pcm[i * 480 : (i + 1) * 480]):
                listener.push(packet)
        found = heard(listener, 10)
    with CodecDecoder(model) as decoder:
        rows = zip(codes[:10], [6, 1] * 5, strict=True)
        expected = np.concatenate([decoder.push(row[None], kbps) for row, kbps in rows])
    assert np.array_equal(found, expected)


def test_order_does_not_matter_while_packets_wait(model, pcm, codes):
    packets = spoken(model, pcm)[:20]
    order = np.random.default_rng(1).permutation(20)
    with CodecListener(model, wait_frames=20) as listener, CodecDecoder(model) as decoder:
        for i in order:
            listener.push(packets[i])
            listener.push(packets[i])  # and once more
        found = heard(listener, 20)
        assert np.array_equal(found, decoder.push(codes[:20]))
        assert listener.metrics.doubled == 20
        listener.push(packets[3])
        assert listener.metrics.late == 1


def test_lost_packets_are_concealed(model, pcm, codes):
    packets = spoken(model, pcm)[:20]
    with CodecListener(model) as listener, CodecDecoder(model) as decoder:
        for i, packet in enumerate(packets):
            if i not in (7, 8, 15):
                listener.push(packet)
        found = heard(listener, 20)
        expected = np.concatenate(
            [
                decoder.push(codes[:7]),
                decoder.conceal(2),
                decoder.push(codes[9:15]),
                decoder.conceal(1),
                decoder.push(codes[16:20]),
            ]
        )
        assert np.array_equal(found, expected)
        assert (listener.metrics.heard, listener.metrics.concealed) == (17, 3)


def test_a_pause_of_the_network_delays_and_does_not_lose(model, pcm, codes):
    packets = spoken(model, pcm)[:20]
    with CodecListener(model, wait_frames=2) as listener, CodecDecoder(model) as decoder:
        assert not listener.pull(960).any()
        for packet in packets[:5]:
            listener.push(packet)
        parts = [heard(listener, 8)]
        for packet in packets[5:]:
            listener.push(packet)
        parts.append(heard(listener, 15))
        expected = [decoder.push(codes[:5]), decoder.conceal(3), decoder.push(codes[5:20])]
        assert np.array_equal(np.concatenate(parts), np.concatenate(expected))
        assert listener.metrics.concealed == 3


def test_delay_does_not_grow_without_end(model, pcm, codes):
    with CodecListener(model, most_frames=10) as listener, CodecDecoder(model) as decoder:
        for packet in spoken(model, pcm)[:30]:
            listener.push(packet)
        assert (listener.metrics.dropped, listener.metrics.waiting) == (20, 10)
        assert np.array_equal(heard(listener, 10), decoder.push(codes[20:30]))


@pytest.mark.parametrize("number", [40, 20_000, 50_000])
def test_a_talker_may_start_again(model, pcm, number):
    with CodecTalker(model) as talker:
        talker._number = number
        packets = talker.push(pcm[:9600])
    with CodecListener(model, wait_frames=2, most_frames=30) as listener:
        for packet in spoken(model, pcm)[:5]:
            listener.push(packet)
        heard(listener, 6)
        for packet in packets:
            listener.push(packet)
        heard(listener, 20)
        assert listener.metrics.heard == 25
        assert listener.metrics.concealed == 1
        assert listener.metrics.late == 0


def test_numbers_wrap(model, pcm, codes):
    with CodecTalker(model) as talker:
        talker._number = (1 << 16) - 5
        packets = talker.push(pcm[:9600])
    assert packets[4][:2] == b"\xff\xff"
    assert packets[5][:2] == b"\x00\x00"
    with CodecListener(model) as listener, CodecDecoder(model) as decoder:
        for packet in packets:
            listener.push(packet)
        assert np.array_equal(heard(listener, 20), decoder.push(codes[:20]))


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_any_rate_on_both_ends(model, pcm, rate):
    import soxr  # noqa: PLC0415

    sound = soxr.resample(pcm, 24000, rate).astype(np.float32)
    packets = spoken(model, sound, sample_rate=rate, block=rate // 100)
    with CodecListener(model, sample_rate=rate, most_frames=200) as listener:
        for packet in packets:
            listener.push(packet)
        found = np.concatenate([listener.pull(rate // 100) for _ in range(150)])
    with CodecEncoder(model) as encoder, CodecDecoder(model) as decoder:
        inner = soxr.resample(sound, rate, 24000, "VHQ").astype(np.float32)
        expected = decoder.push(encoder.push(inner))
    expected = soxr.resample(expected, 24000, rate, "VHQ")[: len(found)]
    error = np.abs(found - expected)
    assert np.median(error) <= 1e-4 * np.abs(expected).max()


def test_types_and_channels(model, pcm):
    whole = np.rint(pcm[:4800] * 20000).astype(np.int16)
    both = np.stack([whole, whole], axis=1)
    assert spoken(model, whole) == spoken(model, (whole / 32768).astype("f4"))
    assert spoken(model, both) == spoken(model, whole)
    with CodecTalker(model) as talker, CodecListener(model) as listener:
        assert talker.push(pcm[:0]) == []
        assert listener.pull(100, dtype=np.int16).dtype == np.int16


@pytest.mark.parametrize(
    "packet", [b"", b"abc", b"\0\0\6\0", b"\0\0\3\1" + bytes(15), b"\0\0\6\1" + bytes(14)]
)
def test_what_is_no_packet(model, packet):
    with CodecListener(model) as listener:
        with pytest.raises(CodecFileError, match="packet"):
            listener.push(packet)
        assert listener.metrics.waiting == 0


def test_bad_calls(model):
    for how in ({"frames": 0}, {"frames": 256}, {"kbps": 2}, {"sample_rate": 1}):
        with pytest.raises(ArgumentError):
            CodecTalker(model, **how)
    for how in ({"wait_frames": 0}, {"wait_frames": 9, "most_frames": 8}, {"sample_rate": 1}):
        with pytest.raises(ArgumentError):
            CodecListener(model, **how)
    with CodecListener(model) as listener, pytest.raises(ArgumentError, match="samples: -1"):
        listener.pull(-1)
    talker = CodecTalker(model)
    talker.close()
    with pytest.raises(voxhop.StateError):
        talker.push(np.zeros(480, "f4"))


@pytest.mark.parametrize("rate", [16000, 24000])
def test_a_talker_in_noise_without_a_front_end(model, pcm, rate):
    noisy = pcm[:24000] + 0.02 * np.random.default_rng(5).standard_normal(24000, np.float32)
    spoken_ = noisy if rate == 24000 else soxr.resample(noisy, 24000, rate)
    packets = spoken(model, spoken_, sample_rate=rate, enhance=True)
    with (
        voxhop.load(voxhop.DEFAULT_MODEL) as enhancer,
        voxhop.Stream(enhancer, sample_rate=24000, delay_ms=0.0) as stream,
        CodecEncoder(model) as encoder,
    ):
        wide = noisy if rate == 24000 else soxr.resample(spoken_, rate, 24000)
        clean = np.concatenate([stream.process(wide), stream.flush()])
        expected = np.concatenate([encoder.push(clean), encoder.flush()])
    found = np.concatenate([unpack_codes(p[4:], 6, frames=1) for p in packets])
    assert found.shape == expected.shape
    assert (found == expected).mean() > (0.99 if rate == 24000 else 0.9)
