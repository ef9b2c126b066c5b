"""The delay axis: an echo of d frames peaks at index d_max - 1 - d, and at no other."""

import numpy as np
import pytest

from signals import HOP, RATE, delayed, speech_like

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.reference import LocalVQEConfig, random_model

SECONDS = 3


def matching_model(version, d_max, seed):
    """Return a model whose alignment compares equal features: both sides the same encoder.

    The smoothing convolution is one positive tap on the current frame and delay, so the
    delay with the most similar features wins.
    """
    model = random_model(LocalVQEConfig(version=version, d_max=d_max), seed)
    for stage in (1, 2):
        source = model.get_submodule(f"far_enc{stage}").state_dict()
        model.get_submodule(f"mic_enc{stage}").load_state_dict(source)
    align = model.align
    align.pconv_mic.load_state_dict(align.pconv_ref.state_dict())
    with torch.no_grad():
        smooth = align.conv[1]
        smooth.weight.zero_()
        smooth.weight[:, :, -1, 1] = 0.02
        smooth.bias.zero_()
    return model


def peak_index(model, delay, seed):
    far = speech_like(SECONDS * RATE // HOP * HOP, seed)
    mic, ref = (torch.from_numpy(x).float()[None] for x in (0.5 * delayed(far, delay), far))
    with torch.no_grad():
        front, _ = model.encode_and_align(mic, ref)
    weights = front.align.weights[0, 70:].mean(dim=0)  # after 1.1 s
    return int(weights.argmax())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_320_ms_echo_peaks_at_20_frames(version, seed):
    index = peak_index(matching_model(version, 32, seed), delay=5120, seed=seed)
    assert index == 32 - 1 - 20


# Whole hops only: random features do not survive a shift within the frame, trained ones do.
@pytest.mark.parametrize("frames", [0, 1, 13, 31])
def test_every_delay_of_the_window(frames):
    index = peak_index(matching_model(2, 32, 0), delay=frames * HOP, seed=3)
    assert index == 31 - frames


def test_the_window_of_64_reaches_twice_as_far():
    index = peak_index(matching_model(3, 64, 0), delay=50 * HOP, seed=4)
    assert index == 64 - 1 - 50


def test_frames_before_the_start_keep_their_share():
    """At frame 0 every delay but 0 looks at zero vectors, which are not masked."""
    model = matching_model(2, 32, 0)
    x = torch.from_numpy(speech_like(4 * HOP, 5)).float()[None]
    with torch.no_grad():
        logits = model.encode_and_align(x, x)[0].align.logits[0]
        weights = model.encode_and_align(x, x)[0].align.weights[0]
    assert torch.equal(logits[0, :-1], torch.zeros(31))
    assert logits[0, -1] > 0
    assert np.allclose(weights.sum(dim=1), 1.0, atol=1e-6)
    assert weights[0, 0] == weights[0, 30] > 0


def test_folding_the_temperature_keeps_the_distribution_and_happens_once():
    model = random_model(LocalVQEConfig(), seed=6)
    x, y = (torch.from_numpy(speech_like(30 * HOP, s)).float()[None] for s in (7, 8))
    with torch.no_grad():
        before = model.encode_and_align(x, y)[0].align.weights
        weight = model.align.conv[1].weight.clone()
        model.fold_temperature()
        after = model.encode_and_align(x, y)[0].align.weights
        folded = {name: t.clone() for name, t in model.align.state_dict().items()}
        model.fold_temperature()
    assert folded["temperature"] == 1.0
    assert torch.allclose(folded["conv.1.weight"], weight / 0.1)
    assert (after - before).abs().max() < 1e-4  # logits of 50 in float32
    for name, tensor in model.align.state_dict().items():
        assert torch.equal(tensor, folded[name]), name
