"""The engine against the float64 reference model, for every version and odd shapes."""

import numpy as np
import pytest

import signals
import tolerances
import voxhop
from streams import relative_rms, run

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.export import write_gguf
from voxhop.reference import LocalVQEConfig, random_model

pytestmark = pytest.mark.torch

ODD = {
    "mic_channels": (2, 7, 11, 13, 5, 3),
    "far_channels": (2, 9, 6),
    "align_hidden": 5,
    "bottleneck_hidden": 17,
}
CASES = {
    "v1": {"version": 1},
    "v2": {"version": 2},
    "v3": {"version": 3, "d_max": 64},
    "v1-odd": {"version": 1, "d_max": 1, **ODD},
    "v2-odd": {"version": 2, "d_max": 5, **ODD},
    "v3-odd": {"version": 3, "d_max": 33, **ODD},
    "v1-interleave": {"version": 1, "d_max": 2, "shuffle": "interleave", **ODD},
    "v2-interleave": {"version": 2, "d_max": 7, "shuffle": "interleave", **ODD},
    "v3-wide": {
        "version": 3,
        "d_max": 64,
        "mic_channels": (2, 112, 32, 104, 96, 152),
        "far_channels": (2, 64, 32),
        "bottleneck_hidden": 256,
    },
}
SIGNALS = {
    "speech": lambda n: signals.echo_pair(n, 5),
    # A tone beside near-silent bins: the power law magnifies any rounding of the spectrum.
    "chirp": lambda n: (0.4 * np.sin(np.arange(n) ** 2 * 1e-5), signals.noise(n, 6, rms=0.2)),
}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("case", CASES)
def test_streamed_output_and_delays(case, signal, tmp_path):
    config = LocalVQEConfig(**CASES[case])
    reference = random_model(config, seed=11)
    path = tmp_path / "model.gguf"
    write_gguf(reference, path)
    # The odd shapes are small and run past their whole delay window.
    hops = 70 if case.endswith(("odd", "interleave")) else 12
    mic, ref = (x.astype("f4") for x in SIGNALS[signal](256 * hops))
    with torch.no_grad():
        expected, _ = reference.double()(*(torch.from_numpy(x)[None].double() for x in (mic, ref)))
    audio = expected.audio[0].numpy()
    # On the chirp only a dense sum in double repeats the rounding of the stored filterbank;
    # the fused FFT is as exact but not the same. See docs/numerics.md.
    for kernels in ("stock",) if signal == "chirp" else ("stock", "fused"):
        with voxhop.Session(voxhop.load(path), kernels=kernels) as session:
            out, weights = run(session, mic, ref, tap="align.weights")
        assert np.abs(out - audio).max() <= tolerances.ENGINE_ABSOLUTE, kernels
        assert relative_rms(out, audio) <= tolerances.ENGINE_RELATIVE_RMS, kernels
        align = expected.align[0].numpy()
        assert np.abs(weights - align).max() <= tolerances.ENGINE_ALIGN, kernels


def test_half_precision_files_give_the_same_as_their_rounded_weights(tmp_path):
    """An f16 file is the f32 model of its rounded weights, not an f16 computation."""
    reference = random_model(LocalVQEConfig(version=3, d_max=5, **ODD), seed=2)
    write_gguf(reference, tmp_path / "f16.gguf", dtype="f16")
    with torch.no_grad():
        for name, weight in reference.named_parameters():
            if weight.dim() >= 2 and name != "align.conv.1.weight":
                weight.copy_(weight.half().float())
    mic, ref = (x.astype("f4") for x in signals.echo_pair(256 * 30, 9))
    write_gguf(reference, tmp_path / "rounded.gguf")
    outputs = []
    for name in ("f16.gguf", "rounded.gguf"):
        with voxhop.Session(voxhop.load(tmp_path / name)) as session:
            outputs.append(run(session, mic, ref))
    # The align convolution is rounded after its temperature is folded in; that is all.
    assert relative_rms(outputs[0], outputs[1]) <= tolerances.F16_WEIGHTS_RELATIVE_RMS
    types = {t.type for t in voxhop.load(tmp_path / "f16.gguf").tensors}
    assert "f16" in types
