"""The follower takes what moves too fast for the long filters, wherever it is, and harms nobody."""

import numpy as np
import pytest

import tolerances
from signals import HOP, RATE, level

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.reference.canceller import Canceller
from voxhop.reference.canceller.follower import FOLLOWED_HOPS, follow_echo

PARTITIONS = 16
HOPS = 400


def swaying(far, delay):
    """The echo of a path that goes to and fro between two rooms once in a second."""
    rng = np.random.default_rng(1)
    tail = 10 ** (-3 * np.arange(1600) / 1600)
    rooms = (np.r_[np.zeros(delay), tail * rng.standard_normal(1600)] for _ in range(2))
    one, other = (level(np.convolve(far, room)[: len(far)]) for room in rooms)
    share = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(far)) / RATE)
    return one * (1 - share) + other * share


def cancel(analysis, mic, ref, *, follow, split=HOPS):
    """Return residual, echo (T, F, 2) and the last state."""
    model, state, parts = Canceller(PARTITIONS, follow=follow), None, []
    spectrum = analysis(torch.as_tensor(mic)[None])[0]
    for start in range(0, HOPS, split):
        part = slice(start * HOP, (start + split) * HOP)
        pair = (torch.as_tensor(x[part])[None] for x in (mic, ref))
        output, state = model.cancel(*pair, analysis, spectrum[:, start : start + split], state)
        parts.append(output)
    joined = (torch.cat([getattr(p, key) for p in parts], 1)[0] for key in ("residual", "echo"))
    return (*joined, state)


def energy(x):
    return float(x[HOPS // 4 :].square().sum())


@pytest.mark.parametrize("delay", [300, 2800])
def test_a_moving_path_is_followed_wherever_it_is(analysis, talkers, delay):
    far = talkers[0]
    echo = swaying(far, delay)
    without, _, _ = cancel(analysis, echo, far, follow=False)
    residual, _, state = cancel(analysis, echo, far, follow=True)
    assert energy(residual) < 0.4 * energy(without)
    first, strongest = int(state.follower.first[0]), delay // HOP
    assert first <= strongest < first + FOLLOWED_HOPS


def test_a_talker_stays(analysis, talkers):
    far, talker = talkers
    echo = swaying(far, 300)
    talker = 2 * talker
    residual, taken, _ = cancel(analysis, echo + talker, far, follow=True)
    spectrum = analysis(torch.as_tensor(talker)[None])[0][0]
    assert energy(residual - spectrum) < 0.5 * energy(analysis(torch.as_tensor(echo)[None])[0][0])
    share = (residual - spectrum)[HOPS // 4 :] * spectrum[HOPS // 4 :]
    assert abs(float(share.sum())) / energy(spectrum) < 0.06
    heard = analysis(torch.as_tensor(echo + talker)[None])[0][0]
    assert torch.allclose(residual + taken, heard, atol=1e-12)


def test_a_reference_that_is_not_heard_takes_nothing(analysis, talkers):
    """Somebody with headphones on: what is found by chance in one voice of another stays there."""
    far, talker = talkers
    without, _, _ = cancel(analysis, talker, far, follow=False)
    residual, _, _ = cancel(analysis, talker, far, follow=True)
    assert energy(residual - without) < 0.004 * energy(without)  # without a proof 0.013


def test_any_split_is_the_whole(analysis, talkers):
    far, talker = talkers
    mic = swaying(far, 2800) + talker
    whole, _, _ = cancel(analysis, mic, far, follow=True)
    parts, _, _ = cancel(analysis, mic, far, follow=True, split=25)
    assert float((whole - parts).abs().max()) < tolerances.F64_REORDERED * float(whole.abs().max())


def test_no_frame_becomes_louder():
    torch.manual_seed(2)
    left, ref = torch.randn(2, 3, 60, 256, 2, dtype=torch.float64)
    left[:, 30:] *= 0.01  # what was learned of loud frames is too much
    nowhere = torch.full((3, 60), -1)
    after, _ = follow_echo(left, ref, nowhere, PARTITIONS, None)
    power, before = (x.square().sum((2, 3)) for x in (after, left))
    assert bool((power <= before * (1 + 1e-9)).all())
    assert bool((power[:, :30] < 0.9 * before[:, :30]).any())


def test_doubt_ends_in_silence():
    """After a minute without a reference it is no quicker to believe than at the start."""
    torch.manual_seed(3)
    left, ref = torch.randn(2, 1, 40, 256, 2, dtype=torch.float64)
    nowhere = torch.full((1, 4000), -1)
    _, state = follow_echo(left, ref, nowhere[:, :40], PARTITIONS, None)
    silence = torch.zeros(1, 3750, 256, 2, dtype=torch.float64)
    after, state = follow_echo(silence, silence, nowhere[:, :3750], PARTITIONS, state)
    assert not after.any()
    energy = state.weights.abs().square().sum(1)
    assert float((state.uncertainty.amax(1) / (0.1 + energy)).max()) <= 1 + 1e-9
