"""Values as JSON has them."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value in, any JSON value out
    """Return `value` as JSON types: dataclasses as objects, paths and scalars as themselves.

    NaN and infinities become None.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
