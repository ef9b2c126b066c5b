"""Steady tones are found and taken, moving ones followed, and everything else is left alone."""

import numpy as np
import pytest

import tolerances
from signals import HOP, RATE, level

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.reference.tone_canceller import IDLE_HOPS, TONES, cancel_tones

N = 400 * HOP
TIME = np.arange(N) / RATE


@pytest.fixture(scope="module")
def speakers(talkers):
    """Without the recording's own hum of 60 Hz."""
    spectra = np.fft.rfft(np.stack(talkers))
    spectra[:, : 80 * N // RATE] = 0
    return np.fft.irfft(spectra)


def tone(hertz, db=0.0):
    """Return a tone as loud as a talker of `level`; `hertz` may change with time."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, N)) / RATE
    return 10 ** (db / 20) * level(np.sin(phase + 1.0))


def cancel(*mics):
    left, state = cancel_tones(torch.as_tensor(np.stack(mics)))
    return left.numpy(), state


def db(x):
    """Return the energy from 2 s on against a talker's."""
    return 10 * np.log10(np.mean(x[2 * RATE :] ** 2) / 0.05**2)


@pytest.mark.parametrize("hertz", [50.0, 107.3, 1000.0, 7103.0])
def test_a_tone_under_speech_is_gone(speakers, hertz):
    speech = speakers[0]
    (left,), state = cancel(speech + tone(hertz))
    assert db(left - speech) < -25
    found = state.tones.rate[0][state.tones.amplitude[0] != 0] * RATE / (2 * np.pi)
    assert float((found - hertz).abs().min()) < 0.1


def test_a_hum_is_gone(speakers):
    speech = speakers[0]
    hum = level(sum(tone(60.0 * k) for k in range(1, 9)))
    (left,), _ = cancel(speech + hum)
    assert db(left - speech) < -10


def test_moving_tones_are_followed(speakers):
    speech = speakers[0]
    moving = tone(1000 + 0.5 * np.sin(2 * np.pi * TIME / 5))
    swelling = tone(600.0) * (1 + 0.5 * np.sin(2 * np.pi * 0.7 * TIME))
    left, _ = cancel(speech + moving, speech + swelling)
    assert max(db(one - speech) for one in left) < -15


def test_speech_and_noise_are_left_alone(speakers):
    noise = 0.1 * np.random.default_rng(1).standard_normal(N)
    mics = (*speakers, noise, np.zeros(N))
    left, state = cancel(*mics)
    assert np.array_equal(left, np.stack(mics))
    assert not state.tones.amplitude.any()


def test_talkers_keep_their_level(speakers):
    speech = speakers[1]
    (left,), _ = cancel(speech + tone(400.0))
    part = slice(2 * RATE, None)
    gain = left[part] @ speech[part] / (speech[part] @ speech[part])
    assert abs(20 * np.log10(gain)) < 0.1


def test_a_tone_that_ends_is_forgotten(speakers):
    speech = speakers[0]
    on = TIME < 3
    (left,), state = cancel(speech + tone(1500.0) * on)
    assert not state.tones.amplitude.any()
    assert np.array_equal(left[5 * RATE :], speech[5 * RATE :])
    assert (
        10 * np.log10(np.mean((left - speech)[2 * RATE : 3 * RATE] ** 2) / np.mean(speech**2)) < -20
    )


def test_what_was_not_there_for_a_second_is_forgotten():
    _, state = cancel(tone(1500.0))
    gone = state.tones._replace(fit=-10 * state.tones.power)
    hop = torch.as_tensor(tone(1500.0)[None, :HOP])
    for idle, stays in ((IDLE_HOPS - 1, True), (IDLE_HOPS, False)):
        tones = gone._replace(idle=torch.full_like(gone.idle, idle))
        _, after = cancel_tones(hop, state._replace(tones=tones))
        assert bool(after.tones.amplitude.any()) == stays


@pytest.mark.parametrize(("turned", "found"), [(0.0, True), (np.pi, False)])
def test_a_second_sight_has_the_phase_of_the_first(turned, found):
    mic = torch.as_tensor(tone(1000.0)[None])
    _, state = cancel_tones(mic[:, : 60 * HOP])
    assert state.seen.any()
    assert not state.tones.amplitude.any()
    _, state = cancel_tones(
        mic[:, 60 * HOP : 80 * HOP], state._replace(phases=state.phases + turned)
    )
    assert bool(state.tones.amplitude.any()) == found


def test_it_has_room_for_sixteen():
    many = sum(tone(300.0 * k, -20.0) for k in range(1, 21))
    (left,), state = cancel(many)
    assert TONES - 2 <= int((state.tones.amplitude != 0).sum()) <= TONES
    assert db(left) < db(many) - 3


def test_any_split_and_any_batch_is_the_whole(speakers):
    mics = np.stack((speakers[0] + tone(50.0), speakers[1] + tone(1234.5), speakers[1]))
    whole, _ = cancel(*mics)
    state, parts = None, []
    for start in range(0, N, 25 * HOP):
        part, state = cancel_tones(torch.as_tensor(mics[:, start : start + 25 * HOP]), state)
        parts.append(part.numpy())
    alone = np.concatenate([cancel(mic)[0] for mic in mics])
    for other in (np.concatenate(parts, 1), alone):
        assert np.abs(other - whole).max() < tolerances.F64_REORDERED * np.abs(whole).max()
