"""Model files: the schema other programs read, and the way back."""

import gguf
import numpy as np
import pytest

import tolerances
from signals import HOP, echo_pair

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ArgumentError
from voxhop.export import gguf_tensors, read_gguf, write_gguf
from voxhop.reference import LocalVQEConfig, random_model

ODD = {
    "mic_channels": (2, 7, 13, 9, 11, 5),
    "far_channels": (2, 5, 3),
    "align_hidden": 6,
    "bottleneck_hidden": 19,
}
CONFIGS = {
    "v1": LocalVQEConfig(version=1, d_max=9, **ODD),
    "v2": LocalVQEConfig(version=2, power_law_c=0.5, **ODD),
    "v3": LocalVQEConfig(version=3, d_max=64, shuffle="interleave", **ODD),
    "published": LocalVQEConfig(),
}


@pytest.fixture(params=list(CONFIGS), scope="module")
def config(request):
    return CONFIGS[request.param]


def tensors_of(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def metadata_of(path):
    fields = gguf.GGUFReader(path).fields
    return {key: field.contents() for key, field in fields.items() if not key.startswith("GGUF.")}


def run(model):
    mic, ref = (torch.from_numpy(x).float()[None] for x in echo_pair(50 * HOP, 21))
    with torch.no_grad():
        return model(mic, ref)[0]


def test_f32_file_computes_the_same(config, tmp_path):
    model = random_model(config, seed=1)
    path = tmp_path / "model.gguf"
    write_gguf(model, path)
    loaded = read_gguf(path)
    assert loaded.config == config
    expected, found = run(model), run(loaded)
    error = (found.spectrum - expected.spectrum).norm()
    assert error <= tolerances.F32_MODEL_RELATIVE_RMS * expected.spectrum.norm()
    # Not the trivial comparison of two silent models.
    assert (expected.spectrum - expected.mic_spectrum).norm() > 0.3 * expected.spectrum.norm()


def test_every_tensor_survives_two_round_trips(config, tmp_path):
    model = random_model(config, seed=2)
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    write_gguf(model, first)
    write_gguf(read_gguf(first), second)
    a, b = tensors_of(first), tensors_of(second)
    assert a.keys() == b.keys()
    for name in a:
        limit = tolerances.F32_POLE if name.startswith("bottleneck.a_") else 0.0
        assert np.abs(a[name].data - b[name].data).max() <= limit, name
    state = model.state_dict()
    for name in a.keys() & state.keys():
        if not name.startswith("align.conv.1."):
            assert np.array_equal(a[name].data, state[name].numpy()), name


def test_writing_leaves_the_model_alone(tmp_path):
    model = random_model(CONFIGS["v2"], seed=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    write_gguf(model, tmp_path / "model.gguf")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert model.align.temperature == pytest.approx(0.1)


def test_temperature_is_folded_once(tmp_path):
    """A folded and an unfolded model give the same file; reading does not unfold."""
    model = random_model(CONFIGS["v2"], seed=4)
    weight = model.align.conv[1].weight.detach().numpy()
    unfolded = gguf_tensors(model)
    assert np.allclose(unfolded["align.conv.1.weight"], 10.0 * weight, rtol=1e-6)
    model.fold_temperature()
    folded = gguf_tensors(model)
    for name in ("align.conv.1.weight", "align.conv.1.bias"):
        assert np.allclose(folded[name], unfolded[name], rtol=2e-7), name
    write_gguf(model, tmp_path / "model.gguf")
    assert read_gguf(tmp_path / "model.gguf").align.temperature == 1.0


def test_poles_are_r_e_to_the_j_theta():
    model = random_model(CONFIGS["v2"], seed=5)
    s4d = model.bottleneck
    rho, theta = (x.detach().double().numpy() for x in (s4d.A_log_rate, s4d.A_theta))
    pole = np.exp(-np.maximum(np.log1p(np.exp(rho)), 0.01) + 1j * theta)
    tensors = gguf_tensors(model)
    assert np.abs(tensors["bottleneck.a_real"] - pole.real).max() <= tolerances.F32_POLE
    assert np.abs(tensors["bottleneck.a_imag"] - pole.imag).max() <= tolerances.F32_POLE


def test_half_precision_is_for_matrices_and_kernels_only(config, tmp_path):
    model = random_model(config, seed=6)
    path = tmp_path / "half.gguf"
    write_gguf(model, path, dtype="f16")
    for name, tensor in tensors_of(path).items():
        frozen = name in ("encoder.conv.weight", "decoder.linear.weight")
        half = len(tensor.shape) > 1 and not frozen
        assert tensor.tensor_type.name == ("F16" if half else "F32"), name
    expected, found = run(model), run(read_gguf(path))
    error = (found.spectrum - expected.spectrum).norm()
    limit = tolerances.F16_WEIGHTS_RELATIVE_RMS * expected.spectrum.norm()
    assert 1e-2 * limit < error <= limit


def test_published_schema(tmp_path):
    """Keys, types and dimensions that published readers rely on."""
    path = tmp_path / "model.gguf"
    write_gguf(random_model(LocalVQEConfig(), seed=7), path)
    assert metadata_of(path) == {
        "general.architecture": "localvqe",
        "localvqe.version": 2,
        "localvqe.n_fft": 512,
        "localvqe.hop_length": 256,
        "localvqe.n_freq_bins": 256,
        "localvqe.sample_rate": 16000,
        "localvqe.dmax": 32,
        "localvqe.align_hidden": 32,
        "localvqe.power_law_c": pytest.approx(0.3),
        "localvqe.bn_folded": True,
        "localvqe.kernel_size_h": 4,
        "localvqe.kernel_size_w": 4,
        "localvqe.bottleneck_hidden": 162,
        "localvqe.mic_channels.count": 6,
        **{f"localvqe.mic_channels.{i}": w for i, w in enumerate((2, 32, 40, 40, 40, 40))},
        "localvqe.far_channels.count": 3,
        **{f"localvqe.far_channels.{i}": w for i, w in enumerate((2, 32, 40))},
    }
    kinds = gguf.GGUFReader(path).fields
    assert kinds["localvqe.dmax"].types == [gguf.GGUFValueType.UINT32]
    assert kinds["localvqe.power_law_c"].types == [gguf.GGUFValueType.FLOAT32]
    tensors = tensors_of(path)
    assert len(tensors) == 135
    # GGUF lists the fastest dimension first.
    assert list(tensors["encoder.conv.weight"].shape) == [512, 1, 512]
    assert list(tensors["mic_enc3.conv.weight"].shape) == [4, 4, 80, 40]
    assert list(tensors["align.conv.1.weight"].shape) == [3, 5, 32, 1]
    assert list(tensors["align.conv.1.bias"].shape) == [1]
    assert list(tensors["dec1.deconv.conv.weight"].shape) == [4, 4, 32, 54]
    assert sum(tensor.n_elements for tensor in tensors.values()) == 1_290_845


def test_only_the_interleaving_layout_has_a_key(tmp_path):
    path = tmp_path / "model.gguf"
    write_gguf(random_model(CONFIGS["v3"], seed=8), path)
    assert metadata_of(path)["localvqe.shuffle"] == "interleave"


def test_further_metadata_is_passed_through(tmp_path):
    path = tmp_path / "model.gguf"
    extra = {
        "general.name": "test",
        "general.license": "Apache-2.0",
        "voxhop.model_card": "läuft",
        "voxhop.steps": 7,
        "voxhop.score": 0.5,
        "voxhop.final": True,
    }
    write_gguf(random_model(CONFIGS["v2"], seed=9), path, metadata=extra)
    assert metadata_of(path).items() >= extra.items()
    assert read_gguf(path).config == CONFIGS["v2"]


@pytest.mark.parametrize("key", ["localvqe.version", "localvqe.anything", "general.architecture"])
def test_keys_of_the_model_cannot_be_overwritten(tmp_path, key):
    with pytest.raises(ArgumentError, match=key):
        write_gguf(random_model(CONFIGS["v2"], 0), tmp_path / "m.gguf", metadata={key: "x"})
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_type_or_dtype_is_refused(tmp_path):
    model = random_model(CONFIGS["v2"], 0)
    with pytest.raises(ArgumentError, match=r"'voxhop\.x': list, expected str"):
        write_gguf(model, tmp_path / "m.gguf", metadata={"voxhop.x": [1]})
    with pytest.raises(ArgumentError, match="dtype: 'q8', expected 'f32' or 'f16'"):
        write_gguf(model, tmp_path / "m.gguf", dtype="q8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), "f32"), (1e6, "f16")])
def test_values_that_do_not_fit_are_refused_and_the_old_file_stays(tmp_path, value, dtype):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"old")
    model = random_model(CONFIGS["v2"], seed=10)
    with torch.no_grad():
        model.get_submodule("dec4.skip_conv").weight[1, 2] = value
    with pytest.raises(ArgumentError, match=r"dec4\.skip_conv\.weight: .* expected finite float"):
        write_gguf(model, path, dtype=dtype)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_midway_leaves_no_file(tmp_path, monkeypatch):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"old")

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_gguf(random_model(CONFIGS["v2"], 0), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_as_readable_as_any_other(tmp_path):
    other = tmp_path / "other"
    other.touch()
    write_gguf(random_model(CONFIGS["v2"], 0), tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").stat().st_mode == other.stat().st_mode
