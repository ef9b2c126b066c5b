"""The plug-ins for Linux desktops: put in place, taken away, looked after."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voxhop._bindings import engine_file
from voxhop.errors import EngineError
from voxhop.media.partial import partial_beside

if TYPE_CHECKING:
    from voxhop.files.offline import ModelSource

LADSPA_FILE: Final = "voxhop_ladspa.so"
SPA_FILE: Final = "libspa-aec-voxhop.so"
_PARTS: Final = "voxhop"  # the folder beside a plug-in with the library and the model
_MODEL: Final = "model.gguf"
_SPA_FOLDERS: Final = ("lib/*/spa-0.2", "lib64/spa-0.2", "lib/spa-0.2")

_ECHO_CANCEL: Final = """\
# Written by "voxhop plugin install". Speak into "voxhop echo-cancelled microphone", and let
# programs play to "voxhop speaker": what they play is taken out of the microphone.
context.modules = [
  {{ name = libpipewire-module-echo-cancel
    args = {{
      library.name = "{library}"
      # ms. The default of 100 is less than PipeWire's largest block, which ends PipeWire.
      buffer.max_size = 400
      audio.rate = 48000
      audio.channels = 1
      audio.position = [ MONO ]
      capture.props = {{ node.name = "voxhop.echo.capture" }}
      source.props = {{
        node.name = "voxhop.echo.source"
        node.description = "voxhop echo-cancelled microphone"
      }}
      sink.props = {{ node.name = "voxhop.echo.sink" node.description = "voxhop speaker" }}
      playback.props = {{ node.name = "voxhop.echo.playback" }}
      aec.args = {{ voxhop.strength = 1.0 }}
    }}
  }}
]
"""
_MICROPHONE: Final = """\
# Written by "voxhop plugin install". Speak into "voxhop clean microphone": noise and
# reverberation are taken out of the default microphone.
context.modules = [
  {{ name = libpipewire-module-filter-chain
    args = {{
      node.description = "voxhop clean microphone"
      media.name = "voxhop clean microphone"
      filter.graph = {{
        nodes = [
          {{ type = ladspa name = voxhop plugin = "{library}" label = voxhop
            control = {{ "Strength" = 1.0 }} }}
        ]
      }}
      audio.rate = 48000
      audio.channels = 1
      audio.position = [ MONO ]
      capture.props = {{ node.name = "voxhop.clean.capture" node.passive = true }}
      playback.props = {{ node.name = "voxhop.clean.source" media.class = Audio/Source }}
    }}
  }}
]
"""


@dataclass(frozen=True)
class PluginPlaces:
    """Folders that the plug-ins and their configuration go to.

    Attributes
    ----------
    ladspa
        Where programs look for LADSPA plug-ins.
    spa
        Where the echo canceller of PipeWire goes; its configuration names it.
    pipewire
        Where PipeWire reads configuration from.
    """

    ladspa: Path
    spa: Path
    pipewire: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that `install` may write."""
        beside = (engine_file().name, _MODEL)
        return (
            self.ladspa / LADSPA_FILE,
            *(self.ladspa / _PARTS / name for name in beside),
            self.pipewire / "voxhop-microphone.conf",
            self.spa / SPA_FILE,
            *(self.spa / _PARTS / name for name in beside),
            self.pipewire / "voxhop-echo-cancel.conf",
        )


def plugin_places(prefix: str | os.PathLike[str] | None = None) -> PluginPlaces:
    """Return the folders below `prefix`, or those of the user."""
    if prefix is not None:
        root = Path(prefix).resolve()
        config = root / "share/pipewire/pipewire.conf.d"
        return PluginPlaces(root / "lib/ladspa", root / "lib/voxhop/spa", config)
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return PluginPlaces(
        home / ".ladspa", home / ".local/lib/voxhop/spa", config / "pipewire/pipewire.conf.d"
    )


def install_plugins(places: PluginPlaces, model: ModelSource = None) -> tuple[Path, ...]:
    """Copy the plug-ins, the library and a model, and write the configuration files.

    Parameters
    ----------
    places
        From `plugin_places`.
    model
        Name or file; the bundled one when None.

    Returns
    -------
    tuple of Path
        What was written. Without the echo canceller where there is no PipeWire.

    Raises
    ------
    EngineError
        On systems other than Linux, or when the build has no plug-ins.
    ModelFileError
        When the model cannot be loaded.
    """
    from voxhop.files.offline import opened  # noqa: PLC0415 - looks at models only here

    built = _built()
    with opened(model) as loaded:
        source = Path(loaded.source)
    written = _place(built / LADSPA_FILE, places.ladspa, source)
    written += _configure(
        places.pipewire / "voxhop-microphone.conf", _MICROPHONE, places.ladspa / LADSPA_FILE
    )
    spa = spa_folder()
    if spa is not None:
        written += _place(built / SPA_FILE, places.spa, source)
        # PipeWire looks below its own folder only, so the way there is told from it.
        library = os.path.relpath(places.spa / Path(SPA_FILE).stem, spa)
        written += _configure(places.pipewire / "voxhop-echo-cancel.conf", _ECHO_CANCEL, library)
    return written


def uninstall_plugins(places: PluginPlaces) -> tuple[Path, ...]:
    """Remove what `install_plugins` wrote, and folders of its own; return what was there."""
    removed = tuple(file for file in places.files if file.exists())
    for file in removed:
        file.unlink()
    for folder in (places.ladspa / _PARTS, places.spa / _PARTS, places.spa, places.spa.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return removed


def spa_folder() -> Path | None:
    """Return the folder that PipeWire loads its plug-ins from, or None without PipeWire."""
    named = os.environ.get("SPA_PLUGIN_DIR", "").split(":")[0]
    if named:
        return Path(named)
    found = (path for pattern in _SPA_FOLDERS for path in sorted(Path("/usr").glob(pattern)))
    return next((path for path in found if path.is_dir()), None)


def _built() -> Path:
    folder = engine_file().parent / "plugins"
    if not (folder / LADSPA_FILE).is_file():
        why = "this build has none" if sys.platform == "linux" else f"none for {sys.platform}"
        raise EngineError(f"plug-ins: {why}, expected {LADSPA_FILE} in {folder}")
    return folder


def _place(plugin: Path, folder: Path, model: Path) -> tuple[Path, ...]:
    """Copy a plug-in and what it needs; a program that has the old one open keeps it."""
    parts = folder / _PARTS
    parts.mkdir(parents=True, exist_ok=True)
    targets = (folder / plugin.name, parts / engine_file().name, parts / _MODEL)
    for source, target in zip((plugin, engine_file(), model), targets, strict=True):
        partial = partial_beside(target)
        try:
            shutil.copyfile(source, partial)
            partial.chmod(0o644)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return targets


def _configure(path: Path, text: str, library: str | Path) -> tuple[Path, ...]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_beside(path)
    partial.write_text(text.format(library=library), encoding="utf-8")
    partial.replace(path)
    return (path,)
