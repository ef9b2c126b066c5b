"""Bytes in, bytes out: any cut, a reference at any rate with pauses, what does not fit."""

import logging
import re
import threading

import numpy as np
import pytest
import soxr
from agent_call import RATE, blocks, erle_db, near_kept_db, power_db

import voxhop
from voxhop.adapters.pcm import PcmEnhancer


def talk(enhancer, mic, ref, *, frames=160, player_rate=RATE, player_frames=None):
    """Return the output while `ref` is played in blocks of the player's own size and rate."""
    player = ref if player_rate == RATE else soxr.resample(ref, RATE, player_rate)
    played, size, out = 0, player_frames or frames, []
    for at in range(0, len(mic) - frames + 1, frames):
        while played * RATE < at * player_rate + frames * player_rate:
            enhancer.play(player[played : played + size].tobytes(), sample_rate=player_rate)
            played += size
        out.append(np.frombuffer(enhancer(mic[at : at + frames].tobytes()), "<i2"))
    return np.concatenate(out)


@pytest.mark.parametrize(
    ("player_rate", "player_frames", "frames"),
    [(16000, 160, 160), (24000, 960, 320), (44100, 1024, 333)],
)
def test_an_agents_own_playback_is_gone(model, call, player_rate, player_frames, frames):
    mic, ref = call
    with PcmEnhancer(model=model) as enhancer:
        out = talk(
            enhancer,
            mic,
            ref,
            frames=frames,
            player_rate=player_rate,
            player_frames=player_frames,
        )
        assert erle_db(mic, out, enhancer.latency_samples) > 25
        assert near_kept_db(mic, out, enhancer.latency_samples) > -3


def test_it_is_a_stream_whatever_the_cut(model, call):
    mic, ref = (track[:16000] for track in call)
    with voxhop.Stream(model, sample_rate=RATE) as stream:
        expected = stream.process(mic, ref)
    for frames in (1, 160, 4000):
        with PcmEnhancer(model=model) as enhancer:
            short = 800 if frames == 1 else len(mic)
            assert np.array_equal(
                talk(enhancer, mic[:short], ref[:short], frames=frames), expected[:short]
            )


def test_what_is_not_pushed_is_silence_and_moves_nothing(model, call):
    """An agent that pauses for 120 ms: the next word is where a player would be."""
    mic, ref = (track[: 3 * RATE].copy() for track in call)
    pause = slice(20800, 20800 + 1920)
    outs = []
    for pushed in (True, False):
        quiet = ref.copy()
        quiet[pause] = 0
        with PcmEnhancer(model=model) as enhancer:
            out = []
            for m, r in blocks(mic, quiet):
                if pushed or r.any():
                    enhancer.play(r.tobytes())
                out.append(np.frombuffer(enhancer(m.tobytes()), "<i2"))
            outs.append(np.concatenate(out))
    assert np.array_equal(*outs)


def test_speech_pushed_in_one_piece_plays_in_real_time(model, call):
    mic, ref = (track[: 3 * RATE] for track in call)
    with PcmEnhancer(model=model) as enhancer:
        enhancer.play(ref.tobytes())
        out = b"".join(enhancer(m.tobytes()) for (m,) in blocks(mic))
        found = erle_db(mic, np.frombuffer(out, "<i2"), enhancer.latency_samples)
    assert found > 25


def test_an_interruption_empties_the_player(model, call):
    mic, ref = call
    near = mic[96000:112000]
    outs = []
    for interrupted in (True, False):
        with PcmEnhancer(model=model) as enhancer:
            enhancer.play(ref[:48000].tobytes())
            if interrupted:
                enhancer.interrupt()
            out = b"".join(enhancer(m.tobytes()) for (m,) in blocks(near))
            outs.append((np.frombuffer(out, "<i2"), enhancer.metrics.ref_active))
    assert not outs[0][1]
    assert outs[1][1]


def test_a_pause_of_the_player_moves_nothing(model, call):
    """The player holds for half a second: what comes after is where it sounds."""
    mic, ref = (track[: 3 * RATE] for track in call)
    hold, at = 8000, 20800
    room = np.concatenate([mic[:at], np.zeros(hold, np.int16), mic[at:]])
    outs = []
    for told in (True, False):
        with PcmEnhancer(model=model, delay_ms=0.0) as enhancer:
            enhancer.play(ref.tobytes())
            out = []
            for i, (m,) in enumerate(blocks(room)):
                if told and i * 160 == at:
                    enhancer.pause()
                if told and i * 160 == at + hold:
                    enhancer.resume()
                out.append(np.frombuffer(enhancer(m.tobytes()), "<i2"))
            outs.append(np.concatenate(out)[at + hold + 8000 : 46400 + hold])
    loud = power_db(mic[at + 8000 : 46400])
    assert loud - power_db(outs[0]) > 20
    assert loud - power_db(outs[1]) < 12


def test_a_continuous_player_that_runs_fast_does_not_fall_behind(model):
    """A block too many each second of silence: the queue does not grow by them."""
    word = (np.random.default_rng(3).normal(0, 3000, 1600)).astype(np.int16)
    silence = np.zeros(160, np.int16)
    with PcmEnhancer(model=model) as enhancer:
        for i in range(6000):
            enhancer.play(silence.tobytes())
            if i % 10 == 0:
                enhancer.play(silence.tobytes())
            enhancer._playback.pull(160)
        enhancer.play(word.tobytes())
        heard = np.concatenate([enhancer._playback.pull(160) for _ in range(40)])
    assert np.flatnonzero(heard)[0] <= 1600
    assert np.count_nonzero(heard) > 1500


def test_a_player_on_a_thread_of_its_own(model, call):
    mic, ref = (track[:16000] for track in call)
    with PcmEnhancer(model=model) as enhancer:
        player = threading.Thread(
            target=lambda: [enhancer.play(r.tobytes()) for (r,) in blocks(ref)]
        )
        player.start()
        out = [enhancer(m.tobytes()) for (m,) in blocks(mic)]
        player.join()
        assert sum(map(len, out)) == 2 * len(mic)


def test_a_player_without_a_microphone_is_bounded_and_said_once(model, caplog):
    loud = np.full(RATE, 1000, np.int16).tobytes()
    with PcmEnhancer(model=model) as enhancer, caplog.at_level(logging.WARNING, "voxhop"):
        for _ in range(70):
            enhancer.play(loud)
        assert len(enhancer._playback.pull(80 * RATE).nonzero()[0]) == 60 * RATE
    assert caplog.text.count("is there a microphone?") == 1


@pytest.mark.parametrize(
    ("audio", "words"),
    [(b"abc", "3 bytes"), ("abcd", "str, expected bytes"), (np.zeros(4), "ndarray")],
)
def test_what_is_no_samples_is_refused_and_nothing_is_lost(model, call, audio, words):
    mic, ref = (track[:8000] for track in call)
    with PcmEnhancer(model=model) as enhancer, PcmEnhancer(model=model) as same:
        out = []
        for m, r in blocks(mic, ref):
            for use in (enhancer, enhancer.play):
                with pytest.raises(ValueError, match=words):
                    use(audio)
            enhancer.play(r.tobytes())
            same.play(r.tobytes())
            out.append((enhancer(m.tobytes()), same(m.tobytes())))
        assert all(a == b for a, b in out)
        with pytest.raises(voxhop.ArgumentError, match="sample_rate"):
            enhancer.play(b"ab", sample_rate=0)


def test_stereo_in_stereo_out(model, call):
    mic, ref = (track[:8000] for track in call)
    both = np.stack([mic, mic // 2], axis=1)
    with PcmEnhancer(channels=2, model=model) as enhancer:
        enhancer.play(np.repeat(ref, 2).tobytes(), channels=2)
        out = np.frombuffer(enhancer(both.tobytes()), "<i2").reshape(-1, 2)
    assert power_db(out[:, 0]) - power_db(out[:, 1]) == pytest.approx(6, abs=3)


def test_it_says_in_the_log_what_it_did(model, call, caplog):
    mic, ref = (track[: 3 * RATE] for track in call)
    with caplog.at_level(logging.INFO, "voxhop"), PcmEnhancer(model=model) as enhancer:
        talk(enhancer, mic, ref)
    (line,) = caplog.messages
    delay, erle = re.match(r"echo delay (\d+) ms .*, ERLE (\d+) dB, .* ms per hop", line).groups()
    assert 72 <= int(delay) <= 90
    assert int(erle) > 10
