"""Stream.FM's reference: counts, causality, tasks, folding, files, learned tableaus."""

from pathlib import Path

import numpy as np
import pytest

import tolerances

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ArgumentError, ModelFileError, ShapeError
from voxhop.export.streamfm import read_streamfm, write_streamfm
from voxhop.reference.memory import Memory
from voxhop.reference.streamfm import StreamFM, random_streamfm
from voxhop.reference.streamfm.blocks import CausalConv, SubbandBatchNorm, fir_down, fir_up
from voxhop.reference.streamfm.config import TASKS, StreamFMConfig


def config(**changes):
    return StreamFMConfig(**{"nf": 4, "n_fft": 128, **changes})


def audio_for(model, frames, seed=0):
    torch.manual_seed(seed)
    return 0.1 * torch.randn(1, frames * model.config.hop_length, dtype=torch.float64)


@pytest.mark.parametrize(
    ("nf", "predictor", "flow", "pred"),
    [
        (128, False, 27_895_816, 0),
        (128, True, 27_899_400, 24_608_776),
        (32, False, 1_769_992, 0),
        (16, False, 451_336, 0),
    ],
)
def test_parameter_counts(nf, predictor, flow, pred):
    with torch.device("meta"):
        model = StreamFM(StreamFMConfig(nf=nf, predictor=predictor))
    counts = [
        sum(p.numel() for p in network.parameters()) if network is not None else 0
        for network in (model.flow, model.pred)
    ]
    assert counts == [flow, pred]


def test_a_call_sees_111_frames():
    model = random_streamfm(config(), 1).double()
    x = torch.randn(1, 4, 64, 130, dtype=torch.float64)
    x[..., 5] = torch.nan
    with torch.no_grad():
        y, _ = model.flow(x, torch.tensor([0.3]).double(), None)
    touched = torch.isnan(y).any(dim=(0, 1, 2)).nonzero().flatten().tolist()
    assert touched == list(range(5, 5 + 111))


def test_latency_by_sweep():
    model = random_streamfm(config(n_fft=512), 2).double()
    audio = audio_for(model, 6)
    audio[0, 700] = torch.nan
    with torch.no_grad():
        out, _ = model(audio, solver="euler1")
    first = int(torch.isnan(out[0]).nonzero()[0])
    # Streamed time is late by a hop, of a window of two: sample 700 first reaches output 512,
    # which stands for input time 256; the newest sample that it depends on is 767.
    assert first == 512
    assert 767 - (first - 256) == 511


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("n_fft", [128, 160])
def test_hop_by_hop_is_the_whole_clip_and_noise_follows_the_frame(task, n_fft):
    se = task == "se"
    window = "hann_periodic" if task == "melvoc" else "sqrt_hann_periodic"
    model = random_streamfm(
        config(task=task, n_fft=n_fft, predictor=se, window=window, n_mels=20), 3
    ).double()
    H = model.config.hop_length
    audio = audio_for(model, 12)
    with torch.no_grad():
        whole, _ = model(audio, solver="ralston2", seed=9)
        again, _ = model(audio, solver="ralston2", seed=10)
        state, hops = None, []
        for t in range(12):
            out, state = model(audio[:, t * H : (t + 1) * H], state, solver="ralston2", seed=9)
            hops.append(out)
    scale = whole.abs().max()
    assert (torch.cat(hops, 1) - whole).abs().max() <= tolerances.F64_REORDERED * scale
    assert (again - whole).abs().max() > 1e-3 * scale


def test_stages_do_not_share_a_state():
    model = random_streamfm(config(), 4).double()
    with torch.no_grad():
        _, state = model(audio_for(model, 5), solver="euler4")
    assert len(state.stages) == 4
    assert len(state.stages[0]) == 55
    assert not torch.equal(state.stages[0]["in"], state.stages[1]["in"])


def test_state_of_full_size_per_call():
    cfg = StreamFMConfig(nf=8)
    model = random_streamfm(cfg, 0)
    with torch.no_grad():
        _, state = model(torch.zeros(1, 256), solver="euler1")
    assert len(state.stages[0]) == 55
    # The paper's 2,557,952 floats at nf 128: all but the input convolution grow with nf.
    own = sum(t.numel() for t in state.stages[0].values()) - 4 * 256 * 2
    assert own * 16 + 4 * 256 * 2 == 2_557_952


def test_folded_norms_are_the_unfolded_ones():
    torch.manual_seed(5)
    model = StreamFM(config(predictor=True, task="se")).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
        for _ in range(3):  # fills the running statistics
            model(audio_for(model, 10), solver="euler1")
        model.eval()
        expected, _ = model(audio_for(model, 10), solver="ralston2")
        folded, _ = model.fold()(audio_for(model, 10), solver="ralston2")
    difference = (folded - expected).abs().max()
    assert difference <= tolerances.F64_REORDERED * expected.abs().max()
    deepest = model.flow.get_submodule("mid0.norm0")
    assert deepest.groups == (2, 1)  # 8 bins: no sub-bands
    assert model.flow.get_submodule("d2.rb0.norm0").groups == (2, 4)  # 16 are enough


def test_training_statistics_are_per_group_and_band():
    norm = SubbandBatchNorm(8, 16).double().train()
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(2, 8, 16, 9, dtype=torch.float64)
    y = norm(x).view(2, 2, 4, 4, 4, 9)
    assert y.mean(dim=(0, 2, 4, 5)).abs().max() < 1e-12
    assert (y.var(dim=(0, 2, 4, 5), correction=0) - 1).abs().max() < 1e-4
    share = x.view(2, 2, 4, 4, 4, 9).var(dim=(0, 2, 4, 5), correction=0)
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * share, atol=1e-12)


def test_gradients_through_training_statistics():
    torch.manual_seed(1)
    norm = SubbandBatchNorm(8, 16).double().train()
    weight = torch.randn(8, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(8, 4, dtype=torch.float64, requires_grad=True)
    # Neither contiguous nor of mean 0.
    x = (2 + torch.randn(2, 16, 8, 3, dtype=torch.float64)).transpose(1, 2).requires_grad_()

    def apply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(apply, (x, weight, bias))


def test_training_statistics_of_small_signals_on_a_large_mean():
    torch.manual_seed(2)
    x = 20 + torch.randn(2, 8, 16, 64)
    y = SubbandBatchNorm(8, 16).train()(x)
    expected = SubbandBatchNorm(8, 16).double().train()(x.double())
    assert (y - expected).abs().max() < 1e-3


def test_fir_of_a_constant():
    ones = torch.ones(1, 1, 8, 1)
    assert fir_down(ones).flatten().tolist() == [0.875, 1, 1, 0.875]
    assert fir_up(ones).flatten().tolist() == [0.5] * 14 + [0.375, 0.125]


def test_power_law_round_trip_keeps_zeros():
    model = random_streamfm(config(), 6).double()
    z = torch.randn(1, 64, 3, dtype=torch.complex128)
    z[0, 3] = 0
    back = model.decompress(model.compress(z))
    assert (back - z).abs().max() <= tolerances.F64_REORDERED * z.abs().max()
    assert (back[0, 3] == 0).all()


def test_mel_filters_of_a_known_shape():
    model = random_streamfm(config(task="melvoc", n_fft=512, window="hann_periodic"), 7)
    fb = model.mel.fb.double().numpy()
    assert fb.shape == (256, 80)
    points = np.linspace(0, 8000, 256)
    peaks = points[fb.argmax(0)]
    assert (np.diff(peaks) >= 0).all()
    assert peaks[-1] > 7500
    # Slaney's norm: each triangle has an area of 1 over frequency.
    wide = fb[:, 40:].sum(0) * 8000 / 255
    assert np.abs(wide - 1).max() < 0.1
    mel = torch.rand(1, 80, 4)
    out, _ = model(mel, solver="euler1")
    assert out.shape == (1, 4 * 256)


@pytest.mark.parametrize("rank", [0, 2])
def test_files_both_ways(tmp_path, rank):
    torch.manual_seed(8)
    model = StreamFM(config(predictor=True, task="se", decoupled_rank=rank)).eval()
    model.sigma_y.copy_(torch.linspace(0.1, 0.3, 64))
    path = tmp_path / "m.gguf"
    write_streamfm(model, path, metadata={"general.name": "x"})
    back = read_streamfm(path)
    assert back.config == model.config
    assert back.tableaus.keys() == model.tableaus.keys()
    audio = audio_for(model, 6).float()
    with torch.no_grad():
        a, _ = model(audio)
        b, _ = back(audio)
    assert (a - b).norm() <= tolerances.F32_MODEL_RELATIVE_RMS * a.norm()
    names = set(dict(back.named_parameters()))
    assert ("flow.d0.rb0.conv0.dw.weight" in names) == (rank > 0)
    with pytest.raises(ArgumentError, match=r"streamfm\.task"):
        write_streamfm(model, path, metadata={"streamfm.task": "se"})


def test_bad_files_say_what_is_wrong(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(ModelFileError):
        read_streamfm(path)
    golden = Path(__file__).parent.parent / "golden"
    with pytest.raises(ModelFileError, match=r"general\.architecture: 'localvqe'"):
        read_streamfm(golden / "localvqe-v1.1-random" / "model-f32.gguf")


def test_lossless_rank_is_the_dense_convolution():
    """Rank 9 holds any kernel: identity taps depthwise, the kernel in the 1x1."""
    torch.manual_seed(1)
    dense, split = CausalConv(9, 9, dilation=2), CausalConv(9, 9, dilation=2, rank=9)
    with torch.no_grad():
        split.dw.weight.copy_(torch.eye(9).repeat(9, 1).view(81, 1, 3, 3))
        split.pw.weight.copy_(dense.weight.reshape(9, 81, 1, 1))
        split.pw.bias.copy_(dense.bias)
        x = torch.randn(1, 9, 12, 7)
        difference = dense(x, Memory(None)) - split(x, Memory(None))
    assert difference.abs().max() < 1e-5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "sing"}, "task"),
        ({"nf": 6}, "nf"),
        ({"n_fft": 100}, "n_fft"),
        ({"window": "kaiser"}, "window"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(ArgumentError, match=message):
        config(**changes)


def test_bad_calls():
    model = random_streamfm(config(), 0)
    with pytest.raises(ArgumentError, match="euler1"):
        model(torch.zeros(1, 64), solver="heun")
    with pytest.raises(ShapeError, match="expected"):
        model(torch.zeros(1, 63))
    with pytest.raises(ShapeError, match="noise"):
        model(torch.zeros(1, 64), noise=torch.zeros(1, 1, 64, 2))
