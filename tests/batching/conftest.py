"""A folder of small recordings."""

from pathlib import Path

import pytest

from recordings import write_pair


@pytest.fixture
def calls(tmp_path):
    """Return a folder of three pairs, one of them in a folder below."""
    folder = tmp_path / "calls"
    for i, name in enumerate(("a", "b", "deep/er/c")):
        write_pair(folder / Path(name).parent, Path(name).name, i)
    return folder
