"""Means of models: of weights, of one shape, whatever the model."""

import numpy as np
import pytest

import voxhop
from scripts import run_tool
from streams import GOLDEN

pytestmark = pytest.mark.torch

SEFLOW = GOLDEN.parent / "seflow-random" / "model-f32.gguf"
LOCALVQE = GOLDEN / "model-f32.gguf"


def mean(out, *models, **options):
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return run_tool("mean_of_models.py", *models, "--out", out, *flags)


def test_the_weights_are_means(tmp_path):
    import torch  # noqa: PLC0415 - of the mark

    from voxhop.export import read_gguf, write_gguf  # noqa: PLC0415 - the same

    one = read_gguf(LOCALVQE)
    other = read_gguf(LOCALVQE)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5).add_(0.25)
    write_gguf(other, tmp_path / "other.gguf", dtype="f32")
    done = mean(tmp_path / "mean.gguf", LOCALVQE, tmp_path / "other.gguf")
    assert done.returncode == 0, done.stderr
    found = read_gguf(tmp_path / "mean.gguf").state_dict()
    moved = 0
    for name, tensor in one.state_dict().items():
        if name.startswith("bottleneck.A_"):
            continue  # a file has the poles that they make
        expected = (tensor.double() + other.state_dict()[name].double()) / 2
        assert torch.allclose(found[name].double(), expected, rtol=1e-6, atol=1e-9), name
        moved += not torch.equal(found[name], tensor)
    assert moved > 50


@pytest.mark.parametrize("model", [LOCALVQE, SEFLOW], ids=["localvqe", "seflow"])
def test_a_model_with_itself_is_itself(tmp_path, model):
    done = mean(tmp_path / "mean.gguf", model, model, model)
    assert done.returncode == 0, done.stderr
    outs = []
    for path in (model, tmp_path / "mean.gguf"):
        with voxhop.load(path) as loaded, loaded.session() as session:
            mic = np.sin(np.arange(session.hop_length)).astype("f4")
            outs.append(session.process_hop(mic))
    assert np.array_equal(*outs)


def test_what_has_no_mean(tmp_path):
    done = mean(tmp_path / "mean.gguf", LOCALVQE)
    assert done.returncode == 2
    assert "one model, expected two or more" in done.stderr
    done = mean(tmp_path / "mean.gguf", LOCALVQE, voxhop.models.find_model("voxhop-localvqe-small"))
    assert done.returncode == 2
    assert "another shape" in done.stderr
    assert mean(tmp_path / "mean.gguf", tmp_path / "none.gguf", LOCALVQE).returncode == 2
    assert not list(tmp_path.iterdir())
