"""AdamW whose steps on hidden matrices are orthogonal ones (Muon)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

# A quintic whose iterates bring singular values from 0 to 1 near 1 in few steps (Jordan et al.,
# "Muon: an optimizer for hidden layers in neural networks", 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95


class Muon(torch.optim.AdamW):
    """AdamW, and Muon for the groups whose ``orthogonal`` is not 0: those are of matrices.

    Parameters
    ----------
    groups : iterable of dict
        Parameter groups; ``orthogonal`` times the learning rate is what all singular values of a
        step are.
    **settings
        AdamW's.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step; matrices of one shape are made orthogonal together."""
        every = self.param_groups
        self.param_groups = [group for group in every if not group["orthogonal"]]
        try:
            super().step(closure)
        finally:
            self.param_groups = every
        for group in every:
            if group["orthogonal"]:
                self._turn(group)

    def _turn(self, group: dict[str, Any]) -> None:
        shapes: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                shapes.setdefault(parameter.shape, []).append(parameter)
        for found in shapes.values():
            turns = orthogonal(torch.stack([self._ahead(p) for p in found]))
            for parameter, turn in zip(found, turns, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(turn, alpha=-group["lr"] * group["orthogonal"])

    def _ahead(self, parameter: nn.Parameter) -> Tensor:
        """Return Nesterov's momentum."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None  # noqa: S101 - the caller's choice
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # AdamW looks for it in what it loads
        momentum: Tensor = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(momentum, _MOMENTUM)


def orthogonal(matrices: Tensor) -> Tensor:
    """(..., m, n): singular values about 1 (0.7 to 1.2), singular vectors as they are.

    Those below about a hundredth of the matrix' norm come less far.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.mT if tall else x
