"""State dicts with published names, batch norms of generation 1, and bad files."""

import pytest

torch = pytest.importorskip("torch", reason="needs the torch extra")

from shapes import SHAPES
from torch import nn

from voxhop.errors import ModelFileError
from voxhop.reference import (
    LocalVQEConfig,
    load_checkpoint,
    model_from_state_dict,
    random_model,
)
from voxhop.reference.localvqe.checkpoint import fold_batch_norms

V2 = SHAPES["v2"]


@pytest.mark.parametrize("wrapper", [None, "model_state_dict", "model"])
def test_a_saved_state_dict_comes_back(tmp_path, wrapper):
    model = random_model(V2, seed=1)
    content = model.state_dict()
    for frozen in ("encoder.conv.weight", "decoder.linear.weight", "mask.v_real", "mask.v_imag"):
        del content[frozen]
    path = tmp_path / "model.pt"
    torch.save(content if wrapper is None else {wrapper: content, "step": 7}, path)
    loaded = load_checkpoint(path, V2).state_dict()
    assert loaded.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_published_names():
    """Names that other programs' checkpoints and model files use."""
    names = random_model(LocalVQEConfig(), seed=0).state_dict().keys()
    assert {
        "encoder.conv.weight",
        "decoder.linear.weight",
        "mic_enc3.norm.weight",
        "mic_enc5.resblock.conv.bias",
        "far_enc2.resblock.norm.weight",
        "align.temperature",
        "align.conv.1.weight",
        "align.pconv_ref.bias",
        "bottleneck.A_log_rate",
        "bottleneck.A_theta",
        "bottleneck.B_imag",
        "bottleneck.D",
        "bottleneck.input_proj.bias",
        "dec5.skip_norm.bias",
        "dec1.skip_conv.weight",
        "dec1.deconv.norm.weight",
        "mask.v_imag",
    } <= names
    # 135 tensors of a file: the poles replace the polar pair; temperature and the mask's
    # two constants are not in it.
    assert len(names) == 135 + 3
    first = random_model(LocalVQEConfig(version=1), seed=0).state_dict().keys()
    assert len(first) == 85 + 3
    assert {"dec5.bn.scale", "dec2.bn.bias"} <= first
    assert "dec1.bn.scale" not in first


def test_parameter_count_of_the_published_shape():
    state = random_model(LocalVQEConfig(), seed=0).state_dict()
    count = sum(tensor.numel() for tensor in state.values())
    assert count - 1 - 6 == 1_290_845


def batch_norm(channels, seed):
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels).eval()
    with torch.no_grad():
        norm.weight.copy_(0.5 + torch.rand(channels))
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.copy_(0.2 + torch.rand(channels))
    return norm


@torch.no_grad()
def test_batch_norm_after_a_convolution_disappears_into_it():
    conv, norm = nn.Conv2d(3, 5, 4), batch_norm(5, 1)
    tensors = {f"mic_enc1.conv.{k}": v for k, v in conv.state_dict().items()}
    tensors |= {f"mic_enc1.bn.{k}": v for k, v in norm.state_dict().items()}
    folded = fold_batch_norms(tensors)
    assert folded.keys() == {"mic_enc1.conv.weight", "mic_enc1.conv.bias"}
    x = torch.randn(1, 3, 9, 9)
    expected = norm(conv(x))
    conv.load_state_dict({k.rpartition(".")[2]: v for k, v in folded.items()})
    assert torch.allclose(conv(x), expected, atol=1e-5)


@torch.no_grad()
def test_generation_1_checkpoint_with_running_statistics():
    config = SHAPES["v1"]
    plain = random_model(config, seed=2).state_dict()
    widths = {f"mic_enc{i}": config.mic_channels[i] for i in range(1, 6)}
    widths |= {f"far_enc{i}": config.far_channels[i] for i in (1, 2)}
    stored, decoders = dict(plain), {f"dec{i}": config.mic_channels[i - 1] for i in range(2, 6)}
    for number, (block, width) in enumerate((widths | decoders).items()):
        norm = batch_norm(width, number)
        stored |= {f"{block}.bn.{k}": v for k, v in norm.state_dict().items()}
        stored.pop(f"{block}.bn.scale", None)
    model = model_from_state_dict(stored, config)
    bn = batch_norm(widths["far_enc2"], 6)
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    expected = plain["far_enc2.conv.weight"] * scale[:, None, None, None]
    assert torch.allclose(model.state_dict()["far_enc2.conv.weight"], expected, rtol=1e-6)
    x = torch.randn(2, 3, 4, decoders["dec4"])
    found = model.get_submodule("dec4.bn")(x)
    number = list(widths | decoders).index("dec4")
    expected = batch_norm(decoders["dec4"], number)(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("dec3.skip_conv.bias"), r"dec3\.skip_conv\.bias: missing"),
        (lambda s: s.update({"dec9.x": torch.zeros(1)}), r"dec9\.x: unknown to generation 2"),
        (
            lambda s: s.update({"bottleneck.D": torch.zeros(3)}),
            r"bottleneck\.D: shape \(3,\), expected \(40,\)",
        ),
    ],
)
def test_a_bad_state_dict_names_the_tensor(change, message):
    state = random_model(V2, seed=1).state_dict()
    change(state)
    with pytest.raises(ModelFileError, match=message):
        model_from_state_dict(state, V2)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 truncated"])
def test_an_unreadable_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"broken\.pt"):
        load_checkpoint(path, V2)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"absent\.pt"):
        load_checkpoint(tmp_path / "absent.pt", V2)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = tmp_path / "list.pt"
    torch.save([torch.zeros(1)], path)
    with pytest.raises(ModelFileError, match="list, expected a dictionary"):
        load_checkpoint(path, V2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 4}, "version: 4, expected 1, 2 or 3"),
        ({"mic_channels": (2, 32, 40)}, "mic_channels"),
        ({"mic_channels": (1, 8, 8, 8, 8, 8)}, "mic_channels"),
        ({"far_channels": (2, 0, 8)}, "far_channels"),
        ({"d_max": 0}, "d_max: 0"),
        ({"power_law_c": 0.0}, r"power_law_c: 0\.0"),
        ({"n_fft": 320}, "n_fft: 320, expected 512"),
        ({"shuffle": "weave"}, "shuffle: 'weave'"),
    ],
)
def test_an_impossible_config_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        LocalVQEConfig(**options)
