"""The linear canceller does what its page says: finds rooms, spares talkers, does no harm."""

import numpy as np
import pytest

import tolerances
from signals import HOP, RATE, level, speech_like

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ShapeError
from voxhop.reference.canceller import Canceller
from voxhop.reference.canceller.location import place_of
from voxhop.reference.filterbank import Synthesis, stft_basis

PARTITIONS = 16
DELAY = 500  # samples


def room(seed, seconds=0.12):
    rng = np.random.default_rng(seed)
    tail = rng.standard_normal(round(seconds * RATE))
    tail *= 10 ** (-3 * np.arange(len(tail)) / len(tail))
    return np.concatenate((np.zeros(DELAY), 0.7 * tail / np.linalg.norm(tail)))


def through(room_, far):
    return np.convolve(far, room_)[: len(far)]


def frames(analysis, x):
    return analysis(torch.as_tensor(x)[None])[0]


def cancel(analysis, mic, ref, split=None):
    model = Canceller(PARTITIONS)
    spectrum, state, parts = frames(analysis, mic), None, []
    for start in range(0, len(mic), split or len(mic)):
        stop = start + (split or len(mic))
        m, r = (torch.as_tensor(x[start:stop])[None] for x in (mic, ref))
        heard = spectrum[:, start // HOP : stop // HOP]
        output, state = model.cancel(m, r, analysis, heard, state)
        parts.append(output)
    residual, echo = (
        torch.cat([getattr(p, key) for p in parts], 1) for key in ("residual", "echo")
    )
    return residual[0], echo[0], state


def decibels(a, b):
    return float(10 * torch.log10(a.square().sum() / b.square().sum()))


def test_known_room_is_found(analysis):
    rng = np.random.default_rng(1)
    far, truth = 0.05 * rng.standard_normal(250 * HOP), room(2)
    _, _, state = cancel(analysis, through(truth, far), far)
    taps = torch.fft.irfft(state.steady.weights[0], 2 * HOP)[:, :HOP].flatten().numpy()
    wrong = taps[: len(truth)] - truth
    assert np.sum(wrong**2) < 1e-3 * np.sum(truth**2)


def test_echo_goes_and_the_talker_stays(analysis, talkers):
    far, talker = talkers
    echo = level(through(room(4), far))
    talker = talker * (np.arange(len(far)) > 200 * HOP)
    residual, _, _ = cancel(analysis, echo + talker, far)
    left = residual - frames(analysis, talker)[0]
    echo, talker = (frames(analysis, x)[0] for x in (echo, talker))
    alone, both = slice(120, 200), slice(230, None)
    assert decibels(echo[alone], left[alone]) > 20
    assert decibels(echo[both], left[both]) > 20
    share = (left[both] * talker[both]).sum() / talker[both].square().sum()
    assert abs(float(20 * torch.log10(1 + share))) < 0.2


def test_path_change_is_learned_within_a_second_and_a_half(analysis):
    n, change = 400 * HOP, 200 * HOP
    far = level(np.random.default_rng(6).standard_normal(n))
    echo = np.where(np.arange(n) < change, through(room(7), far), through(room(8), far))
    residual, _, _ = cancel(analysis, echo, far)
    late = slice(200 + round(1.5 * RATE / HOP), None)
    assert decibels(frames(analysis, echo)[0][late], residual[late]) > 15


def test_jump_of_50_ms_is_learned_within_a_second_and_a_half(analysis, talkers):
    far, _ = talkers
    change = 200 * HOP
    later = np.concatenate((np.zeros(RATE // 20), room(8)))
    before, after = (level(through(path, far)) for path in (room(7), later))
    echo = np.where(np.arange(len(far)) < change, before, after)
    residual, _, _ = cancel(analysis, echo, far)
    late = slice(200 + round(1.5 * RATE / HOP), None)
    assert decibels(frames(analysis, echo)[0][late], residual[late]) > 15


def test_restarts_know_where_the_echo_is(analysis, talkers):
    """Its place is told while someone louder talks: 500 samples of delay are 2 partitions."""
    far, talker = talkers
    _, _, state = cancel(analysis, level(through(room(9), far)) + 2 * talker, far)
    place = place_of(state.location)
    assert int(place.share[0].argmax()) in (1, 2)
    assert float(place.evidence[0]) > 0.5
    _, _, state = cancel(analysis, talker, np.roll(far, RATE))
    assert float(place_of(state.location).evidence[0]) < 0.5


def test_pauses_stay_quiet_when_the_echo_moved(analysis, talkers):
    """The estimate of a path that is no more comes while the microphone hears nothing."""
    far, _ = talkers
    gap = far * (np.arange(len(far)) // (8 * HOP) % 2 == 0)
    later = np.concatenate((np.zeros(RATE // 10), room(11)))
    before, after = (level(through(path, gap)) for path in (room(10), later))
    mic = np.where(np.arange(len(far)) < 200 * HOP, before, after)
    residual, _, _ = cancel(analysis, mic, gap)
    synthesis = Synthesis(stft_basis()[1], 1.0).double()
    loud, heard = (windows(synthesis(x)[0]) for x in (residual[None], frames(analysis, mic)))
    assert float((10 * torch.log10(loud / heard)).max()) < 0.5


def windows(audio):
    """Power of 100 ms, those below -65 dBFS counted as that."""
    whole = audio.shape[1] // (RATE // 10) * (RATE // 10)
    return audio[0, :whole].view(-1, RATE // 10).square().mean(1) + 10**-6.5


@pytest.mark.parametrize("kind", ["unrelated speech", "unrelated tone", "clipped"])
def test_frames_never_become_louder(analysis, kind):
    n = 200 * HOP
    far = level(speech_like(n, 9))
    mic = {
        "unrelated speech": lambda: level(speech_like(n, 10)),
        "unrelated tone": lambda: 0.05 * np.sin(2 * np.pi * 997 / RATE * np.arange(n)),
        "clipped": lambda: np.clip(20 * through(room(11), far), -0.2, 0.2),
    }[kind]()
    residual, _, _ = cancel(analysis, mic, far)
    before = frames(analysis, mic)[0].square().sum((1, 2))
    assert torch.all(residual.square().sum((1, 2)) <= before * (1 + 1e-9) + 1e-12)


def test_unrelated_reference_takes_next_to_nothing(analysis, talkers):
    far, mic = talkers
    _, echo, _ = cancel(analysis, mic, far)
    assert decibels(frames(analysis, mic)[0], echo) > 20


def test_narrow_reference_does_not_unlearn(analysis):
    far = np.concatenate(
        (
            level(np.random.default_rng(14).standard_normal(150 * HOP)),
            0.05 * np.sin(2 * np.pi * 440 / RATE * np.arange(100 * HOP)),
            level(np.random.default_rng(15).standard_normal(20 * HOP)),
        )
    )
    echo = through(room(16), far)
    residual, _, _ = cancel(analysis, echo, far)
    again = slice(252, None)
    assert decibels(frames(analysis, echo)[0][again], residual[again]) > 15


def test_silent_reference_changes_nothing(analysis):
    mic = level(speech_like(60 * HOP, 17))
    residual, echo, _ = cancel(analysis, mic, np.zeros_like(mic))
    assert not echo.any()
    assert torch.equal(residual, frames(analysis, mic)[0])


def test_hops_and_whole_clips_are_one_computation(analysis):
    far = level(speech_like(80 * HOP, 18))
    mic = through(room(19), far)
    whole = cancel(analysis, mic, far)[0]
    hops = cancel(analysis, mic, far, split=HOP)[0]
    assert float((whole - hops).abs().max()) < tolerances.F64_REORDERED * float(whole.abs().max())


def test_clips_of_a_batch_do_not_touch(analysis):
    far = np.stack([level(speech_like(60 * HOP, seed)) for seed in (20, 21)])
    mic = np.stack([through(room(22), far[0]), level(speech_like(60 * HOP, 23))])
    model = Canceller(PARTITIONS)
    mic_, far_ = torch.tensor(mic), torch.tensor(far)
    both, _ = model.cancel(mic_, far_, analysis, analysis(mic_)[0])
    one = cancel(analysis, mic[0], far[0])[0]
    assert float((both.residual[0] - one).abs().max()) < 1e-10


def test_nothing_is_known_before_it_was_heard(analysis):
    far = level(speech_like(60 * HOP, 24))
    mic = through(room(25), far)
    other = mic.copy()
    other[40 * HOP :] = 0.0
    assert torch.equal(cancel(analysis, mic, far)[0][:40], cancel(analysis, other, far)[0][:40])


def test_shapes_and_tails_are_named():
    with pytest.raises(ValueError, match="partitions: 15, expected 16, 32 or 48"):
        Canceller(15)
    with pytest.raises(ShapeError, match="expected"):
        Canceller().estimate(torch.zeros(1, 300), torch.zeros(1, 300))
