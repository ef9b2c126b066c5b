"""Each condition of the simulation does what its name says, and nothing where it is not drawn."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.errors import ArgumentError
from voxhop.training.draw import Draw
from voxhop.training.simulation import devices, disturbances
from voxhop.training.simulation.acoustics import active_level
from voxhop.training.simulation.conditions import CONDITIONS, ConditionsConfig
from voxhop.training.simulation.simulate import Scenario, SimulationConfig, simulate
from voxhop.training.sounds import voices
from voxhop.training.sounds.corpus import SAMPLE_RATE, CorpusError

SAMPLES = 125 * 256
PLAIN = SimulationConfig(
    snr_db=(60, 60), quiet_snr_db=(60, 60), clipping=0, altered_reference=0, path_change=0,
    drift=0, near_gate=0, far_gate=0, near_dbfs=(-30, -30), near_to_echo_db=(0, 0), music=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(bank):
    """The bank with everything that conditions ask for."""
    return replace(bank, music=bank.speech, keyboard=bank.noise)


def make(bank, *names, scenario=Scenario.DOUBLE_TALK, share=1.0, clips=4, config=PLAIN):
    conditions = ConditionsConfig(**dict.fromkeys(names, share))
    which = torch.full((clips,), int(scenario))
    config = replace(config, conditions=conditions)
    return simulate(bank, config, Draw(3), samples=SAMPLES, scenario=which)


def spectrum(audio):
    """Mean power per Hz-wide bin, (clips, 8001)."""
    seconds = audio[:, : audio.shape[1] // SAMPLE_RATE * SAMPLE_RATE].reshape(
        len(audio), -1, SAMPLE_RATE
    )
    window = torch.hann_window(SAMPLE_RATE)
    return torch.fft.rfft(seconds * window).abs().square().mean(1)


def tonality(power):
    """Share of the power in the loudest hundred of 8001 bins."""
    return power.sort(1).values[:, -100:].sum(1) / power.sum(1)


@pytest.mark.parametrize("name", CONDITIONS)
def test_clips_that_are_not_drawn_keep_every_bit(whole, name):
    without, some = make(whole, clips=12), make(whole, name, share=0.5, clips=12)
    same = [
        torch.equal(a.mic, b.mic) and torch.equal(a.ref, b.ref)
        for a, b in zip(rows(without), rows(some), strict=True)
    ]
    assert 0 < sum(same) < len(same)
    none = make(whole, name, share=1e-9)
    assert torch.equal(none.mic, make(whole).mic)


def rows(clips):
    return [SimpleNamespace(mic=m, ref=r) for m, r in zip(clips.mic, clips.ref, strict=True)]


@pytest.mark.parametrize("name", ["hum", "whine", "beeps", "alarm", "fan", "keyboard", "offset"])
def test_disturbances_are_in_the_microphone_alone(whole, name):
    without, some = (make(whole, *c, scenario=Scenario.NEAR_END) for c in ((), (name,)))
    assert torch.equal(some.ref, without.ref)
    scale = some.target.norm(dim=1) / without.target.norm(dim=1)
    added = some.mic - without.mic * scale[:, None]
    assert (added.norm(dim=1) > 1e-3 * without.mic.norm(dim=1)).all()
    assert torch.allclose(some.target, without.target * scale[:, None], atol=1e-5)


def test_hum_stands_on_the_mains_and_its_harmonics():
    power = spectrum(disturbances.hum(None, Draw(1), 8, 2 * SAMPLE_RATE))
    for row in power:
        mains = 50 if row[48:53].sum() > row[57:63].sum() else 60
        near = sum(row[max(k * mains - 8, 0) : k * mains + 9].sum() for k in range(1, 42))
        assert near > 0.98 * row.sum()
        assert row[2 * mains - 5 : 2 * mains + 6].sum() > 1e-4 * row.sum()


def test_whines_are_steady_and_reach_high_and_low():
    sound = disturbances.whine(None, Draw(2), 64, 2 * SAMPLE_RATE)
    power = spectrum(sound)
    loudest = power.argmax(1)
    assert loudest.min() < 400
    assert 3000 < loudest.max() <= 7000
    assert (tonality(power) > 0.99).all()
    halves = sound.reshape(64, 2, -1).square().mean(2)
    assert (halves[:, 0] / halves[:, 1] - 1).abs().max() < 0.2


def test_beeps_pause():
    sound = disturbances.beeps(None, Draw(3), 16, 4 * SAMPLE_RATE)
    frames = sound.reshape(16, -1, 160).square().mean(2)
    silent = (frames < 1e-3 * frames.amax(1, keepdim=True)).float().mean(1)
    assert (silent > 0.3).all()
    assert (silent < 0.95).all()


def test_alarms_change_their_pitch():
    sound = disturbances.alarm(None, Draw(4), 8, 2 * SAMPLE_RATE)
    pieces = sound.reshape(8, -1, 1600)
    peaks = torch.fft.rfft(pieces * torch.hann_window(1600)).abs().argmax(2)
    assert (peaks.amax(1) > 1.1 * peaks.amin(1)).all()


def test_fans_have_tones_in_noise():
    shares = tonality(spectrum(disturbances.fan(None, Draw(5), 16, 2 * SAMPLE_RATE)))
    assert (shares > 0.03).all()
    assert (shares < 0.995).all()


def test_offsets_hold_nothing_that_is_heard():
    sound = disturbances.rumble(Draw(6), 32, 2 * SAMPLE_RATE)
    power = spectrum(sound)
    assert (power[:, :25].sum(1) > 0.9999 * power.sum(1)).all()
    means = sound.mean(1).abs()
    assert 0.1 < means.max() < 0.3
    assert means.min() < 0.05


@pytest.mark.parametrize("name", ["media", "singing"])
def test_far_ends_play_a_voice_with_music(whole, name):
    silence = replace(whole.music, samples=torch.zeros_like(whole.music.samples))
    with_music = make(whole, name).ref
    without = make(replace(whole, music=silence), name).ref
    assert not torch.equal(make(whole).ref, with_music)
    assert (without.norm(dim=1) > 0).all()  # the voice
    assert ((with_music - without).norm(dim=1) > 0.1 * without.norm(dim=1)).all()


def test_same_talker_is_on_both_ends(whole):
    """A speaker of one pitch each: near and far then share it."""
    clips = make(whole, "same_talker", clips=8)
    alike = pitch(clips.ref) - pitch(clips.near)
    assert (alike.abs() < 5).float().mean() > 0.8
    others = make(whole, clips=8)
    assert ((pitch(others.ref) - pitch(others.near)).abs() < 5).float().mean() < 0.5


def pitch(audio):
    """Hz of the lag of the strongest correlation, 100 to 300 Hz."""
    power = torch.fft.rfft(audio, 2 * SAMPLES).abs().square()
    lags = torch.fft.irfft(power)[:, 53:161]
    return SAMPLE_RATE / (lags.argmax(1) + 53.0)


def test_quick_answers_start_where_the_far_end_stops(whole):
    still = replace(PLAIN, delay_s=(0.0, 0.0))
    clips = make(whole, "quick_answer", config=still, clips=8)
    for ref, near in zip(clips.ref, clips.near, strict=True):
        stop = int(torch.nonzero(ref.abs() > 1e-4)[-1])
        start = int(torch.nonzero(near.abs() > 1e-3 * near.abs().max())[0])
        assert 0.25 * SAMPLES < stop < 0.65 * SAMPLES
        # A pause of the talkers' own may lie on either side.
        assert abs(start - stop) < 0.45 * SAMPLE_RATE
    assert (clips.near.abs().amax(1) > 0.01).all()


def test_faint_talkers_are_far_below_the_echo(whole):
    clips = make(whole, "faint_talker", clips=8)
    echo = clips.mic - clips.near
    ratio = 20 * torch.log10(active_level(clips.near) / active_level(echo))
    assert (ratio < -14).all()
    assert (ratio > -26.5).all()


def test_whispering_has_the_envelope_but_no_pitch():
    time = torch.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    voice = sum(torch.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 30))[None]
    loud = (torch.sin(2 * np.pi * 2 * time) > 0).float()
    voice = voice * loud
    breath = voices.whispered(voice, Draw(7).normal(1, 2 * SAMPLE_RATE))
    assert breath.shape == voice.shape
    assert tonality(spectrum(voice)) > 0.9
    assert tonality(spectrum(breath)) < 0.5
    quiet = breath[:, loud < 0.5].square().mean()
    assert quiet < 0.05 * breath[:, loud > 0.5].square().mean()


def test_children_are_higher_at_the_same_tempo():
    time = torch.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = torch.sin(2 * np.pi * 400 * time)[None] * (time < 1.0)
    high = voices.raised(tone, 1.4)
    assert high.shape == tone.shape
    assert abs(int(spectrum(high).argmax()) - 560) <= 3
    early, late = high[:, : SAMPLE_RATE - 800], high[:, SAMPLE_RATE + 800 :]
    assert late.square().mean() < 1e-3 * early.square().mean()


def test_held_voices_keep_their_pitch():
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = torch.sin(2 * np.pi * 400 * time)[None]
    held = voices.stretched(tone, 2.0)
    assert held.shape[1] == 2 * SAMPLE_RATE
    assert abs(int(spectrum(held).argmax()) - 400) <= 2


@pytest.mark.parametrize("name", ["whisper", "child"])
def test_changed_voices_are_the_target_too(whole, name):
    plain, changed = (make(whole, *c, scenario=Scenario.NEAR_END) for c in ((), (name,)))
    alike = (plain.target * changed.target).sum(1)
    alike = alike / (plain.target.norm(dim=1) * changed.target.norm(dim=1))
    assert (alike.abs() < 0.7).all()
    share = (changed.target * changed.near).sum(1)
    assert (share > 0.3 * changed.target.norm(dim=1) * changed.near.norm(dim=1)).all()


def test_small_loudspeakers_have_no_bass_and_bend():
    time = torch.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    far = (torch.sin(2 * np.pi * 100 * time) + torch.sin(2 * np.pi * 1000 * time))[None]
    power = spectrum(devices.small_loudspeaker(Draw(8), far.repeat(6, 1)))
    tone = power[:, 995:1006].sum(1)
    assert (power[:, 95:106].sum(1) < 0.1 * tone).all()
    mixed = power[:, 795:806].sum(1) + power[:, 1195:1206].sum(1) + power[:, 2995:3006].sum(1)
    assert (mixed > 1e-3 * tone).all()


def test_moving_paths_never_rest(whole):
    """One transfer function explains a still echo, and not a moving one."""
    still = replace(PLAIN, delay_s=(0.0, 0.0))
    left = []
    for names in ((), ("moving_path",)):
        clips = make(whole, *names, scenario=Scenario.FAR_END, config=still, clips=6)
        left.append(unexplained(clips.ref.numpy(), clips.mic.numpy()))
    assert np.median(np.divide(left[1], left[0])) > 1.3


def unexplained(refs, mics, taps=600):
    """Share of the microphone that a least-squares filter of the reference leaves."""
    from scipy.linalg import solve_toeplitz  # noqa: PLC0415
    from scipy.signal import fftconvolve  # noqa: PLC0415

    shares = []
    for ref, mic in zip(refs.astype("f8"), mics.astype("f8"), strict=True):
        n = len(ref)
        auto = fftconvolve(ref, ref[::-1])[n - 1 : n - 1 + taps]
        cross = fftconvolve(mic, ref[::-1])[n - 1 : n - 1 + taps]
        auto[0] *= 1.001
        echo = fftconvolve(ref, solve_toeplitz(auto, cross))[:n]
        shares.append(np.sum((mic - echo) ** 2) / np.sum(mic**2))
    return shares


def test_jitter_wanders_by_some_samples_and_is_in_the_label(whole):
    clips = make(whole, "jitter", scenario=Scenario.FAR_END)
    span = 256 * (clips.delay_frames.amax(1) - clips.delay_frames.amin(1))
    assert (span > 0.2).all()
    assert (span <= 10.0).all()
    steps = devices.wander(Draw(9), 8, SAMPLES).diff(dim=1).abs()
    assert steps.max() < 0.01  # never a jump


def test_automatic_gain_evens_levels_out():
    time = torch.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    mic = torch.sin(2 * np.pi * 300 * time)[None].repeat(6, 1)
    mic = mic * torch.where(time < 4, 0.3, 0.03)
    gain = devices.automatic_gain(Draw(10), mic)
    out = mic * gain
    before = mic[:, 3 * SAMPLE_RATE] / 1.0
    assert before.shape == (6,)
    late = [out[:, a * SAMPLE_RATE : (a + 1) * SAMPLE_RATE].square().mean(1) for a in (3, 7)]
    assert (10 * torch.log10(late[0] / late[1]) < 12).all()  # 20 dB went in
    assert gain.diff(dim=1).abs().max() < 0.05


def test_a_gain_of_the_device_is_in_the_target(whole):
    plain, ridden = make(whole), make(whole, "agc")
    ratio = ridden.near.norm(dim=1) / plain.near.norm(dim=1)
    alike = (ridden.near * plain.near).sum(1) / ridden.near.norm(dim=1) / plain.near.norm(dim=1)
    assert (alike > 0.5).all()
    assert ((ratio - 1).abs() > 0.01).all()


def test_suppressors_of_devices_take_steady_noise():
    noise = 0.05 * Draw(11).normal(4, 4 * SAMPLE_RATE)
    time = torch.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    voice = 0.5 * torch.sin(2 * np.pi * 500 * time) * (torch.sin(2 * np.pi * time) > 0.5)
    out = devices.device_suppressor(Draw(12), noise + voice)
    pause = torch.sin(2 * np.pi * time) < -0.2
    taken = 10 * torch.log10(noise[:, pause].square().mean(1) / out[:, pause].square().mean(1))
    assert (taken > 1.0).all()
    share = (out * voice).sum(1) / voice.square().sum()
    assert (share > 0.8).all()


@pytest.mark.parametrize(("name", "side"), [("telephone_mic", "mic"), ("telephone_ref", "ref")])
def test_telephones_are_narrow_on_their_side(whole, name, side):
    for condition, narrow in ((name, True), ("telephone_mic", side == "mic")):
        clips = make(whole, condition)
        power = spectrum(getattr(clips, side))
        high = power[:, 4200:].sum(1) / power[:, 500:3000].sum(1)
        assert (high < 1e-4).all() == narrow
    assert (make(whole, "telephone_mic").target.norm(dim=1) > 0).all()


def test_conditions_say_what_they_miss(bank):
    with pytest.raises(CorpusError, match="keyboard"):
        make(bank, "keyboard")
    with pytest.raises(CorpusError, match="expected music"):
        make(bank, "media")
    with pytest.raises(ArgumentError, match=r"conditions\.hum: 2, expected a chance"):
        ConditionsConfig(hum=2.0)
