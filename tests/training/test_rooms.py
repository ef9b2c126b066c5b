"""The bank of rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")

from voxhop.training.sounds.rooms import (
    PEAK_SAMPLE,
    RoomConfig,
    align_peak,
    build_rooms,
    cached_rooms,
)

if TYPE_CHECKING:
    from pathlib import Path


def decay_s(response: np.ndarray, drop_db: float) -> float:
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    return float(np.argmax(energy < energy[0] * 10 ** (-drop_db / 10))) / 16000


def test_strongest_path_is_where_delay_labels_expect_it() -> None:
    rooms = build_rooms(RoomConfig(count=8, seconds=0.4), seed=2)
    assert rooms.shape == (8, 3, 6400)
    assert (np.abs(rooms).argmax(axis=2) == PEAK_SAMPLE).all()
    assert np.allclose(rooms.max(axis=2), 1.0)


def test_reverberation_time_is_the_one_asked_for() -> None:
    # The slope between -5 and -25 dB, three times, is the reverberation time; single
    # rooms scatter, as Sabine's formula does, the mean must not.
    for wanted in (0.2, 0.6):
        rooms = build_rooms(RoomConfig(count=6, rt60_s=(wanted, wanted), coupled=0), seed=4)
        slopes = [3 * (decay_s(r, 25) - decay_s(r, 5)) for room in rooms for r in room]
        assert np.mean(slopes) == pytest.approx(wanted, rel=0.35)


def test_bank_depends_on_the_seed_only(tmp_path: Path) -> None:
    config = RoomConfig(count=4, seconds=0.2)
    one = cached_rooms(config, seed=9, folder=tmp_path / "a", workers=1)
    two = cached_rooms(config, seed=9, folder=tmp_path / "b", workers=2)
    assert np.array_equal(one, two)
    other = cached_rooms(config, seed=10, folder=tmp_path / "a", workers=1)
    assert not np.array_equal(one, other)


def test_cache_is_read_back(tmp_path: Path) -> None:
    config = RoomConfig(count=2, seconds=0.2)
    cached_rooms(config, seed=1, folder=tmp_path)
    (path,) = tmp_path.glob("rooms-*.npy")
    np.save(path, np.full((2, 3, 3200), 0.5, np.float16))
    assert (cached_rooms(config, seed=1, folder=tmp_path) == 0.5).all()


def test_a_late_or_inverted_peak_is_moved_and_normalised() -> None:
    response = np.zeros(500)
    response[10], response[200], response[230] = 0.1, -0.5, 0.25
    out = align_peak(response, 100)
    assert out[PEAK_SAMPLE] == 1.0
    assert out[PEAK_SAMPLE + 30] == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="all samples are zero"):
        align_peak(np.zeros(50), 100)
