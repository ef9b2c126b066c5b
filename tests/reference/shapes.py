"""Model shapes that every property is checked on."""

from voxhop.reference import LocalVQEConfig

ODD = {
    "mic_channels": (2, 7, 13, 9, 11, 5),
    "far_channels": (2, 5, 3),
    "align_hidden": 6,
    "bottleneck_hidden": 19,
}

SHAPES = {
    "v1": LocalVQEConfig(version=1, d_max=9, **ODD),
    "v2": LocalVQEConfig(version=2, d_max=9, **ODD),
    "v3": LocalVQEConfig(version=3, d_max=20, **ODD),
    "v2-interleave": LocalVQEConfig(version=2, d_max=9, shuffle="interleave", **ODD),
    "v2-comfort": LocalVQEConfig(version=2, d_max=9, comfort_noise_db=-12.0, **ODD),
    "v3-one-delay": LocalVQEConfig(version=3, d_max=1, **ODD),
}
