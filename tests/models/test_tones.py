"""The tone canceller in the engine: against the float64 reference, and as part of a stream."""

import numpy as np
import pytest

import tolerances
import voxhop
from signals import HOP, RATE, noise, speech_like
from streams import relative_rms
from streams import run as run_session

torch = pytest.importorskip("torch", reason="needs the torch extra")

from front_ends import KERNEL_SETS, transparent
from voxhop.export import read_gguf, write_gguf
from voxhop.reference.front_end import with_front_end

pytestmark = pytest.mark.torch

HOPS = 300
TONES = {50.0: 0.1, 100.0: 0.05, 1003.0: 0.05, 3137.5: 0.02, 6870.0: 0.02}  # Hz: amplitude


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Networks that give back what they hear."""
    folder = tmp_path_factory.mktemp("tones")
    paths = {}
    for name, options in {
        "none": {},
        "tones": {"cancel_tones": True},
        "both": {"cancel_tones": True, "echo_partitions": 16},
    }.items():
        paths[name] = folder / f"{name}.gguf"
        write_gguf(transparent(**options), paths[name])
    return paths


@pytest.fixture(scope="module")
def speech():
    n = HOPS * HOP
    return speech_like(n, 5) + noise(n, 2, rms=1e-4)


@pytest.fixture(scope="module")
def mic(speech):
    """Speech with tones that end after four seconds, one of them wandering; float32."""
    time = np.arange(len(speech)) / RATE
    sound = sum(a * np.sin(2 * np.pi * f * time + f) for f, a in TONES.items())
    sound += 0.05 * np.sin(2 * np.pi * 440 * time + np.sin(2 * np.pi * time / 3))
    return (speech + sound * (time < 4)).astype("f4")


def run(path, mic, **options):
    with voxhop.load(path) as model, model.session(**options) as session:
        return run_session(session, mic, np.zeros_like(mic))


def reference(path, mic):
    with torch.no_grad():
        model = read_gguf(path).double()
        x = torch.from_numpy(mic.astype("f8"))[None]
        return model(x, torch.zeros_like(x))[0].audio[0].numpy()


@pytest.mark.parametrize("name", ["tones", "both"])
def test_engine_is_the_reference(files, mic, name):
    expected = reference(files[name], mic)
    for kernels, isa in KERNEL_SETS:
        out = run(files[name], mic, kernels=kernels, isa=isa)
        assert relative_rms(out, expected) < tolerances.CANCELLER_RELATIVE_RMS, (kernels, isa)
    assert relative_rms(run(files["none"], mic), expected) > 0.3


def left_db(out, speech, seconds):
    """Return what an output has beside the speech against the tones, in a part of it."""
    part = slice(*(round(s * RATE) for s in seconds))
    heard = np.concatenate((np.zeros(HOP), speech))[: len(out)]
    error = np.mean((out - heard)[part] ** 2)
    tones = (sum(a**2 for a in TONES.values()) + 0.05**2) / 2
    return 10 * np.log10(error / tones)


def test_tones_are_gone_after_two_seconds_and_do_not_come_back(files, mic, speech):
    out = run(files["tones"], mic)
    assert left_db(out, speech, (0.1, 0.9)) > -3
    assert left_db(out, speech, (2.0, 3.9)) < -20
    assert left_db(out, speech, (4.2, 4.8)) < -30


def test_sound_without_tones_is_untouched(files, speech):
    mic = speech.astype("f4")
    assert np.array_equal(run(files["tones"], mic), run(files["none"], mic))


def test_a_muted_microphone_is_silent(files, mic):
    muted = np.where(np.arange(len(mic)) < 200 * HOP, mic, 0)
    out = run(files["tones"], muted.astype("f4"))
    assert not out[202 * HOP :].any()
    assert left_db(run(files["tones"], mic), mic, (2.0, 3.0)) > -3  # they were there to be muted


def test_a_saved_stream_goes_on_with_the_same_bits(files, mic):
    cut = 150 * HOP
    silence = np.zeros_like(mic)
    with voxhop.load(files["both"]) as model, model.session() as one, model.session() as other:
        whole = run_session(one, mic, silence)
        run_session(other, mic[:cut], silence[:cut])
        kept = other.state()
        other.reset()
        other.load_state(kept)
        later = run_session(other, mic[cut:], silence[cut:])
    assert np.array_equal(later, whole[cut:])


def test_any_network_can_have_it(files, mic, tmp_path):
    path = tmp_path / "with.gguf"
    write_gguf(with_front_end(read_gguf(files["none"]), 0, tones=True), path)
    assert np.array_equal(run(path, mic), run(files["tones"], mic))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_a_hop_that_is_no_audio_makes_it_forget(files, mic, bad):
    """And what comes later is as in a new stream."""
    with voxhop.load(files["tones"]) as model, model.session() as used, model.session() as new:
        silence = np.zeros_like(mic)
        run_session(used, mic[: 200 * HOP], silence[: 200 * HOP])
        hop = np.full(HOP, bad, "f4")
        for session in (used, new):
            session.process_hop(hop, silence[:HOP])
        after = [run_session(s, mic[: 150 * HOP], silence[: 150 * HOP]) for s in (used, new)]
    assert np.isfinite(after[1][10 * HOP :]).all()
    assert np.array_equal(after[0][10 * HOP :], after[1][10 * HOP :])


def test_the_key_is_a_truth(files, tmp_path):
    path = tmp_path / "odd.gguf"
    data = files["tones"].read_bytes()
    at = data.index(b"localvqe.frontend.tones") + len(b"localvqe.frontend.tones")
    assert data[at : at + 4] == (7).to_bytes(4, "little")  # a boolean of GGUF
    path.write_bytes(data[:at] + (0).to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(voxhop.ModelFileError, match=r"localvqe\.frontend\.tones"):
        voxhop.load(path)
    with pytest.raises(voxhop.ModelFileError, match=r"frontend\.tones"):
        read_gguf(path)
