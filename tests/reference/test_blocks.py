"""Each block against its formula, written the slow way."""

import math

import numpy as np
import pytest

import tolerances
from signals import HOP, noise

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.reference.filterbank import Analysis, Synthesis, dct_basis, stft_basis
from voxhop.reference.localvqe.align import banded_scores, banded_sum
from voxhop.reference.localvqe.blocks import CausalConv, FrameNorm, double_bins
from voxhop.reference.localvqe.mask import ConvolvingMask
from voxhop.reference.localvqe.s4d import S4D, polar_from_pole

F64 = torch.float64


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def close(found, expected, limit=tolerances.F64_REORDERED):
    return (found - expected).abs().max() <= limit * expected.abs().max()


def frames_of(audio):
    """Return windows [previous hop | hop] of a numpy signal, starting from silence."""
    hops = np.concatenate((np.zeros(HOP), audio)).reshape(-1, HOP)
    return np.concatenate((hops[:-1], hops[1:]), axis=1)


def test_spectrum_and_its_norm_are_those_of_an_fft():
    audio = noise(20 * HOP, 1)
    spectrum, _ = Analysis(stft_basis()[0]).double()(torch.from_numpy(audio)[None])
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(512) + 0.5) / 512))
    expected = np.fft.rfft(frames_of(audio) * window, axis=1)[:, 1:]  # bins 1..256
    found = torch.view_as_complex(spectrum[0].contiguous()).numpy()
    assert np.abs(found - expected).max() <= tolerances.F32_TABLE * np.abs(expected).max()
    norms = np.linalg.norm(found), np.linalg.norm(expected)
    assert norms[0] == pytest.approx(norms[1], rel=tolerances.F32_TABLE)


def test_stft_pair_removes_dc_and_doubles_nyquist():
    audio = noise(20 * HOP, 2)
    analysis, synthesis = stft_basis()
    spectrum, _ = Analysis(analysis).double()(torch.from_numpy(audio)[None])
    found, _ = Synthesis(synthesis, gain=1.0).double()(spectrum)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(512) + 0.5) / 512))
    bins = np.fft.rfft(frames_of(audio) * window, axis=1)
    bins[:, 0] = 0.0
    bins[:, 256] *= 2.0
    frames = np.fft.irfft(bins, axis=1) * window
    expected = frames[:, :HOP] + np.concatenate((np.zeros((1, HOP)), frames[:-1, HOP:]))
    assert np.abs(found[0].numpy() - expected.ravel()).max() <= tolerances.F32_TABLE


def test_dct_pair_returns_the_input_one_hop_late():
    audio = torch.from_numpy(noise(20 * HOP, 3))[None]
    analysis, synthesis = dct_basis()
    spectrum, _ = Analysis(analysis).double()(audio)
    found, _ = Synthesis(synthesis, gain=0.5).double()(spectrum)
    assert (found[:, HOP:] - audio[:, :-HOP]).abs().max() <= tolerances.F32_TABLE


def test_norm_uses_one_frame_and_both_axes():
    norm = FrameNorm(5).double()
    with torch.no_grad():
        norm.weight.copy_(draw(5, seed=1))
        norm.bias.copy_(draw(5, seed=2))
    x = draw(2, 3, 8, 5)
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(2, 3), keepdim=True)
    expected = norm.weight * (x - mean) / torch.sqrt(variance + 1e-5) + norm.bias
    assert close(norm(x), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_pads_three_frames_before_and_one_bin_below(stride):
    conv = CausalConv(3, 2, stride=stride).double()
    with torch.no_grad():
        conv.bias.copy_(draw(2, seed=4))
        x = draw(1, 6, 8, 3, seed=5)
        found, _ = conv(x, None)
        w = conv.weight
        expected = torch.zeros_like(found)
        for t, f in np.ndindex(6, 8 // stride):
            acc = conv.bias.clone()
            for i, j in np.ndindex(4, 4):
                past, bin_ = t + i - 3, stride * f + j - 1
                if past >= 0 and 0 <= bin_ < 8:
                    acc += w[:, :, i, j] @ x[0, past, bin_]
            expected[0, t, f] = acc
    assert close(found, expected)


def test_halves_put_the_second_half_of_the_channels_above():
    x = torch.arange(2 * 3 * 4.0).view(1, 2, 3, 4)  # F = 3, 2C = 4
    y = double_bins(x, "halves")
    assert y.shape == (1, 2, 6, 2)
    for g, c in np.ndindex(3, 2):
        assert torch.equal(y[:, :, g, c], x[:, :, g, c])
        assert torch.equal(y[:, :, 3 + g, c], x[:, :, g, 2 + c])


def test_interleave_puts_them_on_odd_bins():
    x = torch.arange(2 * 3 * 4.0).view(1, 2, 3, 4)
    y = double_bins(x, "interleave")
    assert y.shape == (1, 2, 6, 2)
    for g, c in np.ndindex(3, 2):
        assert torch.equal(y[:, :, 2 * g, c], x[:, :, g, c])
        assert torch.equal(y[:, :, 2 * g + 1, c], x[:, :, g, 2 + c])


@pytest.mark.parametrize("frames", [1, 6, 7, 8, 20])
def test_banded_products_are_the_plain_sums_oldest_first(frames):
    D, F, h, C = 7, 4, 3, 5
    query, keys = draw(2, frames, F, h, seed=6), draw(2, D - 1 + frames, F, h, seed=7)
    weights, features = draw(2, frames, D, seed=8), draw(2, D - 1 + frames, F, C, seed=9)
    scores = torch.zeros(2, h, frames, D, dtype=F64)
    aligned = torch.zeros(2, frames, F, C, dtype=F64)
    for t, i in np.ndindex(frames, D):
        scores[:, :, t, i] = (query[:, t] * keys[:, t + i]).sum(dim=1) / math.sqrt(F)
        aligned[:, t] += weights[:, t, i, None, None] * features[:, t + i]
    assert close(banded_scores(query, keys, D), scores)
    assert close(banded_sum(weights, features), aligned)


def s4d(seed):
    torch.manual_seed(seed)
    return S4D(6, 11).double()


@pytest.mark.parametrize("frames", [1, 2, 50, 700])
@pytest.mark.parametrize("started", [False, True])
@torch.no_grad()
def test_s4d_convolution_equals_the_recurrence(frames, started):
    block, v = s4d(1), draw(2, frames, 11, seed=10)
    state = torch.complex(draw(2, 11, seed=11), draw(2, 11, seed=12)) if started else None
    y, h = block.convolve(v, state)
    expected_y, expected_h = block.recur(v, state)
    assert close(y, expected_y, tolerances.F64_FFT)
    assert (h - expected_h).abs().max() <= tolerances.F64_FFT * expected_h.abs().max()


@pytest.mark.parametrize("seed", range(5))
@torch.no_grad()
def test_s4d_state_stays_within_its_bound(seed):
    """|h| <= |b| max|v| / (1 - r): the geometric series; and r never exceeds exp(-0.01)."""
    block = s4d(seed)
    block.A_log_rate[0] = -30.0  # as slow as the clamp allows
    v = 2.0 * torch.sign(draw(1, 1500, 11, seed=seed))
    # On resonance, which is the worst case of the bound.
    v[0, :, 0] = 2.0 * torch.sign(torch.cos(block.A_theta[0] * torch.arange(1500)))
    r = block.log_pole().exp().abs()
    assert r.max() == pytest.approx(math.exp(-0.01), abs=1e-12)
    bound = torch.complex(block.B_real, block.B_imag).abs() * 2.0 / (1.0 - r)
    state, peak = None, torch.zeros(11, dtype=F64)
    for hop in v.split(1, dim=1):
        _, state = block.recur(hop, state)
        peak = torch.maximum(peak, state[0].abs())
    assert (peak <= bound).all()
    assert peak[0] > 0.6 * bound[0]


def test_pole_parameters_are_recovered():
    block = s4d(2)
    with torch.no_grad():
        block.A_log_rate[:2] = torch.tensor([-9.0, 5.0])  # clamped; almost no memory
        a = block.log_pole().exp()
        block.A_log_rate.copy_(polar_from_pole(a.real, a.imag)[0])
        block.A_theta.copy_(polar_from_pole(a.real, a.imag)[1])
        assert (block.log_pole().exp() - a).abs().max() < tolerances.F64_REORDERED


def test_mask_is_the_complex_convolution_of_the_paper():
    T, F = 5, 6
    mask, x = draw(1, T, F, 27, seed=13), draw(1, T, F, 2, seed=14)
    found, _ = ConvolvingMask().double()(mask, x, None)
    z = torch.view_as_complex(x)[0]
    basis = [np.exp(2j * np.pi * r / 3) for r in range(3)]
    expected = torch.zeros(T, F, dtype=torch.complex128)
    for t, f, m, n in np.ndindex(T, F, 3, 3):
        frame, bin_ = t + m - 2, f + n - 1
        if frame >= 0 and 0 <= bin_ < F:
            tap = 3 * m + n
            weight = sum(basis[r] * mask[0, t, f, 9 * r + tap] for r in range(3))
            expected[t, f] += weight * z[frame, bin_]
    # The mask's sqrt(3)/2 is a float32 constant.
    assert (torch.view_as_complex(found)[0] - expected).abs().max() <= tolerances.F32_TABLE * 10


@pytest.mark.parametrize("shuffle", ["halves", "interleave"])
@pytest.mark.parametrize("version", [1, 2, 3])
@torch.no_grad()
def test_identity_mask_passes_the_spectrum_exactly(version, shuffle):
    model = LocalVQE(LocalVQEConfig(version=version, shuffle=shuffle))
    model.identity_mask_(0.0)
    mic, ref = (torch.from_numpy(noise(12 * HOP, seed)).float()[None] for seed in (4, 5))
    out, _ = model(mic, ref)
    assert torch.equal(out.spectrum, out.mic_spectrum)
    assert out.spectrum.abs().max() > 0.1


@pytest.mark.parametrize("power", [0.3, 0.7])
def test_compression_keeps_the_phase_and_raises_the_magnitude(power):
    model = LocalVQE(LocalVQEConfig(power_law_c=power))
    x = draw(1, 3, 4, 2, seed=15)
    x[0, 0, 0] = 0.0
    found = torch.view_as_complex(model.compress(x))
    z = torch.view_as_complex(x)
    expected = torch.polar(z.abs() ** power, z.angle())
    assert (found - expected).abs().max() < 1e-9  # eps moves magnitudes near 1 by 1e-12
    assert found[0, 0, 0] == 0
