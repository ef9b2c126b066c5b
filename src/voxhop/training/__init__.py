"""Training: corpus, acoustic simulation, loss, loop and validation (extra ``[train]``).

Nothing in the base package imports this.
"""

from importlib.util import find_spec as _find_spec

_missing = [name for name in ("torch", "gguf", "pyroomacoustics") if _find_spec(name) is None]
if _missing:
    raise ImportError(
        f'voxhop.training needs {", ".join(_missing)}: pip install "voxhop[train]"',
    )
