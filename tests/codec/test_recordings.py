"""Whole recordings: lengths, alignment, rates, parts, channels, damage."""

import io

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop import ArgumentError, CodecDecoder, CodecEncoder, CodecFileError
from voxhop.codec import ContainerWriter, parse_container, reduce_container


def test_a_file_is_the_stream(model, pcm):
    data = voxhop.encode(pcm[:10_001], sample_rate=24000, model=model)
    with CodecEncoder(model) as encoder, CodecDecoder(model) as decoder:
        codes = np.concatenate([encoder.push(pcm[:10_001]), encoder.flush()])
        sound = decoder.push(codes)
    container = parse_container(data)
    assert (container.frames, container.samples) == (22, 10_001)
    ((kbps, kept),) = container.runs()
    assert kbps == 6
    assert (kept == codes).all()
    found, rate = voxhop.decode(data, model=model)
    assert rate == 24000
    assert np.array_equal(found, sound[480 : 480 + 10_001])


@pytest.mark.parametrize("samples", [1, 2, 239, 240, 241, 479, 480, 481, 24000])
@pytest.mark.parametrize("kbps", [1, 6])
def test_as_many_samples_as_were_coded(model, pcm, samples, kbps):
    data = voxhop.encode(pcm[:samples], sample_rate=24000, model=model, kbps=kbps)
    assert len(voxhop.decode(data, model=model)[0]) == samples
    frames = -(-samples // 480) + 1
    assert len(data) == 33 + (15 * frames if kbps == 6 else -(-5 * frames // 2))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000, 96000])
def test_other_rates_come_back_as_they_were(model, pcm, rate):
    import soxr  # noqa: PLC0415

    sound = np.resize(pcm, rate // 2 + 77)
    data = voxhop.encode(sound, sample_rate=rate, model=model)
    found, back = voxhop.decode(data, model=model)
    assert (back, len(found)) == (rate, len(sound))
    # The codec itself between two conversions of whole signals.
    at_24k = soxr.resample(sound, rate, 24000, "VHQ")
    inner, _ = voxhop.decode(voxhop.encode(at_24k, sample_rate=24000, model=model), model=model)
    expected = soxr.resample(inner, 24000, rate, "VHQ")[: len(sound)]
    same = min(len(expected), len(found)) - rate // 20  # the ends differ by what follows them
    error = np.abs(found[:same] - expected[:same])
    assert np.median(error) <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("rate", [24000, 16000, 44100])
@pytest.mark.parametrize("kbps", [1, 6])
def test_a_part_is_that_part_of_the_whole(model, pcm, rate, kbps):
    data = voxhop.encode(pcm, sample_rate=rate, model=model, kbps=kbps)
    whole, _ = voxhop.decode(data, model=model)
    for start_s, seconds in [(0, 0.1), (0.5, 0.25), (0.51234, 0.001), (0.9, None), (0.3, 0.0)]:
        part, _ = voxhop.decode(data, model=model, start_s=start_s, seconds=seconds)
        first = round(start_s * rate)
        stop = len(whole) if seconds is None else first + round(seconds * rate)
        assert np.array_equal(part, whole[first:stop])
    for start_s, seconds in [(-0.1, 1), (0, 99), (99, None), (0, -1)]:
        with pytest.raises(ArgumentError, match="expected a part of"):
            voxhop.decode(data, model=model, start_s=start_s, seconds=seconds)


def test_the_low_rate_of_a_file(model, pcm):
    high = voxhop.encode(pcm, sample_rate=24000, model=model)
    low = voxhop.encode(pcm, sample_rate=24000, model=model, kbps=1)
    file = io.BytesIO()
    reduce_container(parse_container(high), file)
    assert file.getvalue() == low
    expected, _ = voxhop.decode(low, model=model)
    assert np.array_equal(voxhop.decode(high, model=model, kbps=1)[0], expected)
    assert not np.array_equal(voxhop.decode(high, model=model)[0], expected)


def test_a_file_of_changing_rate(model, codes):
    file = io.BytesIO()
    writer = ContainerWriter(file, sample_rate=24000, kbps=0)
    modes = [6] * 30 + [1] * 30 + [6] * 40
    for frame, kbps in zip(codes, modes, strict=True):
        writer.write(frame[None], kbps)
    writer.finish(99 * 480)
    found, _ = voxhop.decode(file.getvalue(), model=model)
    with CodecDecoder(model) as decoder:
        parts = [
            decoder.push(codes[:30]),
            decoder.push(codes[30:60], kbps=1),
            decoder.push(codes[60:]),
        ]
    assert np.array_equal(found, np.concatenate(parts)[480:])


def test_channels(model, pcm):
    left, right = pcm[:9600], pcm[9600:19200]
    both = np.stack([left, right], axis=1)

    def coded(sound, **how):
        return voxhop.encode(sound, sample_rate=24000, model=model, **how)

    assert coded(both) == coded((left + right) / 2)
    assert coded(both, channel=1) == coded(right)
    with pytest.raises(ArgumentError, match="channel: 2, expected 0 to 1"):
        coded(both, channel=2)


def test_types(model, pcm):
    whole = np.rint(pcm[:4800] * 32767).astype(np.int16)
    data = voxhop.encode(whole, sample_rate=24000, model=model)
    as_float = (whole / 32768).astype(np.float32)
    assert data == voxhop.encode(as_float, sample_rate=24000, model=model)
    floats, _ = voxhop.decode(data, model=model)
    ints, _ = voxhop.decode(data, model=model, dtype=np.int16)
    assert ints.dtype == np.int16
    assert np.abs(ints - np.clip(floats * 32768.0, -32768, 32767)).max() <= 0.51


def test_damaged_files(model, pcm):
    data = voxhop.encode(pcm[:24000], sample_rate=24000, model=model)
    whole, _ = voxhop.decode(data, model=model)
    with pytest.raises(CodecFileError, match="25 of its 51 frames are there"):
        voxhop.decode(data[: 33 + 25 * 15 + 7], model=model)
    found, _ = voxhop.decode(data[: 33 + 25 * 15 + 7], model=model, damaged=True)
    assert np.array_equal(found, whole[: 24 * 480])
    empty, _ = voxhop.decode(data[:33], model=model, damaged=True)
    assert empty.shape == (0,)


def test_files_both_ways(model, pcm, tmp_path):
    source, coded, out = (tmp_path / name for name in ("talk.wav", "talk.vxc", "heard.wav"))
    soundfile.write(source, pcm * 0.5, 24000)
    seen = []
    report = voxhop.encode_file(
        source, coded, model=model, progress=lambda *times: seen.append(times)
    )
    sound, _ = soundfile.read(source, dtype="float32")
    assert coded.read_bytes() == voxhop.encode(sound, sample_rate=24000, model=model)
    assert (report.seconds, report.kbps, report.frames) == (2.0, 6, 101)
    assert report.coded_bytes == coded.stat().st_size == 33 + 101 * 15
    assert seen[-1] == (2.0, 2.0)
    report = voxhop.decode_file(coded, out, model=model, kbps=1)
    assert (report.seconds, report.kbps, report.sample_rate) == (2.0, 1, 24000)
    found, rate = soundfile.read(out, dtype="int16")
    expected, _ = voxhop.decode(coded.read_bytes(), model=model, kbps=1)
    assert (rate, len(found)) == (24000, 48000)
    assert np.abs(found / 32768 - np.clip(expected, -1, 1)).max() <= 1 / 32768
    assert sorted(p.name for p in tmp_path.iterdir()) == ["heard.wav", "talk.vxc", "talk.wav"]


def test_no_half_file(model, pcm, tmp_path):
    source, coded = tmp_path / "talk.wav", tmp_path / "talk.vxc"
    soundfile.write(source, pcm, 24000)
    coded.write_bytes(b"old")

    def stop(*_times):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        voxhop.encode_file(source, coded, model=model, progress=stop)
    assert coded.read_bytes() == b"old"
    voxhop.encode_file(source, coded, model=model)
    with pytest.raises(KeyboardInterrupt):
        voxhop.decode_file(coded, tmp_path / "heard.wav", model=model, progress=stop)
    cut = tmp_path / "cut.vxc"
    cut.write_bytes(coded.read_bytes()[:-20])
    with pytest.raises(CodecFileError, match=r"cut\.vxc: 99 of its 101 frames are there"):
        voxhop.decode_file(cut, tmp_path / "heard.wav", model=model)
    report = voxhop.decode_file(cut, tmp_path / "part.wav", model=model, damaged=True)
    assert report.seconds == 98 * 480 / 24000
    assert "99 of its 101" in report.notes[0]
    for source_, out, error in [
        (source, source, "an input too"),
        (tmp_path / "none.wav", coded, "no such file"),
        (source, tmp_path / "nowhere" / "x.vxc", "no folder"),
    ]:
        with pytest.raises(voxhop.VoxhopError, match=error):
            voxhop.encode_file(source_, out, model=model)
    with pytest.raises(CodecFileError, match=r"none\.vxc: No such file"):
        voxhop.decode_file(tmp_path / "none.vxc", tmp_path / "heard.wav", model=model)
    with pytest.raises(ArgumentError, match="suffix"):
        voxhop.decode_file(coded, tmp_path / "heard.txt", model=model)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"talk.wav", "talk.vxc", "cut.vxc", "part.wav"}


def test_bad_calls(model, pcm):
    with pytest.raises(ArgumentError, match="kbps: 2"):
        voxhop.encode(pcm, sample_rate=24000, model=model, kbps=2)
    with pytest.raises(ArgumentError, match="sample_rate"):
        voxhop.encode(pcm, sample_rate=12, model=model)
    with pytest.raises(voxhop.ShapeError):
        voxhop.encode(pcm[:0], sample_rate=24000, model=model)


def test_without_a_front_end_an_enhancer_stands_before_the_encoder(model, pcm, tmp_path):
    noisy = pcm + 0.02 * np.random.default_rng(5).standard_normal(len(pcm), np.float32)
    clean = voxhop.enhance(noisy, sample_rate=24000)
    plain, of_clean, found = (
        voxhop.encode(x, sample_rate=24000, model=model, enhance=how)
        for x, how in ((noisy, False), (clean, False), (noisy, True))
    )
    codes = [next(iter(parse_container(x).runs()))[1] for x in (plain, of_clean, found)]
    assert np.array_equal(codes[2], codes[1])
    assert (codes[2] != codes[0]).mean() > 0.1
    assert parse_container(found).enhanced
    assert len(voxhop.decode(found, model=model)[0]) == len(pcm)
    both = np.stack((noisy, np.zeros_like(noisy)), axis=1)
    assert voxhop.encode(both, sample_rate=24000, model=model, enhance=True, channel=0) == found
    soundfile.write(tmp_path / "street.wav", both, 24000, subtype="FLOAT")
    report = voxhop.encode_file(
        tmp_path / "street.wav", tmp_path / "street.vxc", model=model, enhance=True, channel=0
    )
    assert (tmp_path / "street.vxc").read_bytes() == found
    assert report.enhanced
    assert report.enhanced_by == voxhop.DEFAULT_MODEL


@pytest.mark.parametrize("samples", [1, 700, 24000])
def test_short_and_other_rates_before_an_enhancer(model, pcm, samples):
    data = voxhop.encode(pcm[:samples], sample_rate=44100, model=model, enhance=True)
    heard, rate = voxhop.decode(data, model=model)
    assert (len(heard), rate) == (samples, 44100)
