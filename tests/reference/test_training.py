"""What training needs: gradients everywhere, bf16 that stays close, and sane random models."""

import numpy as np
import pytest

import tolerances
from signals import HOP, echo_pair

torch = pytest.importorskip("torch", reason="needs the torch extra")

from shapes import SHAPES

from voxhop.reference import LocalVQEConfig, random_model


def clips(frames, seed=11):
    pairs = [echo_pair(frames * HOP, seed + i) for i in range(2)]
    return tuple(torch.from_numpy(np.stack(x)).float() for x in zip(*pairs, strict=True))


# One delay leaves the alignment nothing to choose, so nothing to learn.
@pytest.mark.parametrize("name", [name for name in SHAPES if name != "v3-one-delay"])
def test_every_parameter_gets_a_gradient(name):
    model = random_model(SHAPES[name], seed=4)
    out, _ = model(*clips(40), synthesize=False)
    (out.spectrum**2).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        if parameter_name == "align.conv.1.bias":
            continue  # shifts every logit alike, which a softmax does not see
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name
    frozen = {name for name, _ in model.named_buffers()}
    assert {"encoder.conv.weight", "decoder.linear.weight", "align.temperature"} <= frozen


@pytest.mark.parametrize("name", ["v1", "v2", "v3"])
def test_gradient_is_the_slope(name):
    """Along a random direction, in float64: catches a detach or an in-place overwrite."""
    model = random_model(SHAPES[name], seed=5).double()
    mic, ref = (x.double() for x in clips(12))

    def loss():
        out, _ = model(mic, ref, synthesize=False)
        deep = sum(x.square().mean() for x in out.decoder_inputs)
        return out.spectrum.square().sum() + out.align[..., 2].sum() + deep

    loss().backward()
    generator = torch.Generator().manual_seed(6)
    slope, step = 0.0, 1e-7
    directions = {}
    with torch.no_grad():
        for key, p in model.named_parameters():
            directions[key] = torch.randn(p.shape, generator=generator, dtype=p.dtype)
            slope += (p.grad * directions[key]).sum()
        values = []
        for sign in (1, -2):
            for key, p in model.named_parameters():
                p.add_(directions[key], alpha=sign * step)
            values.append(loss())
    measured = (values[0] - values[1]) / (2 * step)
    assert measured == pytest.approx(slope.item(), rel=1e-4)


@pytest.mark.parametrize("version", [1, 2, 3])
@torch.no_grad()
def test_bf16_autocast_stays_close_and_keeps_logits_in_float32(version):
    model = random_model(LocalVQEConfig(version=version), seed=7)
    mic, ref = clips(60)
    full, _ = model(mic, ref)
    with torch.autocast("cpu", torch.bfloat16):
        half, state = model(mic, ref)
    assert half.decoder_inputs[2].dtype == torch.bfloat16
    for name in ("spectrum", "align_logits", "align", "audio"):
        assert getattr(half, name).dtype == torch.float32, name
    assert state.bottleneck.dtype == torch.complex64
    error = (half.spectrum - full.spectrum).norm() / full.spectrum.norm()
    assert 1e-4 < error < tolerances.BF16_RELATIVE_RMS


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["v1", "v2", "v3", "v2-interleave"])
@torch.no_grad()
def test_random_models_are_realistic(name, seed):
    """Enough delay contrast, a mask that acts, no vanished or exploded layer."""
    model = random_model(SHAPES[name], seed)
    mic, ref = clips(125)
    out, _ = model(mic, ref)
    weights = out.align[:, 40:]
    assert 0.15 < weights.amax(dim=2).mean() < 0.95
    assert weights.mean(dim=(0, 1)).max() < 0.95  # not stuck on one delay
    for x in out.decoder_inputs:
        assert 0.1 < x.std() < 10
    assert 0.2 < out.audio.std() / mic.std() < 5
    ratio = (out.spectrum - out.mic_spectrum).norm() / out.mic_spectrum.norm()
    assert ratio > 0.3
    silent, _ = model(mic, torch.zeros_like(ref))
    assert (silent.audio - out.audio).norm() > 0.01 * out.audio.norm()


def test_random_models_repeat_and_leave_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = random_model(SHAPES["v2"], seed=8).state_dict()
    assert torch.equal(torch.rand(3), expected)
    again = random_model(SHAPES["v2"], seed=8).state_dict()
    other = random_model(SHAPES["v2"], seed=9).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["dec5.deconv.conv.weight"], other["dec5.deconv.conv.weight"])
