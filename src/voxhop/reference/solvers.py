"""Explicit Runge-Kutta solvers over one step from 0 to 1, fixed and learned.

q stages: k_i = v(x_0 + sum_{j<i} a_ij k_j, c_i), x_1 = x_0 + sum_i b_i k_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from voxhop.errors import ArgumentError

C_MAX = 0.85  # close to 1 the flow is badly conditioned
B_MIN = 0.05
A_LIMIT = 2.0
_TOLERANCE = 1e-5  # tableaus are stored in float32


@dataclass(frozen=True)
class Tableau:
    """One explicit Runge-Kutta step.

    Attributes
    ----------
    a : tuple of q rows of q numbers
        Strictly lower triangular.
    b, c : tuple of q numbers
        Weights, which sum to 1, and times in [0, 1].
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]

    def __post_init__(self) -> None:
        q = len(self.b)
        if not q or len(self.c) != q or [len(row) for row in self.a] != [q] * q:
            raise ArgumentError(
                f"tableau: {len(self.a)} rows of a, {q} of b, {len(self.c)} of c, "
                "expected the same number"
            )
        if any(value for i, row in enumerate(self.a) for value in row[i:]):
            raise ArgumentError("tableau: a has values on or above its diagonal, expected 0")
        if not all(0 <= time <= 1 for time in self.c):
            raise ArgumentError(f"tableau: c {self.c}, expected times in [0, 1]")
        if abs(sum(self.b) - 1) > _TOLERANCE:
            raise ArgumentError(f"tableau: b sums to {sum(self.b)}, expected 1")

    @property
    def stages(self) -> int:
        """Network calls of a step."""
        return len(self.b)


def euler(steps: int) -> Tableau:
    """Return ``steps`` equal Euler steps as one tableau."""
    rows = [[1 / steps if j < i else 0.0 for j in range(steps)] for i in range(steps)]
    return _tableau(rows, [1 / steps] * steps, [i / steps for i in range(steps)])


def chained(first: Tableau, second: Tableau, split: float) -> Tableau:
    """Return ``first`` over [0, split], then ``second`` over [split, 1], as one tableau."""
    head = [[split * value for value in row] + [0.0] * second.stages for row in first.a]
    joint = [split * value for value in first.b]
    tail = [joint + [(1 - split) * value for value in row] for row in second.a]
    b = joint + [(1 - split) * value for value in second.b]
    c = [split * time for time in first.c] + [split + (1 - split) * time for time in second.c]
    return _tableau(head + tail, b, c)


def named_tableaus() -> dict[str, Tableau]:
    """Return the solvers that every new file carries, by name."""
    midpoint = _tableau([[0, 0], [0.5, 0]], [0, 1], [0, 0.5])
    ralston2 = _tableau([[0, 0], [2 / 3, 0]], [1 / 4, 3 / 4], [0, 2 / 3])
    ralston3 = _tableau(
        [[0, 0, 0], [1 / 2, 0, 0], [0, 3 / 4, 0]], [2 / 9, 1 / 3, 4 / 9], [0, 1 / 2, 3 / 4]
    )
    rk4_38 = _tableau(
        [[0, 0, 0, 0], [1 / 3, 0, 0, 0], [-1 / 3, 1, 0, 0], [1, -1, 1, 0]],
        [1 / 8, 3 / 8, 3 / 8, 1 / 8],
        [0, 1 / 3, 2 / 3, 1],
    )
    return {
        **{f"euler{n}": euler(n) for n in (1, 2, 4, 5)},
        "midpoint2": chained(midpoint, midpoint, 0.5),
        "ralston2": ralston2,
        "ralston3": ralston3,
        "rk4_38": rk4_38,
        # 0.55 puts the last evaluation at C_MAX.
        "ralston3+2": chained(ralston3, ralston2, 0.55),
    }


def _tableau(a: list[list[float]], b: list[float], c: list[float]) -> Tableau:
    return Tableau(
        tuple(tuple(float(value) for value in row) for row in a),
        tuple(float(value) for value in b),
        tuple(float(value) for value in c),
    )


LEARNED: Final = "learned"
"""Name of a learned tableau among a model's."""


class LearnedTableau(nn.Module):
    """A tableau with trainable numbers that is a valid one whatever they are.

    Times ascend from 0 and end at `C_MAX` at most, every weight is at least `B_MIN`, and
    each row of a sums to its time. The order of the start is not kept.

    Parameters
    ----------
    start
        Where training starts. Its a, b and c come back as they are when they fit the
        bounds: times that ascend by less than 1, weights above `B_MIN`.
    """

    def __init__(self, start: Tableau) -> None:
        super().__init__()
        q = start.stages
        c = np.minimum(np.asarray(start.c), C_MAX)
        steps = np.clip(np.diff(c), 1e-3, 1 - 1e-3)
        spare = np.maximum(np.asarray(start.b) - B_MIN, 1e-4)
        self.raw_a = nn.Parameter(torch.as_tensor(np.asarray(start.a), dtype=torch.float32))
        self.raw_b = nn.Parameter(torch.as_tensor(np.log(spare), dtype=torch.float32))
        self.raw_c = nn.Parameter(torch.as_tensor(np.log(steps / (1 - steps)), dtype=torch.float32))
        self.stages = q

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return a (q, q), b (q) and c (q)."""
        times = torch.cumsum(torch.sigmoid(self.raw_c), 0)
        if len(times):
            times = times * torch.clamp(C_MAX / times[-1], max=1.0)
        c = torch.cat((times.new_zeros(1), times))
        b = (1 - self.stages * B_MIN) * torch.softmax(self.raw_b, 0) + B_MIN
        return self._rows(c), b, c

    def _rows(self, c: Tensor) -> Tensor:
        """Scale each row of raw a to the sum c_i; one that sums to nothing is shifted instead."""
        raw = torch.tril(self.raw_a, -1)
        sums = raw.sum(1, keepdim=True)
        nothing = sums.abs() < 1e-3  # noqa: PLR2004
        scaled = raw * (c[:, None] / torch.where(nothing, torch.ones_like(sums), sums))
        below = torch.tril(torch.ones_like(raw), -1)
        shifted = raw + below * (c[:, None] - sums) / below.sum(1, keepdim=True).clamp(min=1)
        return torch.where(nothing, shifted, scaled)

    def penalty(self) -> Tensor:
        """Return 0.1 times the squared excess of a outside [-2, 2]."""
        a, _, _ = self()
        return 0.1 * (a.abs() - A_LIMIT).clamp(min=0).square().sum()

    def tableau(self) -> Tableau:
        """Return the present numbers as a fixed tableau."""
        with torch.no_grad():
            a, b, c = (value.double() for value in self())
            b = b / b.sum()
        return _tableau(a.tolist(), b.tolist(), c.tolist())
