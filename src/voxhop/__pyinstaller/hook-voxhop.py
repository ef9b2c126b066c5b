"""PyInstaller: the engine, its generated binding, and the data files of the package."""

from pathlib import Path

import voxhop
from voxhop import _voxhop_cffi
from voxhop._bindings import engine_file

_PACKAGE = Path(voxhop.__file__).parent
_BINDING = Path(_voxhop_cffi.__file__)
_LIBRARY = engine_file()

binaries = [(str(_LIBRARY), "voxhop/lib")]
binaries += [(str(path), "voxhop/lib/plugins") for path in _LIBRARY.parent.glob("plugins/*")]
datas = [(str(_PACKAGE / name), f"voxhop/{name}") for name in ("weights", "demo", "page")]
if _BINDING.parent != _PACKAGE:  # an editable install, where PyInstaller does not find it
    datas.append((str(_BINDING), "voxhop"))
# Loaded by name, which PyInstaller cannot see.
hiddenimports = ["voxhop._voxhop_cffi", "_cffi_backend", "voxhop.batching"]
# What the extras are for comes along only when the program itself imports it.
excludedimports = [
    "aiohttp",
    "av",
    "gguf",
    "livekit",
    "matplotlib",
    "pipecat",
    "pyroomacoustics",
    "ray",
    "scipy",
    "sounddevice",
    "tomli",
    "torch",
    "wyoming",
]
