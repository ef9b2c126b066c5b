"""Codes as bits: the golden set's bytes, sizes, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from voxhop.codec import pack_codes, packed_bytes, unpack_codes
from voxhop.errors import ArgumentError, DtypeError, ShapeError

GOLDEN = Path(__file__).parent.parent / "golden" / "sublime-random"


def random_codes(frames, seed=0, groups=24):
    return np.random.default_rng(seed).integers(0, 32, (frames, groups), dtype=np.uint8)


@pytest.mark.parametrize(("kbps", "groups"), [(1, 4), (6, 24)])
def test_bytes_of_the_golden_set(kbps, groups):
    codes = np.fromfile(GOLDEN / "codes.u8", np.uint8).reshape(-1, 24)
    packed = (GOLDEN / f"bits.{kbps}k.bin").read_bytes()
    assert pack_codes(codes, kbps) == packed
    assert (unpack_codes(packed, kbps) == codes[:, :groups]).all()


def test_sizes():
    assert [packed_bytes(n, 6) for n in (0, 1, 2, 500)] == [0, 15, 30, 7500]
    assert [packed_bytes(n, 1) for n in (0, 1, 2, 3, 500)] == [0, 3, 5, 8, 1250]
    # Ten seconds as a stream: exactly 6000 and 1000 bits per second.
    assert 8 * len(pack_codes(random_codes(500), 6)) == 60_000
    assert 8 * len(pack_codes(random_codes(500), 1)) == 10_000


@pytest.mark.parametrize("kbps", [1, 6])
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 50])
def test_there_and_back(kbps, frames):
    codes = random_codes(frames, frames)[:, : 4 if kbps == 1 else 24]
    packed = pack_codes(codes, kbps)
    assert len(packed) == packed_bytes(frames, kbps)
    assert (unpack_codes(packed, kbps) == codes).all()
    for first in range(frames):
        count = (frames - first) // 2
        part = unpack_codes(packed, kbps, first=first, frames=count)
        assert (part == codes[first : first + count]).all()


def test_order_of_bits():
    codes = np.array([[0b10000, 0b00001, 0b11111, 0b00000]], np.uint8)
    assert pack_codes(codes, 1) == bytes([0b10000_000, 0b01_11111_0, 0b0000_0000])


def test_the_low_rate_is_the_beginning_of_each_frame():
    codes = random_codes(7)
    frames = np.frombuffer(pack_codes(codes, 6), np.uint8).reshape(7, 15)
    bits = np.unpackbits(frames, axis=1)[:, :20]
    assert np.packbits(bits).tobytes() == pack_codes(codes, 1)


def test_other_integers_are_codes_too():
    codes = random_codes(3).astype(np.int64)
    assert pack_codes(codes, 6) == pack_codes(codes.astype(np.uint8), 6)


@pytest.mark.parametrize(
    ("codes", "kbps", "error", "message"),
    [
        (np.zeros((2, 24)), 6, DtypeError, "dtype float64"),
        (np.zeros((2, 5), np.uint8), 6, ShapeError, r"shape \(2, 5\)"),
        (np.zeros(24, np.uint8), 6, ShapeError, r"shape \(24,\)"),
        (np.zeros((2, 4), np.uint8), 6, ShapeError, r"expected \(n, 24\) for 6 kbit/s"),
        (np.full((1, 24), 32, np.uint8), 6, ArgumentError, "values 32 to 32, expected 0 to 31"),
        (np.full((1, 24), -1), 6, ArgumentError, "values -1 to -1"),
        (np.zeros((2, 24), np.uint8), 3, ArgumentError, "kbps: 3, expected 1 or 6"),
    ],
)
def test_what_cannot_be_packed(codes, kbps, error, message):
    with pytest.raises(error, match=message):
        pack_codes(codes, kbps)


def test_what_cannot_be_unpacked():
    with pytest.raises(ShapeError, match="16 bytes, expected 15 or 30"):
        unpack_codes(bytes(16), 6)
    with pytest.raises(ShapeError, match="4 bytes, expected 3 or 5"):
        unpack_codes(bytes(4), 1)
    with pytest.raises(ShapeError, match="frames 1 to 3, expected 0 to 2"):
        unpack_codes(bytes(30), 6, first=1, frames=2)
