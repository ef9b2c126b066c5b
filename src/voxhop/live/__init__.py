"""Sound devices through a stream, with sounddevice (the extra ``live``)."""

from voxhop.live.devices import DeviceError, find_device, sounddevice_module
from voxhop.live.running import run_live
from voxhop.live.verdict import LiveState, judge

__all__ = ["DeviceError", "LiveState", "find_device", "judge", "run_live", "sounddevice_module"]
