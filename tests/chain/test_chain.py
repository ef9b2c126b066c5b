"""`voxhop.Chain`: the links one after the other, at any block length, with one latency."""

import copy
import pickle
import threading
import time

import numpy as np
import pytest

import voxhop
from gguf_bytes import U32, tiny_localvqe
from voxhop.errors import ArgumentError, DtypeError, EngineError, ShapeError, StateError

RATES = [
    pytest.param({}, id="16"),
    pytest.param({"sample_rate": 48000}, id="48"),
    pytest.param({"sample_rate": 8000, "out_sample_rate": 16000}, id="8-16"),
    pytest.param({"sample_rate": 44100, "out_sample_rate": 24000}, id="44.1-24"),
]
SPLITS = ([9000], [1, 2, 3, 500, 0, 1000, 7, 7487], [160] * 56 + [40])


def run(chain, mic, ref, sizes):
    """Return everything that blocks of these sizes give, and the tail."""
    out, at = [], 0
    for n in sizes:
        part = slice(at, at + n)
        out.append(chain.process(mic[part], None if ref is None else ref[part]))
        at += n
    return np.concatenate([*out, chain.flush()])


@pytest.mark.parametrize("rates", RATES)
def test_any_split_gives_the_same_bits(echo, restorer, sounds, rates):
    with voxhop.Chain([echo, restorer, echo], **rates) as chain:
        whole, *split = (run(chain, *sounds, sizes) for sizes in SPLITS)
        factor = chain.out_sample_rate / chain.sample_rate
        assert len(whole) == int(9000 * factor) + chain.latency_samples
    assert np.abs(whole).max() > 1e-3
    assert all(np.array_equal(whole, other) for other in split)


@pytest.mark.parametrize("rates", [(1000, 8000), (8000, 192000), (192000, 11025), (22050, 22050)])
def test_queues_are_large_enough_at_all_rates(echo, restorer, sounds, rates):
    """Were one too small, large blocks would lose samples that single ones do not."""
    in_rate, out_rate = rates
    with voxhop.Chain([echo, restorer, echo], sample_rate=in_rate, out_sample_rate=out_rate) as c:
        whole = run(c, *sounds, [9000])
        assert np.array_equal(run(c, *sounds, [1] * 2000 + [7000]), whole)
        assert np.array_equal(run(c, *sounds, [1023] * 8 + [1, 815]), whole)
    assert np.abs(whole).max() > 1e-4


def test_it_is_the_sessions_one_after_the_other(echo, restorer, sounds):
    mic, ref = (x[:8960] for x in sounds)
    with voxhop.Chain([echo, restorer]) as chain:
        out = run(chain, mic, ref, [8960])[chain.latency_samples :]
    how = {"precision": "auto"}
    with echo.session(**how) as one, restorer.model.session(solver="euler1", **how) as two:
        size = one.hop_length
        late = one.latency_samples
        hops = zip(*(np.pad(x, (0, 40 * size)).reshape(-1, size) for x in (mic, ref)), strict=True)
        first = np.concatenate([one.process_hop(m, r) for m, r in hops])[late:]
        level = voxhop.LevelFollower(256, 16000, two.latency_samples)
        hops = first[: 36 * 256].reshape(-1, 256)
        second = np.concatenate([level.lower(two.process_hop(level.lift(x))) for x in hops])
    expected = second[256 : 256 + 8960]
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("rates", RATES[:3])
def test_latency_by_sweep_is_the_figure(echo, sounds, rates):
    """A change of the input moves no output before its own sample, and one output right there.

    Were the figure one larger, the earliest change would always come a sample late; one
    smaller, and a block would find no output ready. The last taps of the two conversions'
    filters are next to nothing.
    """
    with voxhop.Chain([echo, echo], **rates) as chain:
        chain.process(sounds[0][:1500], sounds[1][:1500])
        ratio = (chain.out_sample_rate, chain.sample_rate)
        hop = 32 * chain.sample_rate // 16000 + 1
        earliest = []
        for n in range(1500, 1500 + hop):
            loud = np.full(2000, 1e4, np.float32)  # the ends of the filters are small
            with chain.fork() as one, chain.fork() as other:
                a, b = one.process(loud, loud), other.process(-loud, -loud)
                at = one.metrics.frames_out - len(a) + int(np.argmax(a != b))
            earliest.append(at - n * ratio[0] // ratio[1])
            chain.process(sounds[0][n : n + 1], sounds[1][n : n + 1])
        metrics = chain.metrics
    assert 0 <= min(earliest) <= (0 if rates == {} else 4)
    assert sum(link.latency_samples for link in metrics.links) == chain.latency_samples
    assert metrics.latency_ms == 1000 * chain.latency_samples / ratio[0]


@pytest.mark.parametrize("rates", RATES)
def test_a_bypassed_chain_is_the_input_by_its_latency(echo, restorer, rates):
    with voxhop.Chain([echo, restorer], **rates) as chain:
        for name in chain.names:
            chain.set_bypass(name, bypass=True)
        rate, out_rate, late = chain.sample_rate, chain.out_sample_rate, chain.latency_samples
        tone = 0.5 * np.sin(2 * np.pi * 300 / rate * np.arange(rate // 4))
        out = np.concatenate((chain.process(tone.astype(np.float32)), chain.flush()))
    expected = 0.5 * np.sin(2 * np.pi * 300 / out_rate * np.arange(len(out) - late))
    middle = slice(out_rate // 20, -out_rate // 20)  # beyond the edges of filters and fades
    assert np.abs(out[late:] - expected)[middle].max() < 1e-4


def test_strength_mixes_and_changes_without_a_step(echo, sounds):
    def output(strength):
        with voxhop.Chain([voxhop.ModelLink(echo, strength=strength)]) as chain:
            return run(chain, *sounds, [9000])

    wet, dry, half = output(1.0), output(0.0), output(0.5)
    assert np.abs(half - (wet + dry) / 2).max() < 1e-6
    assert np.abs(wet - dry).max() > 0.01
    with voxhop.Chain([voxhop.ModelLink(echo, strength=0.0)]) as chain:
        before = chain.process(*(x[:3000] for x in sounds))
        chain.set_strength(0, 1.0)
        out = np.concatenate((before, chain.process(*(x[3000:] for x in sounds))))
    wet, dry = wet[:9000], dry[:9000]
    start = int(np.argmax(out != dry))
    assert 3000 <= start < 3000 + 64
    share = np.minimum(np.arange(1, 9001 - start) / 32, 1)  # a hop of the link
    mixed = dry[start:] + share * (wet - dry)[start:]
    assert np.abs(out[start:] - mixed).max() < 1e-6 * np.abs(wet).max()


def test_state_forks_and_reset(echo, restorer, sounds):
    links = [echo, restorer]
    rates = {"sample_rate": 44100, "out_sample_rate": 24000}
    with voxhop.Chain(links, **rates) as chain, voxhop.Chain(links, **rates) as other:
        first = chain.process(sounds[0][:5001], sounds[1][:5001])
        chain.set_strength("restorer", 0.7)
        chain.set_options("restorer", solver="ralston2")
        with chain.fork() as fork, copy.deepcopy(chain) as copied:
            rest = run(chain, sounds[0][5001:], sounds[1][5001:], [3999])
            assert np.array_equal(run(fork, sounds[0][5001:], sounds[1][5001:], [3999]), rest)
            assert np.array_equal(run(copied, sounds[0][5001:], sounds[1][5001:], [3999]), rest)
        chain.set_options("restorer", solver="euler1")
        assert np.array_equal(chain.process(sounds[0][:5001], sounds[1][:5001]), first)
        saved = chain.state()
        other.load_state(saved)
        expected = run(chain, sounds[0][5001:], sounds[1][5001:], [3999])
        assert np.array_equal(run(other, sounds[0][5001:], sounds[1][5001:], [3999]), expected)
        for bad, words in (
            (saved[:-1], "damaged"),
            (saved[:30] + b"\1" + saved[31:], "damaged"),
            (b"", "no chain"),
            (b"VXCHAIN2" + bytes(40), "other links"),
        ):
            with pytest.raises(StateError, match=words):
                other.load_state(bad)
        with voxhop.Chain(links) as foreign, pytest.raises(StateError, match="other links"):
            foreign.load_state(saved)
        another = voxhop.load(tiny_localvqe(seed=1).encode())
        with voxhop.Chain([another, restorer], **rates) as foreign:
            before = foreign.state()
            with pytest.raises(StateError, match="another model"):
                foreign.load_state(saved)
            assert foreign.state() == before
        with pytest.raises(DtypeError, match="state"):
            other.load_state("text")
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(chain)


def test_figures(echo, restorer, sounds):
    quiet = sounds[0] * np.float32(0.01)
    quiet[7] = np.nan
    with voxhop.Chain([echo, voxhop.ModelLink(echo, bypass=True), restorer]) as chain:
        assert chain.names == ("localvqe", "localvqe-2", "restorer")
        assert chain.metrics.load is None
        chain.process(quiet, sounds[1])
        told = chain.metrics
        chain.load_state(chain.state())
        after = chain.metrics
    assert (after.frames_in, after.links[0].hops, after.links[0].delay_ms) == (9000, 0, None)
    assert told.links[0].delay_ms >= 0
    assert 0 < told.links[0].delay_confidence <= 1
    assert (told.links[2].delay_ms, told.links[2].packets) == (None, None)
    assert (told.frames_in, told.frames_out, told.nonfinite_samples) == (9000, 9000, 1)
    one, two, three = told.links
    assert one.hops == 9000 // 32
    assert three.hops in {34, 35}
    power = np.mean(np.square(np.delete(quiet, 7)))
    assert one.level_in_dbfs == pytest.approx(10 * np.log10(power), abs=0.1)
    assert two.level_in_dbfs == pytest.approx(two.level_out_dbfs, abs=0.05)
    assert two.bypassed
    assert not one.bypassed
    assert one.gain_db is None
    assert three.gain_db > 10
    assert told.load == pytest.approx(one.load + two.load + three.load)
    assert 0 < one.hop_p50_ms <= one.hop_p99_ms


def test_a_link_that_gives_no_number_is_silent_and_starts_anew(restorer, sounds):
    with voxhop.Chain([restorer]) as chain:
        loud = np.full(512, np.float32(3e38))
        chain.process(loud)
        assert chain.metrics.links[0].failed_hops > 0
        assert np.isfinite(chain.process(sounds[0])).all()


def test_int16_is_the_floats_rounded(echo, sounds):
    mic, ref = (np.rint(x * 32767).astype(np.int16) for x in sounds)
    with voxhop.Chain([echo]) as chain:
        shorts = run(chain, mic, ref, SPLITS[1])
        floats = run(chain, *(x.astype(np.float32) / 32768 for x in (mic, ref)), [9000])
    assert shorts.dtype == np.int16
    assert np.array_equal(shorts, np.clip(np.rint(floats * 32768.0), -32768, 32767))


def test_what_does_not_fit_is_refused(echo, restorer, sounds):
    mic = sounds[0]
    with pytest.raises(ArgumentError, match="links: none"):
        voxhop.Chain([])
    with pytest.raises(DtypeError, match="link: int"):
        voxhop.Chain([3])
    with pytest.raises(ArgumentError, match=r"strength 1\.5, expected 0 to 1"):
        voxhop.ModelLink(echo, strength=1.5)
    with pytest.raises(ArgumentError, match="level: 'loud'"):
        voxhop.ModelLink(echo, level="loud")
    with pytest.raises(EngineError, match="terms above 1000"):
        voxhop.Chain([echo], sample_rate=15999)
    odd = tiny_localvqe()
    odd.metadata["localvqe.sample_rate"] = (U32, 379 * 41)
    odd_rates = {"sample_rate": 41 * 390, "out_sample_rate": 379 * 1000}
    with pytest.raises(ArgumentError, match="in step only every 32 s"):
        voxhop.Chain([voxhop.load(odd.encode())], **odd_rates)
    with voxhop.Chain([restorer]) as chain:
        with pytest.raises(ArgumentError, match="no link of this chain takes a reference"):
            chain.process(mic, mic)
        with pytest.raises(ShapeError, match=r"samples: shape \(9000, 1\)"):
            chain.process(mic[:, None])
        with pytest.raises(DtypeError, match="samples: dtype float64"):
            chain.process(mic.astype(np.float64))
        with pytest.raises(ArgumentError, match="link: 1, expected 0 to 0 or one of restorer"):
            chain.set_bypass(1, bypass=True)
        with pytest.raises(ArgumentError, match="solver: heun"):
            chain.set_options(0, solver="heun")
    with pytest.raises(StateError, match="used after close"):
        chain.process(mic)
    with voxhop.Chain([echo]) as chain, pytest.raises(ShapeError, match="ref: shape"):
        chain.process(mic, mic[1:])


def test_one_thread_at_a_time(echo, sounds):
    until = time.monotonic() + 60  # of a machine that lets one thread wait for the other's end
    with voxhop.Chain([echo] * 3) as chain:
        errors = []

        def work(block):
            while not (errors or time.monotonic() > until):
                try:
                    chain.process(block)
                except StateError as error:  # noqa: PERF203 - the point of the test
                    errors.append(str(error))

        thread = threading.Thread(target=work, args=(sounds[0],))
        thread.start()
        work(sounds[0][:100])
        thread.join()
    assert errors
    assert set(errors) == {"chain: used by two threads at once; open one per stream"}
