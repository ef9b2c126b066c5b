"""The torch packages say how to get what they need; the base package does without."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"


def run(code):
    setup = f"import sys; sys.path.append({str(SOURCE)!r})\n"
    return subprocess.run(
        [sys.executable, "-c", setup + code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("absent", "package"),
    [("torch", "voxhop.reference"), ("torch", "voxhop.export"), ("gguf", "voxhop.export")],
)
def test_a_missing_extra_is_named(absent, package):
    # None makes the import system behave as if the module were not installed.
    result = run(f"sys.modules[{absent!r}] = None\nimport {package}")
    assert result.returncode == 1
    assert "ImportError: " in result.stderr
    assert 'pip install "voxhop[torch]"' in result.stderr


def test_the_base_package_does_not_import_torch():
    result = run("import voxhop\nassert 'torch' not in sys.modules and 'gguf' not in sys.modules")
    assert result.returncode == 0, result.stderr
