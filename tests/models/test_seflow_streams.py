"""Streams of SEFlow: same bits whatever is done around them, and networks that change."""

import numpy as np
import pytest

import tolerances
import voxhop
from gguf_bytes import F32, U32, decode
from models.test_seflow_golden import GOLDEN
from streams import relative_rms, run

HOP = 256
DEPTH, HEADS, WINDOW = 3, 2, 20
FORGOTTEN = DEPTH * (WINDOW - 1) + 2  # hops after which the past is gone


@pytest.fixture(scope="module")
def model():
    return voxhop.load(GOLDEN / "model-f32.gguf")


@pytest.fixture(scope="module")
def clip():
    return np.fromfile(GOLDEN / "in.16000.f32", "<f4")


@pytest.mark.parametrize("cache", ["f32", "f16", "int8"])
def test_reset_save_load_and_fork(model, clip, cache):
    first, second = clip[: 31 * HOP], clip[31 * HOP :]
    with model.session(cache=cache, heads=1) as session:
        expected = run(session, clip)
        session.reset()
        assert np.array_equal(run(session, clip), expected)
        session.reset()
        run(session, first)
        blob, twin = session.state(), session.fork()
        assert np.array_equal(run(session, second), expected[31 * HOP :])
        assert np.array_equal(run(twin, second), expected[31 * HOP :])
        session.load_state(blob)
        assert np.array_equal(run(session, second), expected[31 * HOP :])


def test_a_state_of_another_network_is_refused(model):
    with model.session(heads=1) as narrow:
        blob = narrow.state()
    with model.session() as full, pytest.raises(voxhop.errors.VoxhopError, match="state"):
        full.load_state(blob)


def test_a_lost_hop_is_zeros_whatever_it_holds(model, clip):
    with model.session() as told, model.session() as zeros:
        for i in range(12):
            x = clip[i * HOP : (i + 1) * HOP]
            lost = i in (4, 5, 9)
            expected = zeros.process_hop(np.zeros_like(x) if lost else x)
            found = told.process_hop(np.full_like(x, np.nan) if lost else x, lost=lost)
            assert np.array_equal(found, expected)


def test_resizing_to_the_same_size_changes_nothing(model, clip):
    with model.session() as session:
        expected = run(session, clip)
        session.reset()
        first = run(session, clip[: 40 * HOP])
        session.resize(DEPTH, HEADS)
        assert np.array_equal(np.concatenate([first, run(session, clip[40 * HOP :])]), expected)


@pytest.mark.parametrize("small", [(1, 1), (2, 2), (3, 1)])
def test_a_resized_stream_reaches_one_that_was_opened_so(model, clip, small):
    """There and back; after the past is forgotten only the size is left."""
    long = np.tile(clip, 2)
    at = len(long) - 8 * HOP
    assert at - 40 * HOP > FORGOTTEN * HOP
    for start, end in (((DEPTH, HEADS), small), (small, (DEPTH, HEADS))):
        with model.session(depth=end[0], heads=end[1]) as session:
            expected = run(session, long)[at:]
        with model.session(depth=start[0], heads=start[1]) as session:
            run(session, long[: 40 * HOP])
            session.resize(*end)
            found = run(session, long[40 * HOP :])
        assert np.isfinite(found).all()
        assert relative_rms(found[at - 40 * HOP :], expected) <= tolerances.SEFLOW_FORGOTTEN


def test_a_head_that_was_away_comes_back_empty(model, clip):
    """Narrow and wide again equals narrow first, then wide: nothing of before is left."""
    middle, rest = clip[20 * HOP : 20 * HOP + FORGOTTEN * HOP], clip[-20 * HOP :]
    outputs = []
    for before in (clip[: 20 * HOP], clip[5 * HOP : 25 * HOP]):
        with model.session() as session:
            run(session, before)
            session.resize(DEPTH, 1)
            run(session, middle)
            session.resize(DEPTH, HEADS)
            outputs.append(run(session, rest))
    assert relative_rms(outputs[0], outputs[1]) <= tolerances.SEFLOW_FORGOTTEN


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 4}, "depth: 4, expected 1 to 3"),
        ({"heads": 0}, "heads: 0, expected 1 to 2"),
        ({"sample_rate": 48000}, "sample_rate: 48000, expected one of 8000, 16000"),
        ({"speed": 3}, "speed: this model has no such option; it has: sample_rate, depth"),
        ({"cache": "bf16"}, "cache: bf16, expected one of auto, f32, f16, int8"),
    ],
)
def test_what_a_file_does_not_hold_is_refused_by_name(model, options, message):
    with pytest.raises(voxhop.errors.ArgumentError, match=message):
        model.session(**options)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (F32, -1.0, r"seflow\.encoder_rms_eps: -1, expected 0 to 1e\+06"),
        (F32, float("nan"), r"seflow\.encoder_rms_eps: nan"),
        (U32, 400, r"seflow\.encoder_rms_eps: type u32, expected f32"),
    ],
)
def test_a_bad_epsilon_of_the_encoder_is_refused_by_name(tmp_path, kind, value, message):
    file = decode((GOLDEN / "model-f32.gguf").read_bytes())
    file.metadata["seflow.encoder_rms_eps"] = (kind, value)
    (tmp_path / "m.gguf").write_bytes(file.encode())
    with pytest.raises(voxhop.ModelFileError, match=message):
        voxhop.load(tmp_path / "m.gguf")


def test_the_encoder_has_an_epsilon_of_its_own(tmp_path, model, clip):
    """A file that tells the same is the same; another changes the sound."""
    file = decode((GOLDEN / "model-f32.gguf").read_bytes())
    found = []
    for value in (file.metadata["seflow.rms_eps"][1], 400.0):
        file.metadata["seflow.encoder_rms_eps"] = (F32, value)
        (tmp_path / "m.gguf").write_bytes(file.encode())
        with voxhop.load(tmp_path / "m.gguf") as own, own.session() as session:
            found.append(run(session, clip))
    with model.session() as session:
        assert np.array_equal(found[0], run(session, clip))
    assert relative_rms(found[1], found[0]) > 0.1


def test_a_refused_size_changes_nothing(model, clip):
    with model.session() as session:
        expected = run(session, clip)
        session.reset()
        first = run(session, clip[: 8 * HOP])
        with pytest.raises(voxhop.errors.ArgumentError, match="depth: 9"):
            session.resize(9, 1)
        assert np.array_equal(np.concatenate([first, run(session, clip[8 * HOP :])]), expected)


def test_a_reference_is_refused(model, clip):
    with model.session() as session, pytest.raises(voxhop.errors.ArgumentError, match="ref"):
        session.process_hop(clip[:HOP], clip[:HOP])


def test_localvqe_has_no_options():
    with voxhop.load("voxhop-localvqe-small") as model:
        assert model.options == ()
        with pytest.raises(voxhop.errors.ArgumentError, match="depth: this model has no such"):
            model.session(depth=1)


def test_silence_and_extremes_stay_finite(model):
    extremes = {
        "silence": np.zeros(8 * HOP),
        "square": np.sign(np.sin(np.arange(8 * HOP) / 9.0)),
        "denormal": np.full(8 * HOP, 1e-40),
        "impulse": np.eye(1, 8 * HOP, 5).ravel(),
    }
    with model.session() as session:
        for name, x in extremes.items():
            assert np.isfinite(run(session, x.astype("f4"))).all(), name
