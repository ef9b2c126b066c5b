"""Runs the scripts of ``tools/``."""

import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).parents[1] / "tools"


def run_tool(name, *args):
    """Run a script with these arguments and return what it came to."""
    command = [sys.executable, str(TOOLS / name), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
