"""Products of weights that training may make in bfloat16, everything between them in f32.

Where a CPU has `avx512_bf16` or AMX they take a quarter to a half of the time. A range of training
steps asks for it; a model that is scored, or runs, never does.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_in_bf16: ContextVar[bool] = ContextVar("products in bfloat16", default=False)


@contextmanager
def products_in_bf16(*, enabled: bool = True) -> Iterator[None]:
    """Let `linear` and `conv2d` multiply in bfloat16."""
    token = _in_bf16.set(enabled)
    try:
        yield
    finally:
        _in_bf16.reset(token)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """PyTorch's, of the type of `x`."""
    if not _in_bf16.get():
        return functional.linear(x, weight, bias)
    return functional.linear(x.bfloat16(), weight.bfloat16(), bias.bfloat16()).to(x.dtype)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor, *, padding: tuple[int, int], dilation: tuple[int, int]
) -> Tensor:
    """PyTorch's, of the type of `x`."""
    if not _in_bf16.get():
        return functional.conv2d(x, weight, bias, padding=padding, dilation=dilation)
    lower = (x.bfloat16(), weight.bfloat16(), bias.bfloat16())
    return functional.conv2d(*lower, padding=padding, dilation=dilation).to(x.dtype)
