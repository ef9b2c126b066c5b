"""Comfort noise: the engine against the float64 reference, and when it is added."""

import numpy as np
import pytest

import signals
import tolerances
import voxhop
from signals import HOP, RATE
from streams import relative_rms, run

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.export import read_gguf, write_gguf
from voxhop.reference import LocalVQE, LocalVQEConfig

pytestmark = pytest.mark.torch

NARROW = {
    "mic_channels": (2, 4, 4, 4, 4, 4),
    "far_channels": (2, 4, 4),
    "align_hidden": 4,
    "bottleneck_hidden": 8,
    "d_max": 4,
}
GAIN_DB = -12.0
SECONDS = 6
ECHO_FROM, ECHO_TO = 2 * RATE, 4 * RATE  # samples
HOLD = (90 + 32) * HOP  # noise is off so long after an echo, when its power has sunk, too


def suppressor(left_db, **changes):
    """Return a model that lowers everything by `left_db`: a volume knob in all layers' place."""
    torch.manual_seed(3)
    model = LocalVQE(LocalVQEConfig(**{"comfort_noise_db": GAIN_DB, **NARROW, **changes}))
    model.identity_mask_(0.0)
    with torch.no_grad():
        model.dec1.deconv.conv.bias.mul_(10 ** (left_db / 20))
    return model


@pytest.fixture(scope="module")
def call():
    """Two seconds of noise, two with a loud echo, two of noise again; float32 mic and ref."""
    n = SECONDS * RATE // HOP * HOP
    far = np.zeros(n)
    far[ECHO_FROM:ECHO_TO] = signals.noise(ECHO_TO - ECHO_FROM, 5)
    mic = signals.noise(n, 6, rms=1e-3) + 0.5 * signals.delayed(far, 1000)
    return mic.astype("f4"), far.astype("f4")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("comfort") / "model.gguf"
    write_gguf(suppressor(-40.0), path)
    return path


def added(path, mic, ref, **options):
    """Return what the comfort noise adds to the output."""
    model = voxhop.load(path)
    with (
        voxhop.Session(model, **options) as with_it,
        voxhop.Session(model, comfort_noise=False, **options) as without,
    ):
        return run(with_it, mic, ref) - run(without, mic, ref)


def level_db(x):
    return 10 * np.log10(np.square(x).mean() + 1e-20)


@pytest.mark.parametrize("kernels", ["stock", "direct", "fused"])
@pytest.mark.parametrize("shuffle", ["halves", "interleave"])
def test_engine_is_the_reference(tmp_path, call, kernels, shuffle):
    model = suppressor(-40.0, shuffle=shuffle)
    write_gguf(model, tmp_path / "model.gguf")
    with torch.no_grad():
        expected, _ = model.double()(*(torch.from_numpy(x)[None].double() for x in call))
    with voxhop.Session(voxhop.load(tmp_path / "model.gguf"), kernels=kernels) as session:
        found = run(session, *call)
    assert relative_rms(found, expected.audio[0].numpy()) <= tolerances.ENGINE_RELATIVE_RMS
    quiet = slice(ECHO_TO + 4 * HOP, ECHO_TO + 80 * HOP)  # mostly comfort noise
    error = found[quiet] - expected.audio[0].numpy()[quiet]
    assert level_db(error) < level_db(found[quiet]) - 100


def test_it_lies_under_the_microphone_noise_even_in_a_steady_echo(tmp_path, call):
    write_gguf(suppressor(-80.0), tmp_path / "model.gguf")
    noise = added(tmp_path / "model.gguf", *call)
    assert not noise[:ECHO_FROM].any()  # noise alone is no echo
    during = level_db(noise[ECHO_TO - RATE : ECHO_TO + RATE])
    assert abs(during - level_db(call[0][:ECHO_FROM]) - GAIN_DB) < 2
    assert not noise[ECHO_TO + 1000 + HOLD :].any()


@pytest.mark.parametrize(
    ("left_db", "with_ref"), [(-40.0, False), (-15.0, True)], ids=["no reference", "kept"]
)
def test_no_echo_suppressed_no_noise(tmp_path, call, left_db, with_ref):
    write_gguf(suppressor(left_db), tmp_path / "model.gguf")
    mic, ref = call
    assert not added(tmp_path / "model.gguf", mic, ref if with_ref else None).any()


def test_speech_that_is_kept_gets_none(tmp_path, call):
    """Bins above the floor stay as they are, echo or not."""
    write_gguf(suppressor(-22.0), tmp_path / "model.gguf")
    mic = call[0].copy()
    mic[ECHO_FROM:ECHO_TO] *= 10.0  # still there after 22 dB, 100 times over the floor
    noise = added(tmp_path / "model.gguf", mic, call[1])
    inside = slice(ECHO_FROM + RATE // 2, ECHO_TO - RATE // 2)
    assert level_db(noise[inside]) < level_db(mic[inside]) - 80


def test_silence_stays_silent(path):
    ref = signals.noise(RATE // HOP * HOP, 7).astype("f4")
    with voxhop.Session(voxhop.load(path)) as session:
        assert not run(session, np.zeros_like(ref), ref).any()


def test_streams_of_a_group_and_loaded_states_have_the_session_noise(path, call):
    model = voxhop.load(path)
    mic, ref = call
    cut = (ECHO_FROM + ECHO_TO) // 2 // HOP * HOP
    with voxhop.Session(model) as session, voxhop.Session(model) as second:
        first = run(session, mic[:cut], ref[:cut])
        second.load_state(session.state())
        rest = run(session, mic[cut:], ref[cut:])
        assert np.array_equal(run(second, mic[cut:], ref[cut:]), rest)
    whole = np.concatenate((first, rest))
    with voxhop.SessionGroup(model, 2) as group:
        for start in range(0, len(mic), HOP):
            part = slice(start, start + HOP)
            both = group.process(np.stack((mic[part],) * 2), np.stack((ref[part],) * 2))
            assert np.array_equal(both, np.stack((whole[part],) * 2))


def test_a_group_can_leave_it_out(path, call):
    model = voxhop.load(path)
    mic, ref = call
    with (
        voxhop.Session(model, comfort_noise=False) as session,
        voxhop.SessionGroup(model, 1, comfort_noise=False) as group,
    ):
        hops = zip(mic.reshape(-1, 1, HOP), ref.reshape(-1, 1, HOP), strict=True)
        found = np.concatenate([group.process(m, r)[0] for m, r in hops])
        assert np.array_equal(found, run(session, mic, ref))
    assert added(path, mic, ref).any()


def test_a_stream_can_leave_it_out_and_a_reset_keeps_it_so(path, call):
    mic, ref = call
    outputs = []
    for wanted in (True, False):
        options = voxhop.SessionOptions(comfort_noise=wanted)
        settings = {"options": options, "sample_rate": RATE, "highpass_hz": 0}
        with voxhop.Stream(voxhop.load(path), **settings) as stream:
            outputs.append(stream.process(mic, ref))
            stream.reset()
            assert np.array_equal(stream.process(mic, ref), outputs[-1])
            lag = stream.latency_samples - HOP
    difference = outputs[0] - outputs[1]
    assert np.abs(difference[lag:] - added(path, mic, ref)[: len(mic) - lag]).max() < 1e-7
    assert difference.any()


def test_a_wrong_switch_is_named(path):
    with pytest.raises(voxhop.DtypeError, match="comfort_noise: 1, expected True or False"):
        voxhop.Session(voxhop.load(path), comfort_noise=1)


def test_the_key_goes_through_a_file(path):
    assert read_gguf(path).config.comfort_noise_db == GAIN_DB
    write_gguf(suppressor(-40.0, comfort_noise_db=None), path.with_name("none.gguf"))
    metadata = voxhop.load(path.with_name("none.gguf")).metadata
    assert "localvqe.comfort_noise_db" not in metadata
    assert read_gguf(path.with_name("none.gguf")).config.comfort_noise_db is None


def test_a_sample_that_is_no_number_is_forgotten(path, call):
    mic, ref = (x.copy() for x in call)
    mic[ECHO_FROM + RATE // 2] = np.nan
    with voxhop.Session(voxhop.load(path)) as session:
        out = run(session, mic, ref)
    assert np.isfinite(out[ECHO_FROM + RATE :]).all()
