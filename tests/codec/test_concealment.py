"""How lost frames sound with trained weights: no clicks at the seams, no humming afterwards."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import voxhop
from voxhop.codec import DEFAULT_CODEC
from voxhop.models import bundled_models

FRAME = 480
TALKER = Path(voxhop.__file__).parent / "demo" / "ref.flac"
BEFORE, AFTER = 6, 6  # frames that are looked at around a loss

pytestmark = pytest.mark.skipif(
    DEFAULT_CODEC not in bundled_models(), reason="no trained codec in this build"
)


@pytest.fixture(scope="module")
def model():
    return voxhop.load(DEFAULT_CODEC)


@pytest.fixture(scope="module")
def codes(model):
    sound, rate = soundfile.read(TALKER, dtype="float32", frames=91_200)
    with voxhop.CodecEncoder(model) as encoder:
        return encoder.push(soxr.resample(sound, rate, 24_000).astype(np.float32))


def around_a_loss(model, codes, at, lost):
    """Return the sound from 6 frames before a loss to 6 behind it, and the lost part of it."""
    with voxhop.CodecDecoder(model) as decoder:
        parts = [decoder.push(codes[:at])[-BEFORE * FRAME :], decoder.conceal(lost)]
        parts.append(decoder.push(codes[at + lost : at + lost + AFTER]))
    first = BEFORE * FRAME
    return np.concatenate(parts), slice(first, first + lost * FRAME)


def roughness(sound, seams):
    """Return the sharpest bend within 1 ms of the borders of frames, of the sharpest elsewhere."""
    bend = np.abs(np.diff(sound, 2))
    near = np.zeros(len(bend), bool)
    for seam in seams:
        near[seam * FRAME - 24 : seam * FRAME + 24] = True
    return bend[near].max() / bend[~near].max()


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_seams_are_no_rougher_than_speech(model, codes, lost):
    seams = range(BEFORE, BEFORE + lost + 1)
    found, cut = [], []
    for at in range(20, 250, 7):
        sound, gone = around_a_loss(model, codes, at, lost)
        found.append(roughness(sound, seams))
        sound[gone] = 0
        cut.append(roughness(sound, seams))
    # Frames that arrive give 0.4 in the middle and 1.2 at worst; silence with hard edges clicks.
    assert np.median(found) < 0.6
    assert max(found) < 1.5
    assert np.median(cut) > 1.5 * np.median(found)


def test_a_long_loss_ends_in_silence(model, codes):
    for at in (40, 75, 130, 200):
        sound, gone = around_a_loss(model, codes, at, 40)
        level = np.sqrt((sound[gone].reshape(40, FRAME) ** 2).mean(1))
        before = np.sqrt((sound[: BEFORE * FRAME] ** 2).mean())
        assert (level[5:] < 0.5 * before).all()
        assert (level[20:] < 1e-3).all()
        assert (level[1:] < 1.5 * level[:-1].max()).all()
