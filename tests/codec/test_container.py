"""Coded files: what is written is read, from any frame on, whole or damaged."""

import io
import zlib

import numpy as np
import pytest

from voxhop.codec import ContainerWriter, parse_container, reduce_container
from voxhop.codec.container import HEADER_BYTES, frames_for
from voxhop.errors import ArgumentError, CodecFileError, ShapeError, StateError


def random_codes(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 32, (frames, 24), dtype=np.uint8)


def written(codes, kbps=6, *, samples=None, rate=24000, pieces=(1, 2, 5), modes=None, **how):
    """Return the bytes of a file written in pieces, or frame by frame in the modes given."""
    file = io.BytesIO()
    writer = ContainerWriter(file, sample_rate=rate, kbps=kbps, **how)
    at, step = 0, 0
    while at < len(codes):
        count = 1 if modes is not None else pieces[step % len(pieces)]
        writer.write(codes[at : at + count], None if modes is None else int(modes[at]))
        at, step = at + count, step + 1
    writer.finish((len(codes) - 1) * 480 if samples is None else samples)
    return file.getvalue()


def read_back(container, **which):
    """Return all codes of the low rate, and of the high rate where there are any."""
    runs = list(container.runs(**which))
    kbps = np.concatenate([np.full(len(c), k) for k, c in runs])
    low = np.concatenate([c[:, :4] for _, c in runs])
    high = [c for k, c in runs if k == 6]
    return kbps, low, np.concatenate(high) if high else None


MODES = np.array([6, 6, 1, 6, 1, 1, 1, 6, 6, 1, 1], np.uint8)


@pytest.mark.parametrize("kbps", [1, 6, 0])
def test_what_is_written_is_read(kbps):
    codes = random_codes(11)
    modes = MODES if kbps == 0 else np.full(11, kbps)
    data = written(codes, kbps, modes=MODES if kbps == 0 else None, samples=4567)
    found = parse_container(data)
    assert (found.sample_rate, found.samples, found.frames, found.kbps) == (24000, 4567, 11, kbps)
    assert found.problem is None
    assert found.seconds == pytest.approx(4567 / 24000)
    assert (found.modes() == modes).all()
    back, low, high = read_back(found)
    assert (back == modes).all()
    assert (low == codes[:, :4]).all()
    if kbps != 1:
        assert (high == codes[modes == 6]).all()
    size = {1: 28, 6: 165, 0: 5 * 16 + 6 * 4}[kbps]
    assert len(data) == HEADER_BYTES + found.payload_bytes == HEADER_BYTES + size


def test_the_header_is_what_the_documentation_says():
    data = written(random_codes(3), 6, samples=600, rate=16000, enhanced=True)
    expected = b"VXC\x1a\x01\x00\x01\x00" + (16000).to_bytes(4, "little")
    expected += (600).to_bytes(8, "little") + (3).to_bytes(4, "little") + b"\x06"
    assert data[:25] == expected
    assert data[25:29] == zlib.crc32(data[33:]).to_bytes(4, "little")
    assert data[29:33] == zlib.crc32(data[:29]).to_bytes(4, "little")
    assert parse_container(data).enhanced


@pytest.mark.parametrize("kbps", [1, 6, 0])
def test_from_any_frame_on(kbps):
    codes = random_codes(11)
    modes = MODES if kbps == 0 else np.full(11, kbps)
    found = parse_container(written(codes, kbps, modes=MODES if kbps == 0 else None))
    for first in range(11):
        for frames in (None, 1, (11 - first) // 2 or 1):
            last = 11 if frames is None else first + frames
            back, low, _ = read_back(found, first=first, frames=frames)
            assert (back == modes[first:last]).all()
            assert (low == codes[first:last, :4]).all()
    assert list(found.runs(11)) == []
    for first, frames in ((-1, 2), (0, 12), (12, 0), (3, -1)):
        with pytest.raises(ArgumentError, match="expected 0 to 11"):
            list(found.runs(first, frames))


@pytest.mark.parametrize("kbps", [1, 6])
def test_pieces_do_not_matter(kbps):
    codes = random_codes(23)
    whole = written(codes, kbps, pieces=(23,))
    for pieces in ((1,), (2, 1), (0, 7, 3)):
        assert written(codes, kbps, pieces=pieces) == whole


def test_frames_of_a_recording():
    counts = {0: 1, 1: 2, 480: 2, 481: 3, 240_000: 501}
    assert {n: frames_for(n) for n in counts} == counts
    assert frames_for(160_000, 16000) == 501
    assert frames_for(441_000, 44100) == 501
    assert frames_for(1, 48000) == 2


@pytest.mark.parametrize("kbps", [1, 6, 0])
def test_a_file_cut_short_gives_what_is_there(kbps):
    codes = random_codes(11)
    data = written(codes, kbps, modes=MODES if kbps == 0 else None)
    before = -1
    for length in range(HEADER_BYTES, len(data)):
        with pytest.raises(CodecFileError, match=r"talk\.vxc: \d+ of its 11 frames are there"):
            parse_container(data[:length], name="talk.vxc")
        found = parse_container(data[:length], damaged=True)
        assert before <= found.frames < 11
        assert found.samples == max(found.frames - 1, 0) * 480
        before = found.frames
        if found.frames:
            assert (read_back(found)[1] == codes[: found.frames, :4]).all()
    assert before == 10
    for length in range(HEADER_BYTES):
        with pytest.raises(CodecFileError):
            parse_container(data[:length], damaged=True)


def test_a_recording_that_was_never_finished_is_read_as_far_as_it_goes():
    codes = random_codes(8)
    file = io.BytesIO()
    writer = ContainerWriter(file, sample_rate=48000, kbps=6)
    writer.write(codes)
    with pytest.raises(CodecFileError, match="8 of its 4294967295 frames are there"):
        parse_container(file.getvalue())
    found = parse_container(file.getvalue(), damaged=True)
    assert (found.frames, found.samples, found.sample_rate) == (8, 7 * 960, 48000)
    assert (read_back(found)[2] == codes).all()


def test_every_flipped_bit_is_noticed():
    data = written(random_codes(3))
    for at in range(8 * len(data)):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(CodecFileError):
            parse_container(changed)


def test_damage_is_named():
    data = written(random_codes(3))
    flipped = bytearray(data)
    flipped[40] ^= 4
    found = parse_container(flipped, damaged=True)
    assert (found.problem, found.frames) == ("its frames are damaged", 3)
    header = bytearray(data)
    header[12] ^= 1  # the number of samples
    found = parse_container(header, damaged=True)
    assert "its header is damaged" in found.problem
    assert (read_back(found)[2] == random_codes(3)).all()
    with pytest.raises(CodecFileError, match="4 bytes follow its last frame"):
        parse_container(data + b"more")
    for other in (b"", b"VXC", b"RIFF" + data[4:], b"GGUF"):
        with pytest.raises(CodecFileError, match="no coded speech"):
            parse_container(other, damaged=True)
    later = bytearray(data)
    later[4] = 2
    with pytest.raises(CodecFileError, match="version 2 with flags 0, expected version 1"):
        parse_container(later, damaged=True)


def mutation(data, rng):
    """Return a file damaged in one of the ways that files are."""
    changed = bytearray(data)
    kind = rng.integers(5)
    at = int(rng.integers(len(changed)))
    if kind == 0:
        for place in rng.integers(0, 8 * len(changed), rng.integers(1, 9)):
            changed[place // 8] ^= 1 << (place % 8)
    elif kind == 1:
        del changed[at:]
    elif kind == 2:
        del changed[at : at + int(rng.integers(1, 20))]
    elif kind == 3:
        changed[at:at] = rng.bytes(int(rng.integers(1, 20)))
    else:
        size = int(rng.integers(1, 12))
        changed[at : at + size] = rng.bytes(size)
    return bytes(changed)


def test_ten_thousand_mutations():
    """Either an error with a name, or codes that are codes."""
    rng = np.random.default_rng(3)
    codes = random_codes(11)
    files = [written(codes, 6), written(codes, 1), written(codes, 0, modes=MODES)]
    refused, read, noticed = 0, 0, 0
    for i in range(10_000):
        data = mutation(files[i % 3], rng)
        try:
            parse_container(data)
        except CodecFileError:
            noticed += data not in files
        try:
            found = parse_container(data, damaged=True)
        except CodecFileError:
            refused += 1
            continue
        read += 1
        assert found.frames <= 8 * len(data) // 20
        total = 0
        for kbps, part in found.runs():
            assert kbps in (1, 6)
            assert part.max() < 32
            total += len(part)
        assert total == found.frames
    assert refused > 1000
    assert read > 5000
    assert noticed > 9900


@pytest.mark.parametrize("kbps", [6, 0])
def test_the_low_rate_of_a_file(kbps):
    codes = random_codes(11)
    source = parse_container(written(codes, kbps, modes=MODES if kbps == 0 else None, samples=99))
    file = io.BytesIO()
    reduce_container(source, file)
    assert file.getvalue() == written(codes, 1, samples=99)


def test_what_cannot_be_written():
    file = io.BytesIO()
    with pytest.raises(ArgumentError, match="kbps: 2"):
        ContainerWriter(file, sample_rate=24000, kbps=2)
    with pytest.raises(ArgumentError, match="sample_rate: 0"):
        ContainerWriter(file, sample_rate=0)
    writer = ContainerWriter(file, sample_rate=24000, kbps=6)
    with pytest.raises(ArgumentError, match="kbps: 1, expected 6"):
        writer.write(random_codes(1), 1)
    with pytest.raises(ShapeError, match=r"\(1, 4\)"):
        writer.write(random_codes(1)[:, :4])
    writer.write(random_codes(3))
    with pytest.raises(ArgumentError, match="need 4 frames, 3 were written"):
        writer.finish(961)
    writer.finish(960)
    with pytest.raises(StateError, match="after finish"):
        writer.write(random_codes(1))
    with pytest.raises(StateError, match="twice"):
        writer.finish(960)
    with pytest.raises(ArgumentError, match="kbps: 0, expected 1 or 6"):
        ContainerWriter(io.BytesIO(), sample_rate=24000, kbps=0).write(random_codes(1))
