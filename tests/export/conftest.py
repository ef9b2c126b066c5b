"""Marks everything in this directory as needing the torch extra, and runs it on one thread."""

import contextlib
from pathlib import Path

import pytest

with contextlib.suppress(ImportError):
    import torch

    # The tensors are small: on a busy machine a second thread costs seconds at barriers.
    torch.set_num_threads(1)

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if _HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.torch)
