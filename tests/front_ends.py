"""Networks that give back what their front-end leaves, and what they can run on."""

import torch

import voxhop
from voxhop.reference import LocalVQE, LocalVQEConfig

KERNEL_SETS = [("stock", "auto"), *(("fused", isa) for isa in voxhop.cpu_isas())]


def transparent(inputs=2, **front_end):
    """Return a narrow network with an identity mask, `front_end` as in its configuration."""
    torch.manual_seed(3)
    config = LocalVQEConfig(
        mic_channels=(inputs, 4, 4, 4, 4, 4),
        far_channels=(2, 4, 4),
        align_hidden=4,
        bottleneck_hidden=8,
        d_max=4,
        **front_end,
    )
    model = LocalVQE(config)
    model.identity_mask_(0.0)
    return model
