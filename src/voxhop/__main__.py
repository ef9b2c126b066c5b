"""``python -m voxhop`` is the ``voxhop`` command."""

import sys

from voxhop.cli import main

sys.exit(main())
