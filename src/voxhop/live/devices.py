"""Sound devices: the module that knows them, and which one a name means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.errors import EngineError, VoxhopError

if TYPE_CHECKING:
    from collections.abc import Sequence


class DeviceError(VoxhopError):
    """A sound device that does not exist, cannot be opened, or vanished."""


def sounddevice_module() -> Any:  # noqa: ANN401 - the module
    """Return the module ``sounddevice``.

    Raises
    ------
    EngineError
        When it, or the PortAudio library that it needs, is not installed.
    """
    try:
        import sounddevice  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = 'live: needs sounddevice: pip install "voxhop[live]"'
        raise EngineError(message) from error
    except OSError as error:  # PortAudio is not in the package on Linux
        message = f"live: {error}; install PortAudio (Debian: apt install libportaudio2)"
        raise EngineError(message) from error
    return sounddevice


def find_device(devices: Sequence[Any], name: str | None, kind: str) -> int | None:
    """Return the number of a device by number, name, or a part of the name.

    Parameters
    ----------
    devices
        As ``sounddevice.query_devices()`` gives them.
    name
        None: the system's choice, which is None.
    kind
        ``"input"`` or ``"output"``.

    Raises
    ------
    DeviceError
        When none or several fit; names those that there are.
    """
    if name is None:
        return None
    usable = {i: str(d["name"]) for i, d in enumerate(devices) if d[f"max_{kind}_channels"] > 0}
    if name.isdecimal() and int(name) in usable:
        return int(name)
    exact = [i for i, own in usable.items() if own.lower() == name.lower()]
    fits = exact or [i for i, own in usable.items() if name.lower() in own.lower()]
    if len(fits) == 1:
        return fits[0]
    found = "several fit" if fits else "none of that name"
    there = ", ".join(f"{i} {usable[i]}" for i in fits or usable) or "none at all"
    raise DeviceError(f"{kind} device {name}: {found}; there are: {there}")
