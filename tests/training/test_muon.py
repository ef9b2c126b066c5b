"""Steps whose singular values are equal, beside AdamW's own."""

import pytest
import torch

from voxhop.training.run.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(16, 16), (24, 8), (3, 8, 24)])
def test_singular_values_come_near_one_and_vectors_stay(shape):
    generator = torch.Generator().manual_seed(1)
    u, s, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    s = torch.linspace(1, 0.05, s.shape[-1]) * torch.ones_like(s)
    found = orthogonal(1e-6 * (u * s[..., None, :]) @ v)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.25
    turned = u.mT @ found @ v.mT
    assert (turned - torch.diag_embed(turned.diagonal(dim1=-2, dim2=-1))).abs().max() < 1e-3


def both(**settings):
    torch.manual_seed(2)
    matrix, vector = torch.nn.Parameter(torch.randn(6, 4)), torch.nn.Parameter(torch.randn(5))
    groups = [
        {"params": [matrix], "orthogonal": 4.0},
        {"params": [vector], "orthogonal": 0.0},
    ]
    return matrix, vector, Muon(groups, **settings)


def test_a_step_has_the_size_it_is_told_and_falls():
    matrix, vector, optimizer = both(lr=1e-2, weight_decay=0.0)
    before = matrix.detach().clone()
    target = torch.randn(6, 4)
    (matrix - target).square().sum().backward()
    vector.grad = torch.zeros_like(vector)
    optimizer.step()
    step = matrix.detach() - before
    values = torch.linalg.svdvals(step)
    assert values.min() > 0.6 * 4e-2
    assert values.max() < 1.25 * 4e-2
    assert float((step * (before - target)).sum()) < 0


def test_other_parameters_take_adamws_steps():
    _, vector, optimizer = both(lr=1e-2, weight_decay=0.1)
    other = torch.nn.Parameter(vector.detach().clone())
    plain = torch.optim.AdamW([other], lr=1e-2, weight_decay=0.1)
    for i in range(3):
        for p in (vector, other):
            p.grad = torch.linspace(-1, 1, 5) * (i + 1)
        optimizer.step()
        plain.step()
    assert torch.equal(vector, other)


def test_decay_pulls_matrices_in():
    matrix, vector, optimizer = both(lr=0.5, weight_decay=1.0)
    before = matrix.detach().clone()
    matrix.grad, vector.grad = torch.zeros_like(matrix), torch.zeros_like(vector)
    optimizer.step()
    assert torch.allclose(matrix.detach(), before / 2)


def test_saved_steps_go_on_as_they_would_have():
    def run(steps, saved=None):
        matrix, vector, optimizer = both(lr=1e-2, weight_decay=0.01)
        if saved:
            for p, value in zip((matrix, vector), saved[0], strict=True):
                p.data.copy_(value)
            optimizer.load_state_dict(saved[1])
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            for p in (matrix, vector):
                p.grad = torch.randn(p.shape, generator=generator)
            optimizer.step()
        return [matrix.detach(), vector.detach()], optimizer.state_dict()

    whole, _ = run(range(6))
    parted, _ = run(range(3, 6), run(range(3)))
    assert all(torch.equal(a, b) for a, b in zip(whole, parted, strict=True))


def test_a_step_goes_on_where_the_last_ones_went():
    matrix, vector, optimizer = both(lr=1e-2, weight_decay=0.0)
    vector.grad = torch.zeros_like(vector)
    matrix.grad = torch.ones_like(matrix)
    optimizer.step()
    before = matrix.detach().clone()
    matrix.grad = torch.zeros_like(matrix)
    optimizer.step()
    assert bool((matrix.detach() < before - 1e-3).all())
