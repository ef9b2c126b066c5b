"""Marks everything in this directory as needing the torch extra, and runs it on one thread.

What the tests of the canceller and of its follower hear is here, too.
"""

import contextlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile

from signals import HOP, level

with contextlib.suppress(ImportError):
    import torch

    # The tensors are small: on a busy machine a second thread costs seconds at barriers.
    torch.set_num_threads(1)

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if _HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.torch)


@pytest.fixture(scope="module")
def analysis():
    from voxhop.reference.filterbank import Analysis, stft_basis  # noqa: PLC0415 - needs torch

    return Analysis(stft_basis()[0]).double()


@pytest.fixture(scope="module")
def talkers():
    """Two who never talked to each other: a recording, and it backwards from elsewhere."""
    folder = resources.files("voxhop") / "demo"
    speech, _ = soundfile.read(str(folder / "ref.flac"))
    n = 400 * HOP
    return level(speech[:n]), level(np.roll(speech[::-1], len(speech) // 3)[:n])
