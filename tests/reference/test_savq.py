"""SAVQ: from soft to hard, where gradients go, and the loss that keeps codes in use."""

import math

import pytest

import tolerances

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ArgumentError
from voxhop.reference.savq import SAVQ, log_weights, rwss

FRAMES, WIDTH, DIM = 40, 7, 5
F64 = torch.float64


@pytest.fixture
def vq():
    torch.manual_seed(0)
    return SAVQ(4, 20, 32, dim=DIM, width=WIDTH).double()


@pytest.fixture
def queries():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, FRAMES, 24, DIM, dtype=F64, generator=generator, requires_grad=True)


def plain(queries, keys, values, temperature, groups):
    """The published formula, group by group: softmax(sqrt(D) cosine / T) V."""
    out = torch.zeros(*queries.shape[:2], values.shape[1], dtype=F64)
    for g in groups:
        k, v = keys[32 * g : 32 * g + 32], values[32 * g : 32 * g + 32]
        cosine = torch.nn.functional.cosine_similarity(queries[:, :, g, None], k, dim=-1)
        out = out + torch.softmax(math.sqrt(queries.shape[-1]) * cosine / temperature, -1) @ v
    return out


@pytest.mark.parametrize("temperature", [1.0, 0.02, 1e-4])
def test_output_is_the_formula_at_the_temperature(vq, queries, temperature):
    found = vq.attend(queries, temperature, 0.5)
    for z, groups in ((found.z_a, range(4)), (found.z_b, range(4, 24))):
        expected = plain(queries, vq.key, vq.value, temperature, groups)
        assert (z - expected).abs().max() <= tolerances.F64_REORDERED * 10


def test_cold_attention_is_the_lookup(vq, queries):
    codes = vq.codes(queries)
    found = vq.attend(queries, 1e-6, 0.01)
    assert (found.z_a - vq.lookup(codes[..., :4])).abs().max() < 1e-4
    assert (found.z_a + found.z_b - vq.lookup(codes)).abs().max() < 1e-4


def test_codes_do_not_depend_on_lengths_and_the_lowest_of_equals_wins(vq, queries):
    codes = vq.codes(queries)
    with torch.no_grad():
        vq.key.mul_(torch.rand(768, 1, dtype=F64) + 0.1)
        assert torch.equal(vq.codes(3 * queries), codes)
        vq.key.view(24, 32, DIM)[:, 20:30] = vq.key.view(24, 32, DIM)[:, 10:20].clone()
        found = vq.codes(queries)
    assert ((found >= 10) & (found < 20)).any()
    assert not ((found >= 20) & (found < 30)).any()


@pytest.mark.parametrize(("temperature", "floor"), [(1e-4, 1e-2), (0.3, 1e-2)])
def test_queries_learn_at_the_floor_and_tables_at_the_temperature(vq, queries, temperature, floor):
    """Exact routing, for a linear loss of both modes' outputs."""
    loss = torch.randn(2, 2, FRAMES, WIDTH, dtype=F64, generator=torch.Generator().manual_seed(2))
    found = vq.attend(queries, temperature, floor)
    routed = torch.autograd.grad(
        (loss[0] * found.z_a + loss[1] * found.z_b).sum(), (queries, vq.key, vq.value)
    )

    def gradient(t):
        out = (
            loss[0] * plain(queries, vq.key, vq.value, t, range(4))
            + loss[1] * plain(queries, vq.key, vq.value, t, range(4, 24))
        ).sum()
        return torch.autograd.grad(out, (queries, vq.key, vq.value))

    warm, cold = gradient(max(temperature, floor)), gradient(temperature)
    for found_one, expected in zip(routed, (warm[0], cold[1], cold[2]), strict=True):
        scale = expected.abs().max()
        assert scale > 0
        assert (found_one - expected).abs().max() <= 1e-9 * scale
    if temperature < floor:
        assert (warm[0] - cold[0]).abs().max() > 0.1 * warm[0].abs().max()


def test_rwss_is_the_formula():
    generator = torch.Generator().manual_seed(3)
    log_p = torch.log_softmax(3 * torch.randn(100, 3, 8, dtype=F64, generator=generator), -1)
    total = 0.0
    for g in range(3):
        wins = log_p[:, g].argmax(1)
        for k in range(8):
            share = float((wins == k).sum()) / 100
            top = sorted(log_p[:, g, k].tolist(), reverse=True)[:5]
            total += -sum(top) / 5 / (share + 1e-3)
    assert float(rwss(log_p)) == pytest.approx(total / 24, rel=1e-12)


def test_rwss_revives_a_code_that_never_wins():
    torch.manual_seed(4)
    vq = SAVQ(1, 0, 8, dim=4, width=3)
    queries = torch.randn(200, 1, 4)
    queries[..., 0] = queries[..., 0].abs() + 1
    with torch.no_grad():
        vq.key[0] = torch.tensor([-1.0, 0, 0, 0])  # on the side where no query is

    def share():
        return float((vq.codes(queries) == 0).float().mean())

    assert share() == 0
    optimizer = torch.optim.Adam([vq.key], 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        rwss(log_weights(vq.cosines(queries)[:, :], 4, 0.5)).backward()
        optimizer.step()
    assert share() > 0.02


def test_log_weights_stay_finite_where_weights_underflow(vq, queries):
    log_p = log_weights(vq.cosines(queries), DIM, 1e-7)
    assert torch.isfinite(log_p).all()
    assert float(log_p.detach().min()) < -1e6


def test_temperatures_of_zero_are_refused(vq, queries):
    for temperature, floor in ((0.0, 0.01), (0.1, 0.0)):
        with pytest.raises(ArgumentError, match="expected above 0"):
            vq.attend(queries, temperature, floor)
