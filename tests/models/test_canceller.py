"""The linear canceller in the engine: against the float64 reference, and as part of a stream."""

import functools

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

HOPS = 220
CHANGE = 120  # hop of a path change that both filters and the restart take part in


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("canceller")
    paths = {}
    for partitions in (0, 16, 32, 48):
        paths[partitions] = folder / f"{partitions}.gguf"
        write_gguf(transparent(echo_partitions=partitions), paths[partitions])
    paths["follower"] = folder / "follower.gguf"
    write_gguf(transparent(echo_partitions=16, echo_follower=True), paths["follower"])
    return paths


@pytest.fixture(scope="module")
def call():
    """An echo whose path changes, and a talker in the end; float32 mic and ref."""
    n = HOPS * HOP
    far = speech_like(n, 1) + noise(n, 2, rms=0.003)
    rng = np.random.default_rng(3)
    decay = 10 ** (-3 * np.arange(1200) / 1200)
    rooms = [
        np.r_[np.zeros(delay), 0.3 * decay * rng.standard_normal(1200)] for delay in (300, 900)
    ]
    before, after = (np.convolve(far, room)[:n] for room in rooms)
    mic = np.where(np.arange(n) < CHANGE * HOP, before, after) + noise(n, 4, rms=1e-4)
    mic[180 * HOP :] += speech_like(40 * HOP, 5)
    return mic.astype("f4"), far.astype("f4")


def run(path, mic, ref, **options):
    with voxhop.load(path) as model, model.session(**options) as session:
        return run_session(session, mic, ref)


def reference(path, mic, ref):
    with torch.no_grad():
        model = read_gguf(path).double()
        out, _ = model(*(torch.from_numpy(x.astype("f8"))[None] for x in (mic, ref)))
    return out.audio[0].numpy()


@pytest.fixture(scope="module")
def expected(files, call):
    """Return the reference's output by partitions, worked out once."""
    return functools.cache(lambda partitions: reference(files[partitions], *call))


@pytest.mark.parametrize(
    ("partitions", "kernels", "isa"),
    [(16, *one) for one in KERNEL_SETS] + [(32, "fused", "auto"), (48, "fused", "auto")],
)
def test_engine_is_the_reference(files, call, expected, partitions, kernels, isa):
    out = run(files[partitions], *call, kernels=kernels, isa=isa)
    assert relative_rms(out, expected(partitions)) < tolerances.CANCELLER_RELATIVE_RMS


@pytest.mark.parametrize("later", [0, 1600])
def test_follower_is_the_reference(files, call, later):
    """Where the echo comes early, and where the follower has to look for it."""
    mic = np.concatenate((np.zeros(later, "f4"), call[0]))[: len(call[0])]
    expected = reference(files["follower"], mic, call[1])
    for kernels, isa in KERNEL_SETS:
        out = run(files["follower"], mic, call[1], kernels=kernels, isa=isa)
        assert relative_rms(out, expected) < tolerances.CANCELLER_RELATIVE_RMS, (kernels, isa)
    assert relative_rms(run(files[16], mic, call[1]), expected) > 1e-2


def test_follower_leaves_what_is_no_echo_alone(files, call):
    """A reference that the microphone does not hear: what it finds by chance is not taken."""
    mic = (speech_like(HOPS * HOP, 8) + noise(HOPS * HOP, 9, rms=0.02)).astype("f4")
    expected = reference(files["follower"], mic, call[1])
    without = run(files[16], mic, call[1])
    for kernels, isa in KERNEL_SETS:
        out = run(files["follower"], mic, call[1], kernels=kernels, isa=isa)
        assert relative_rms(out, expected) < tolerances.CANCELLER_RELATIVE_RMS, (kernels, isa)
        assert relative_rms(out, without) < 0.05


def test_echo_is_gone(files, call):
    with_it, without = (run(files[p], *call) for p in (32, 0))
    settled = slice(80 * HOP, CHANGE * HOP)
    assert np.sum(with_it[settled] ** 2) < 0.01 * np.sum(without[settled] ** 2)
    relearned = slice(160 * HOP, 180 * HOP)
    assert np.sum(with_it[relearned] ** 2) < 0.12 * np.sum(without[relearned] ** 2)


@pytest.mark.parametrize("name", [32, "follower"])
def test_silent_reference_leaves_every_bit(files, call, name):
    mic, silence = call[0], np.zeros_like(call[0])
    assert np.array_equal(run(files[name], mic, silence), run(files[0], mic, silence))


def test_network_sees_the_echo_beside_what_is_left(tmp_path, call):
    model = transparent(4, echo_partitions=16)
    with torch.no_grad():
        model.dec1.deconv.conv.weight.add_(0.02 * torch.randn_like(model.dec1.deconv.conv.weight))
    path = tmp_path / "both.gguf"
    write_gguf(model, path)
    expected = reference(path, *call)
    for kernels in ("stock", "fused"):
        out = run(path, *call, kernels=kernels)
        assert relative_rms(out, expected) < tolerances.CANCELLER_RELATIVE_RMS
    model.mic_enc1.conv.weight.data[:, 2:] = 0.0
    write_gguf(model, path)
    assert relative_rms(run(path, *call), expected) > 1e-3


def test_new_inputs_start_from_the_old_network(tmp_path, call):
    model = transparent()
    with torch.no_grad():
        model.dec1.deconv.conv.weight.add_(0.02 * torch.randn_like(model.dec1.deconv.conv.weight))
    old, new = tmp_path / "old.gguf", tmp_path / "new.gguf"
    write_gguf(model, old)
    write_gguf(with_front_end(model, 16, echo_inputs=True), new)
    mic, silence = call[0], np.zeros_like(call[0])
    was = run(old, mic, silence)
    assert relative_rms(run(new, mic, silence), was) < tolerances.NEW_INPUTS_RELATIVE_RMS
    assert relative_rms(run(new, *call), run(old, *call)) > 0.1  # the echo is gone
    assert relative_rms(was, mic) > 1e-2  # the network does something


@pytest.mark.parametrize("name", [16, "follower"])
def test_state_continues_elsewhere(files, call, name):
    mic, ref = call
    cut = 130 * HOP
    whole = run(files[name], mic, ref)
    with voxhop.load(files[name]) as model, model.session() as first:
        for start in range(0, cut, HOP):
            first.process_hop(mic[start : start + HOP], ref[start : start + HOP])
        blob = first.state()
        with model.session() as second, first.fork() as third:
            second.load_state(blob)
            for session in (second, third):
                out = [
                    session.process_hop(mic[at : at + HOP], ref[at : at + HOP])
                    for at in range(cut, len(mic), HOP)
                ]
                assert np.array_equal(np.concatenate(out), whole[cut:])
        first.reset()
        again = first.process_hop(mic[:HOP], ref[:HOP])
        assert np.array_equal(again, whole[:HOP])


@pytest.mark.parametrize("name", [16, "follower"])
def test_broken_samples_restart_it(files, call, name):
    mic, ref = (x.copy() for x in call)
    for samples, at in ((mic, 20), (ref, 40)):
        samples[at * HOP + 7] = np.nan
        samples[(at + 5) * HOP + 7] = 1e30
    out = run(files[name], mic, ref)
    late = slice(100 * HOP, CHANGE * HOP)
    assert np.all(np.isfinite(out[late]))
    assert np.sum(out[late] ** 2) < 0.05 * np.sum(call[0][late] ** 2)


@pytest.mark.parametrize("partitions", [8, 17, 64])
def test_other_tails_are_refused_by_name(tmp_path, partitions):
    path = tmp_path / "odd.gguf"
    write_gguf(transparent(echo_partitions=16), path)
    data = path.read_bytes()
    key = b"localvqe.frontend.partitions"
    at = data.index(key) + len(key) + 4
    path.write_bytes(data[:at] + partitions.to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(voxhop.ModelFileError, match=r"localvqe\.frontend\.partitions"):
        voxhop.load(path)


def test_follower_without_a_canceller_is_refused_by_name(files, tmp_path):
    path = tmp_path / "alone.gguf"
    data = files["follower"].read_bytes()
    path.write_bytes(data.replace(b"localvqe.frontend.partitions", b"localvqe.frontend.partitionz"))
    with pytest.raises(voxhop.ModelFileError, match=r"localvqe\.frontend\.follower: true without"):
        voxhop.load(path)
    with pytest.raises(voxhop.ModelFileError, match="echo_follower"):
        read_gguf(path)


def test_rate_is_the_networks(files):
    with voxhop.load(files[16]) as model:
        assert (model.info.sample_rate, model.info.latency_samples) == (RATE, HOP)
