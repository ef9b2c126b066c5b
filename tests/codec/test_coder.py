"""Live coding: any amount at a time, states, forks, lost frames, and what is refused."""

import copy
import threading
import time

import numpy as np
import pytest

import tolerances
from voxhop import ArgumentError, CodecDecoder, CodecEncoder, DtypeError, ShapeError, StateError


def pieces(total, seed):
    """Yield slices that cover so many samples or frames, some of them empty."""
    rng, at = np.random.default_rng(seed), 0
    while at < total:
        size = int(rng.choice([0, 1, 7, 239, 240, 241, 480, 1000, 5000]))
        yield slice(at, min(at + size, total))
        at += size


def encoded(encoder, pcm, seed=None):
    if seed is None:
        return encoder.push(pcm)
    return np.concatenate([encoder.push(pcm[piece]) for piece in pieces(len(pcm), seed)])


def test_codes_of_the_golden_set(model, pcm, codes):
    with CodecEncoder(model) as encoder:
        assert (encoder.sample_rate, encoder.frame_length, encoder.groups) == (24000, 480, 24)
        found = encoder.push(pcm)
    assert found.dtype == np.uint8
    assert (found == codes).all()


@pytest.mark.parametrize("kbps", [1, 6])
def test_sound_of_the_golden_set(model, codes, sounds, kbps):
    with CodecDecoder(model, kbps=kbps) as decoder:
        found = decoder.push(codes)
    assert found.dtype == np.float32
    assert np.abs(found - sounds[kbps]).max() <= tolerances.SUBLIME_ABSOLUTE


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("seed", range(3))
def test_any_split_is_the_whole(model, pcm, dtype, seed):
    sound = pcm if dtype == np.float32 else np.rint(pcm * 20000).astype(np.int16)
    with CodecEncoder(model) as one, CodecEncoder(model) as other:
        whole = encoded(one, sound)
        split = encoded(other, sound, seed)
        assert (split == whole).all()
        assert (one.flush() == other.flush()).all()
    with CodecDecoder(model) as one, CodecDecoder(model) as other:
        whole_sound = one.push(whole)
        rng, at, parts = np.random.default_rng(seed), 0, []
        while at < len(whole):
            size = int(rng.integers(0, 9))
            parts.append(other.push(whole[at : at + size]))
            at += size
        assert np.array_equal(np.concatenate(parts), whole_sound)


def test_a_code_is_ready_with_half_of_its_frame(model, pcm):
    with CodecEncoder(model) as encoder:
        counts = [len(encoder.push(pcm[i : i + 1])) for i in range(1000)]
        assert np.flatnonzero(counts).tolist() == [239, 719]
        assert encoder.latency_samples == 240
        assert encoder.push(pcm[:0]).shape == (0, 24)
    with CodecDecoder(model) as decoder:
        assert decoder.latency_samples == 480
        assert decoder.push(np.zeros((0, 24), np.uint8)).shape == (0,)


@pytest.mark.parametrize("samples", [0, 1, 239, 240, 480, 481, 959, 4800])
def test_flush_completes_the_last_samples_and_starts_again(model, pcm, samples):
    with CodecEncoder(model) as encoder:
        found = np.concatenate([encoder.push(pcm[:samples]), encoder.flush()])
        assert len(found) == -(-samples // 480) + 1
        padded = np.concatenate([pcm[:samples], np.zeros(960, np.float32)])
        assert (encoder.push(padded)[: len(found)] == found).all()


def test_rates_change_between_pushes(model, codes):
    with CodecDecoder(model) as decoder, CodecDecoder(model, kbps=1) as low:
        first = decoder.push(codes[:10], kbps=1)
        assert np.array_equal(first, low.push(codes[:10, :4]))
        assert decoder.kbps == 6
        state = decoder.state()
        high = decoder.push(codes[10:20])
        decoder.load_state(state)
        decoder.kbps = 1
        again = decoder.push(codes[10:20])
        assert np.array_equal(again, low.push(codes[10:20]))
        assert not np.array_equal(high, again)
        # More than was sent cannot be heard.
        assert np.array_equal(decoder.push(codes[20:, :4], kbps=6), low.push(codes[20:]))


def test_whole_numbers_out(model, codes):
    with CodecDecoder(model) as one, CodecDecoder(model) as other:
        exact = one.push(codes).astype(np.float64) * 32768
        found = other.push(codes, dtype=np.int16)
    assert found.dtype == np.int16
    assert np.abs(found - np.clip(exact, -32768, 32767)).max() <= 0.51


def test_lost_frames_repeat_the_last_and_fade_to_silence(model, codes):
    with CodecDecoder(model) as one, CodecDecoder(model) as other:
        assert not one.conceal(3).any()  # nothing was heard yet
        one.reset()
        for decoder in (one, other):
            decoder.push(codes[:30])
        repeated = other.push(np.repeat(codes[29:30], 1, axis=0))
        assert np.array_equal(one.conceal(1), repeated)
        more = one.conceal(60)
        assert more.shape == (60 * 480,)
        level = np.sqrt((more.reshape(60, 480) ** 2).mean(1))
        loud = np.sqrt((repeated**2).mean())
        assert level[1] > 0.1 * loud
        assert (level[20:] < 1e-2 * loud).all()
        assert not level[-20:].any()
        # What arrives is heard as it is, once the windows of silence are over.
        again, never = one.push(codes[40:]), other.push(codes[40:])
        settled = one.memory_frames * 480
        assert np.array_equal(again[settled:], never[settled:])
        assert one.conceal(0).shape == (0,)
        assert one.conceal(2, dtype="int16").dtype == np.int16


@pytest.mark.parametrize("samples", [0, 5, 240, 1111])
def test_states_go_on_where_they_were(model, pcm, samples):
    with CodecEncoder(model) as one, CodecEncoder(model) as other:
        one.push(pcm[:samples])
        state = one.state()
        expected = [one.push(pcm[samples:9000]), one.flush()]
        other.push(pcm[:777])
        other.load_state(state)
        fork = other.fork()
        assert all(
            np.array_equal(a, b)
            for a, b in zip(expected, [other.push(pcm[samples:9000]), other.flush()], strict=True)
        )
        with fork, copy.deepcopy(fork) as copied:
            for follower in (fork, copied):
                assert (follower.push(pcm[samples:9000]) == expected[0]).all()
        one.push(pcm[:300])
        one.reset()
        assert (one.push(pcm[:5000]) == other.push(pcm[:5000])).all()


def test_states_of_a_decoder(model, codes):
    with CodecDecoder(model) as one, CodecDecoder(model) as other:
        one.push(codes[:20])
        one.kbps = 1
        other.load_state(one.state())
        assert other.kbps == 1
        with one.fork() as fork:
            expected = one.push(codes[20:40])
            assert np.array_equal(other.push(codes[20:40]), expected)
            assert np.array_equal(fork.push(codes[20:40]), expected)
        one.reset()
        with CodecDecoder(model, kbps=1) as new:
            assert np.array_equal(one.push(codes[:5]), new.push(codes[:5]))


def test_states_that_do_not_fit(model, pcm):
    with CodecEncoder(model) as encoder, CodecDecoder(model) as decoder:
        encoder.push(pcm[:100])
        state = encoder.state()
        for blob, error in [
            (decoder.state(), StateError),
            (b"", StateError),
            (state[:20], StateError),
            (state[:-1], (ShapeError, StateError)),
            (state[:4] + b"\xff" * 4 + state[8:], StateError),
        ]:
            with pytest.raises(error):
                encoder.load_state(blob)
        assert encoder.state() == state


def test_memory_of_the_decoder(model, codes):
    other = codes.copy()
    other[:5] = (other[:5] + 7) % 32
    with CodecDecoder(model) as one, CodecDecoder(model) as two:
        memory = one.memory_frames
        changed = (one.push(codes) != two.push(other)).reshape(-1, 480).any(1)
    assert not changed[5 + memory :].any()
    assert changed[: 5 + memory - 1].any()
    assert memory == 2 * 2 + 8 + 2 + 1


@pytest.mark.parametrize(
    ("pcm", "error", "message"),
    [
        ([0.0], DtypeError, "list, expected a numpy array"),
        (np.zeros(4), DtypeError, "dtype float64"),
        (np.zeros((4, 1), np.float32), ShapeError, r"shape \(4, 1\)"),
        (np.array([0, np.nan], np.float32), ArgumentError, "sample 1 is not finite"),
    ],
)
def test_sound_that_is_none(model, pcm, error, message):
    with CodecEncoder(model) as encoder:
        state = encoder.state()
        with pytest.raises(error, match=message):
            encoder.push(pcm)
        assert encoder.state() == state


def test_codes_that_are_none(model):
    with CodecDecoder(model) as decoder:
        state = decoder.state()
        for codes, error in [
            (np.full((2, 24), 32, np.uint8), ArgumentError),
            (np.full((2, 24), 255, np.uint8), ArgumentError),
            (np.zeros((2, 23), np.uint8), ShapeError),
            (np.zeros(24, np.uint8), ShapeError),
            (np.zeros((2, 24), np.float32), DtypeError),
        ]:
            with pytest.raises(error, match="codes"):
                decoder.push(codes)
        with pytest.raises(ArgumentError, match="kbps: 3"):
            decoder.kbps = 3
        with pytest.raises(ArgumentError, match="frames: -1"):
            decoder.conceal(-1)
        with pytest.raises(DtypeError, match="float64"):
            decoder.push(np.zeros((1, 24), np.uint8), dtype=np.float64)
        assert decoder.state() == state


def test_models_that_are_no_codec(model):
    with pytest.raises(ArgumentError, match="localvqe, expected a speech codec"):
        CodecEncoder("voxhop-localvqe-1.3M")
    with pytest.raises(ArgumentError, match="holds encoder, decoder, expected the front-end"):
        CodecEncoder(model, enhance=True)
    with pytest.raises(ArgumentError, match="tempo"):
        CodecDecoder(model, tempo=2)


def test_a_path_will_do_and_closed_is_closed(model_path, pcm):
    encoder = CodecEncoder(model_path, precision="f16")
    assert encoder.session.options.precision == "f16"
    encoder.close()
    encoder.close()
    for use in (lambda: encoder.push(pcm), encoder.state, encoder.flush, encoder.fork):
        with pytest.raises(StateError):
            use()


def test_two_threads_at_once_are_refused(model, pcm):
    until = time.monotonic() + 60  # of a machine that lets one thread wait for the other's end
    errors = []
    with CodecEncoder(model) as encoder:

        def work():
            while not (errors or time.monotonic() > until):
                try:
                    encoder.push(pcm)
                except StateError as error:  # noqa: PERF203 - the point of the test
                    errors.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors
    assert "two threads at once" in errors[0]


def test_the_front_end_is_a_frame_later(tmp_path, pcm):
    torch = pytest.importorskip("torch", reason="needs the torch extra")
    from sublime_shapes import SMALL  # noqa: PLC0415

    from voxhop.export.sublime import write_sublime  # noqa: PLC0415
    from voxhop.reference.sublime import random_sublime  # noqa: PLC0415

    reference = random_sublime(SMALL, 4)
    path = tmp_path / "both.gguf"
    write_sublime(reference, path)
    sound = np.ascontiguousarray(pcm[:12000])
    with torch.no_grad():
        scores, _ = reference.scores(torch.from_numpy(sound)[None], part="frontend")
    best, second = scores[0].topk(2).values.unbind(-1)
    clear = (best - second).numpy() > 1e-4
    with CodecEncoder(path, enhance=True) as encoder:
        assert encoder.latency_samples == 720
        found = encoded(encoder, sound, 0)
        assert found.shape == (24, 24)
        assert (found == scores[0].argmax(-1).numpy())[clear].all()
        assert clear.mean() > 0.99
        rest = encoder.flush()
        assert len(found) + len(rest) == 26
        assert len(encoder.push(sound)) == 24
