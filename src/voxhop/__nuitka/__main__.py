"""Print where the configuration for Nuitka lies: ``python -m voxhop.__nuitka``."""

import sys
from pathlib import Path

sys.stdout.write(f"{Path(__file__).with_name('voxhop.nuitka-package.config.yml')}\n")
