"""What a restorer's session takes: a solver, a seed, and the noise itself."""

from pathlib import Path

import numpy as np
import pytest

import tolerances
import voxhop

GOLDEN = Path(__file__).parent.parent / "golden" / "streamfm-random"
HOP = 256
AUDIO = np.fromfile(GOLDEN / "in.f32", "<f4").reshape(-1, HOP)
NOISE = np.fromfile(GOLDEN / "noise.f32", "<f4").reshape(len(AUDIO), 2 * HOP)


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "model-f32.gguf")


def run(session, hops=AUDIO):
    return np.concatenate([session.process_hop(x) for x in hops])


@pytest.mark.parametrize("solver", ["euler5", "ralston3+2"])
@pytest.mark.parametrize("kernels", ["stock", *voxhop.cpu_isas()])
def test_golden_set_with_its_noise(model, solver, kernels):
    options = {"kernels": kernels} if kernels == "stock" else {"isa": kernels}
    with model.session(solver=solver, **options) as session:
        pairs = zip(AUDIO, NOISE, strict=True)
        out = np.concatenate([session.process_hop(x, noise=n) for x, n in pairs])
    expected = np.fromfile(GOLDEN / f"out.{solver}.f64", "<f8")
    error = out - expected
    assert np.abs(error).max() <= tolerances.ENGINE_ABSOLUTE
    assert np.linalg.norm(error) <= tolerances.ENGINE_RELATIVE_RMS * np.linalg.norm(expected)


def test_a_group_takes_the_same_noise(model):
    with model.session(seed=7) as session, voxhop.SessionGroup(model, 2, seed=7) as group:
        for x, n in list(zip(AUDIO, NOISE, strict=True))[:8]:
            alone = session.process_hop(x, noise=n)
            (both,) = group.process_ports(**{"in": np.stack((x, x)), "noise": np.stack((n, n))})
            assert np.array_equal(both, np.stack((alone, alone)))


def test_the_seed_decides_the_noise_and_nothing_else(model):
    with model.session(seed=1) as one, model.session(seed=1) as again, model.session() as zero:
        first = run(one)
        assert np.array_equal(first, run(again))
        assert not np.allclose(first, run(zero), atol=1e-3)


def test_another_solver_while_running(model):
    """It is the new solver's network that goes on, with the past that both stages have."""
    with model.session(solver="euler5") as session, model.session(solver="ralston3+2") as other:
        run(session, AUDIO[:4])
        expected = run(other)
        with pytest.raises(voxhop.ArgumentError, match="solver: heun, expected one of"):
            session.set_options(solver="heun")
        with pytest.raises(voxhop.ArgumentError, match="seed: does not change while running"):
            session.set_options(seed=3)
        session.set_options(solver="ralston3+2")
        assert session.values == {"solver": "ralston3+2"}
        out = run(session, AUDIO[4:])
        assert np.all(np.isfinite(out))
        assert not np.array_equal(out, expected[4 * HOP :])
        session.reset()
        assert np.array_equal(run(session), expected)


def test_what_it_says_of_itself(model):
    assert model.info.purpose == "restorer"
    assert model.info.input_count == 1
    audio, noise = model.inputs
    assert (audio.name, audio.type, audio.count, audio.rate) == ("in", "audio", HOP, 16000)
    assert (noise.name, noise.type, noise.count, noise.optional) == ("noise", "values", 512, True)
    assert [port.type for port in model.outputs] == ["audio"]
    solver, seed = model.options
    assert solver.while_running
    assert {"euler5", "ralston3+2"} <= set(solver.choices)
    assert (seed.default, seed.lowest, seed.highest) == ("0", 0, 2**63 - 1)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"noise": NOISE[0][:100]}, voxhop.ShapeError, r"noise: shape \(100,\), expected \(512,\)"),
        ({"noise": NOISE[0].astype("f8")}, voxhop.DtypeError, "noise: dtype float64, expected"),
        ({"hum": NOISE[0]}, voxhop.ArgumentError, "hum: no input of this model; it has in, noise"),
        ({"ref": AUDIO[0]}, voxhop.ArgumentError, "ref: this model takes no reference"),
        ({"lost": True, "ref": AUDIO[0]}, voxhop.ArgumentError, "takes no reference"),
    ],
)
def test_what_it_refuses(model, inputs, error, message):
    with model.session() as session:
        before = session.state()
        with pytest.raises(error, match=message):
            session.process_hop(AUDIO[0], **inputs)
        assert session.state() == before


def test_a_hop_may_be_lost(model):
    with model.session() as lossy, model.session() as silent:
        for i, x in enumerate(AUDIO[:6]):
            given = silent.process_hop(np.zeros_like(x) if i == 2 else x)
            assert np.array_equal(lossy.process_hop(None if i == 2 else x, lost=i == 2), given)
        with pytest.raises(voxhop.DtypeError, match="in: NoneType, expected a numpy array"):
            lossy.process_hop(None, noise=NOISE[0])
