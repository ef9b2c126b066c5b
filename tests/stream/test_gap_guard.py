"""Lost stretches of the reference: what the guard holds back, and what it must not."""

import numpy as np
import pytest
import rooms

import tolerances
from voxhop.stream import Stream

RATE = rooms.RATE
BLOCK = 320


@pytest.fixture(scope="module")
def far(call):
    return rooms.speech(call[1], 14, seed=1).astype(np.float32)


def run(model, mic, far, lost, **settings):
    """Feed blocks of 20 ms, those in `lost` without a reference; return aligned output."""
    parts = []
    with Stream(model, sample_rate=RATE, auto_bypass=False, **settings) as stream:
        for i, at in enumerate(range(0, len(mic), BLOCK)):
            part = slice(at, at + BLOCK)
            parts.append(stream.process(mic[part], None if i in lost else far[part]))
        parts.append(stream.flush())
        return np.concatenate(parts)[stream.latency_samples :]


def erle_db(mic, out, start_s=5):
    start = start_s * RATE
    return 10 * np.log10(np.mean(mic[start:] ** 2) / np.mean(out[start:] ** 2))


def loud_blocks(far, count):
    """Return blocks in which the far end sounds, drawn at random."""
    power = np.mean(far[: len(far) // BLOCK * BLOCK].reshape(-1, BLOCK) ** 2, axis=1)
    loud = np.flatnonzero(power > 0.5 * np.mean(power))
    return np.random.default_rng(3).choice(loud, count, replace=False)


@pytest.mark.parametrize(("blocks", "limit"), tolerances.STREAM_LOSS_DB.items())
def test_lost_blocks_cost_little_of_the_erle(model, far, blocks, limit):
    """5 % lost, all of it sounding; without the guard the echo of each block comes through."""
    mic = rooms.echo(far, 22, 0.12).astype(np.float32)
    first = loud_blocks(far, len(far) // BLOCK // blocks // 20)
    lost = {int(at) + i for at in first for i in range(blocks)}
    whole = erle_db(mic, run(model, mic, far, set()))
    guarded = erle_db(mic, run(model, mic, far, lost))
    plain = erle_db(mic, run(model, mic, far, lost, missing_ref="zeros", gap_guard=False))
    assert whole - guarded < limit
    assert guarded > plain + 3.0


def test_a_louder_talker_is_heard_through_a_gap(model, call, far):
    """Near speech 10 dB over the echo begins inside the gap: most of it passes."""
    echo = rooms.echo(far, 22, 0.12)
    near = rooms.speech(call[0], 14, seed=5)
    talk = np.zeros(len(far))
    lost = set()
    for start in (5.0, 7.0, 9.0, 11.0):
        at = round(start * RATE)
        piece = near[at : at + 3200]
        talk[at : at + 3200] = np.sqrt(10) * 0.05 * piece / piece.std()
        first = round((start - 0.12) * RATE) // BLOCK
        lost |= set(range(first, first + 5))
    mic = (echo + talk).astype(np.float32)
    spoken = talk != 0
    guarded, plain = (run(model, mic, far, lost, gap_guard=guard) for guard in (True, False))
    level = 10 * np.log10(np.mean(guarded[spoken] ** 2) / np.mean(plain[spoken] ** 2))
    assert level > tolerances.STREAM_GAP_NEAR_DB


def test_the_guard_ends_with_a_long_gap(model, far):
    """A reference that stays away: soon after 0.3 s the output is what it is without."""
    mic = rooms.echo(far, 22, 0.12).astype(np.float32)
    lost = set(range(8 * RATE // BLOCK, 10 * RATE // BLOCK))
    guarded, plain = (run(model, mic, far, lost, gap_guard=guard) for guard in (True, False))
    gap = slice(round(8.14 * RATE), round(8.3 * RATE))
    settled = slice(round(8.8 * RATE), round(9.8 * RATE))
    assert np.mean(guarded[gap] ** 2) < 0.3 * np.mean(plain[gap] ** 2)
    assert np.array_equal(guarded[settled], plain[settled])
    assert np.array_equal(guarded[: 8 * RATE - 256], plain[: 8 * RATE - 256])


def test_a_gap_that_was_silent_holds_nothing_back(model, call, far):
    """No echo before the gap, so nothing is known of one and the talker is not touched."""
    silent = np.zeros_like(far)
    mic = rooms.speech(call[0], 14, seed=5).astype(np.float32)
    lost = set(range(8 * RATE // BLOCK, 8 * RATE // BLOCK + 5))
    guarded, plain = (run(model, mic, silent, lost, gap_guard=guard) for guard in (True, False))
    assert np.array_equal(guarded, plain)
