"""Products of weights that training may make in bfloat16, everything between them in f32.

Where a CPU has `avx512_bf16` or AMX they take a quarter to a half of the time. A range of training
steps asks for it; a model that is scored, or runs, never does.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_in_bf16: ContextVar[bool] = ContextVar("products in bfloat16", default=False)


@contextmanager
def only_products_in_bf16(device: str) -> Iterator[None]:
    """Where autocast is on, lower `linear` and `conv2d` alone, and nothing else."""
    token = _in_bf16.set(torch.is_autocast_enabled(device))
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        _in_bf16.reset(token)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """PyTorch's, of the type of `x`."""
    return functional.linear(*_factors(x, weight, bias)).to(x.dtype)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """PyTorch's, of the type of `x`."""
    y = functional.conv2d(
        *_factors(x, weight, bias), stride=stride, padding=padding, dilation=dilation
    )
    return y.to(x.dtype)


def lowered(x: Tensor) -> Tensor:
    """Return `x` as products are made of it: what follows on it stays so, too."""
    return x.bfloat16() if _in_bf16.get() else x


def _factors(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return lowered(x), lowered(weight), lowered(bias)
