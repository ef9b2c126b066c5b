"""Models with random but realistic weights, for tests and benchmarks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voxhop.reference.localvqe import LocalVQE
from voxhop.reference.localvqe.config import MASK_CHANNELS, LocalVQEConfig
from voxhop.reference.localvqe.mask import CURRENT_TAP

# He's gain keeps the variance of a rectified layer. Generation 1 adds residuals without
# a norm between them, so there each layer must add less.
_CONV_GAIN = {1: 1.0, 2: 2.0, 3: 2.0}
# Gain of the alignment's projections at which the delay distribution is neither flat nor
# one-hot: its mean maximum lies between 0.2 and 0.9.
_SCORE_GAIN = {1: 0.9, 2: 0.4, 3: 0.4}
_PARTS = ("real", "imag")


def random_model(config: LocalVQEConfig, seed: int) -> LocalVQE:
    """Return a model whose activations stay in realistic ranges through all layers.

    Every weight differs from its initial value, so that a layer left out, a gain not
    applied or two biases swapped change the output.

    Parameters
    ----------
    config
        Shape and generation.
    seed
        The same seed gives the same weights. The global generator is left alone.

    Returns
    -------
    LocalVQE
        In float32 and evaluation mode, temperature 0.1 not folded.
    """
    with torch.random.fork_rng(devices=[]):
        model = LocalVQE(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(_draw(name, weight, config.version, generator))
    return model


def _draw(name: str, weight: Tensor, version: int, generator: torch.Generator) -> Tensor:
    """Draw one parameter by the role that its name tells."""
    normal = torch.randn(weight.shape, generator=generator)
    uniform = torch.rand(weight.shape, generator=generator)
    fan_in = max(weight[:1].numel(), 1)
    special = {
        "dec1.deconv.conv.weight": 0.3 / math.sqrt(fan_in) * normal,
        "align.conv.1.weight": math.sqrt(1.0 / fan_in) * normal,
        "bottleneck.A_log_rate": 8.0 * uniform - 6.0,
        "bottleneck.A_theta": math.pi * uniform,
        **{f"bottleneck.{matrix}_{part}": 0.5 * normal for matrix in "BC" for part in _PARTS},
    }
    if name in special:
        return special[name]
    if name == "dec1.deconv.conv.bias":
        normal[[CURRENT_TAP, MASK_CHANNELS + CURRENT_TAP]] += 5.0
    if name.startswith("align.pconv") and weight.dim() > 1:
        # Blind to the mean of all channels, which is alike at every delay: scored, it
        # would pin the distribution to one end of the axis.
        return math.sqrt(_SCORE_GAIN[version] / fan_in) * (normal - normal.mean(1, keepdim=True))
    if weight.dim() > 1:
        rectified = weight.shape[2:].numel() > 1
        gain = _CONV_GAIN[version] if rectified else 1.0
        return math.sqrt(gain / fan_in) * normal
    if name.endswith((".weight", ".scale", "bottleneck.D")):
        return 1.0 + 0.2 * normal
    return 0.1 * normal
