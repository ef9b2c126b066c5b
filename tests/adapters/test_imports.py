"""Each adapter loads its framework only, and says what to install where it is missing."""

import subprocess
import sys

import pytest

FREE = ("pcm", "pywebrtc", "webrtc_noise_gain")
FRAMEWORKS = {
    "livekit": "livekit",
    "livekit_agents": "livekit.agents",
    "pipecat": "pipecat",
    "wyoming": "wyoming",
}


def run(code):
    return subprocess.run(
        [sys.executable, "-c", "import sys\n" + code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("adapter", FREE)
def test_some_adapters_need_nothing_but_voxhop(adapter):
    packages = [*FRAMEWORKS.values(), "pywebrtc_audio", "webrtc_noise_gain"]
    absent = "".join(f"sys.modules[{name!r}] = None\n" for name in packages)
    result = run(f"{absent}import voxhop.adapters.{adapter}")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("adapter", FRAMEWORKS)
def test_a_missing_framework_is_named(adapter):
    # None makes the import system behave as if the package were not installed.
    result = run(f"sys.modules[{FRAMEWORKS[adapter]!r}] = None\nimport voxhop.adapters.{adapter}")
    assert result.returncode == 1
    assert "ImportError: " in result.stderr
    assert f'pip install "voxhop[{adapter.replace("_", "-")}]"' in result.stderr


def test_the_base_package_imports_no_adapter():
    result = run("import voxhop\nassert not [m for m in sys.modules if 'adapters' in m]")
    assert result.returncode == 0, result.stderr
