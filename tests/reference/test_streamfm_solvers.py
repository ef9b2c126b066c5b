"""Tableaus, the flow's path and the noise by counter."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ArgumentError
from voxhop.reference.philox import complex_normal, philox4x32
from voxhop.reference.solvers import LearnedTableau, Tableau, named_tableaus
from voxhop.reference.streamfm import random_streamfm
from voxhop.reference.streamfm.config import StreamFMConfig

TABLEAUS = named_tableaus()
ORDERS = {
    "euler1": 1, "euler5": 1, "midpoint2": 2, "ralston2": 2, "ralston3": 3, "rk4_38": 4,
    "ralston3+2": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", TABLEAUS)
def test_sums(name):
    t = TABLEAUS[name]
    assert sum(t.b) == pytest.approx(1)
    assert np.sum(t.a, axis=1) == pytest.approx(t.c)


def test_the_joint_of_two_as_the_specification_lists_it():
    t = TABLEAUS["ralston3+2"]
    assert t.c == pytest.approx((0, 0.275, 0.4125, 0.55, 0.85))
    assert t.b == pytest.approx((0.122222, 0.183333, 0.244444, 0.1125, 0.3375), abs=1e-6)
    assert t.a[4] == pytest.approx((0.122222, 0.183333, 0.244444, 0.3, 0), abs=1e-6)


def worst_error(t, steps):
    """y' = -2 y + sin 3 t over [0, 1] from y = 1, against its solution at every step."""
    y, h, worst = 1.0, 1 / steps, 0.0
    for n in range(steps):
        k = []
        for row, c in zip(t.a, t.c, strict=True):
            at = y + h * sum(a * s for a, s in zip(row, k, strict=False))
            k.append(-2 * at + np.sin(3 * (n + c) * h))
        y += h * sum(b * s for b, s in zip(t.b, k, strict=True))
        end = (n + 1) * h
        exact = 16 / 13 * np.exp(-2 * end) + (2 * np.sin(3 * end) - 3 * np.cos(3 * end)) / 13
        worst = max(worst, abs(y - exact))
    return worst


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_order(name, order):
    slope = np.log2(worst_error(TABLEAUS[name], 20) / worst_error(TABLEAUS[name], 40))
    assert order - 0.1 < slope < order + 0.4


@pytest.mark.parametrize("start", ["ralston3+2", "rk4_38"])
def test_a_learned_tableau_starts_where_it_should_and_stays_valid(start):
    learned = LearnedTableau(TABLEAUS[start])
    first = learned.tableau()
    assert first.c == pytest.approx(np.minimum(TABLEAUS[start].c, 0.85), abs=1e-5)
    assert first.b == pytest.approx(TABLEAUS[start].b, abs=1e-5)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in learned.parameters():
            p.copy_(3 * torch.randn_like(p))
    a, b, c = (v.detach() for v in learned())
    assert b.sum() == pytest.approx(1, abs=1e-5)
    assert b.min() >= 0.05 - 1e-6
    assert (c.diff() > 0).all()
    assert c[0] == 0
    assert c[-1] <= 0.85 + 1e-6
    assert torch.allclose(a.sum(1), c, atol=1e-4)
    assert torch.equal(a, torch.tril(a, -1))


def test_penalty_is_the_excess():
    learned = LearnedTableau(TABLEAUS["ralston3"])
    assert learned.penalty() == 0
    with torch.no_grad():
        learned.raw_a[2] = torch.tensor([-4.0, 5.0, 0])
    a, _, c = (v.detach() for v in learned())
    assert a[2].tolist() == pytest.approx([-4 * float(c[2]), 5 * float(c[2]), 0], rel=1e-5)
    expected = 0.1 * ((4 * float(c[2]) - 2) ** 2 + (5 * float(c[2]) - 2) ** 2)
    assert learned.penalty().item() == pytest.approx(expected, rel=1e-5)


def test_bad_tableaus():
    with pytest.raises(ArgumentError, match="diagonal"):
        Tableau(((0.5,),), (1.0,), (0.0,))
    with pytest.raises(ArgumentError, match="sums"):
        Tableau(((0.0,),), (0.9,), (0.0,))
    with pytest.raises(ArgumentError, match="same number"):
        Tableau(((0.0,),), (0.5, 0.5), (0.0, 0.5))


def test_a_perfect_slope_reaches_the_clean_end(monkeypatch):
    model = random_streamfm(StreamFMConfig(nf=4, n_fft=128), 0).double()
    y, x1, z = (torch.randn(1, 64, 5, dtype=torch.complex128) for _ in range(3))
    x0 = y + model.sigma_y.double()[None, :, None] * z
    slope = x1 - x0
    monkeypatch.setattr(model, "velocity", lambda *_: (slope, {}))
    for name in ("euler1", "rk4_38"):
        out, _ = model.solve(x0, y, y, TABLEAUS[name])
        assert (out - x1).abs().max() < 1e-12


def test_philox_gives_the_published_words():
    # Known answers that the generator's authors publish with it.
    def words(counter, key):
        lanes = tuple(np.array([w], dtype=np.uint64) for w in counter)
        return [int(w[0]) for w in philox4x32(lanes, key)]

    ones = 0xFFFFFFFF
    assert words((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert words((ones,) * 4, (ones,) * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert words((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)) == [
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    ]


def test_noise_has_variance_one_half_and_counts_frames():
    noise = complex_normal(3, 0, 2000, 64)
    assert noise.shape == (2000, 2, 64)
    assert np.abs(noise.var(axis=(0, 2)) - 0.5).max() < 0.01
    assert abs(noise.mean()) < 0.01
    assert abs((noise[:, 0] * noise[:, 1]).mean()) < 0.01
    assert np.array_equal(complex_normal(3, 1500, 10, 64), noise[1500:1510])
    assert np.array_equal(complex_normal(3, 0, 1, 200)[..., :64], noise[:1])
    assert not np.array_equal(complex_normal(3 + (1 << 32), 0, 1, 64), noise[:1])
    far = complex_normal(3, (1 << 32) + 7, 1, 64)
    assert not np.array_equal(far, noise[7:8])
    with pytest.raises(ArgumentError, match="seed"):
        complex_normal(-1, 0, 1, 1)
