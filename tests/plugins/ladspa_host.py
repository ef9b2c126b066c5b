"""A LADSPA host of a few lines: what programs do with the plug-in, by ctypes."""

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_ulong, c_void_p

import numpy as np


class Descriptor(ctypes.Structure):
    _fields_ = (
        ("unique_id", c_ulong),
        ("label", c_char_p),
        ("properties", c_int),
        ("name", c_char_p),
        ("maker", c_char_p),
        ("copyright", c_char_p),
        ("port_count", c_ulong),
        ("port_kinds", POINTER(c_int)),
        ("port_names", POINTER(c_char_p)),
        ("port_ranges", c_void_p),
        ("implementation", c_void_p),
        ("instantiate", ctypes.CFUNCTYPE(c_void_p, c_void_p, c_ulong)),
        ("connect_port", ctypes.CFUNCTYPE(None, c_void_p, c_ulong, c_void_p)),
        ("activate", ctypes.CFUNCTYPE(None, c_void_p)),
        ("run", ctypes.CFUNCTYPE(None, c_void_p, c_ulong)),
        ("run_adding", c_void_p),
        ("set_run_adding_gain", c_void_p),
        ("deactivate", c_void_p),
        ("cleanup", ctypes.CFUNCTYPE(None, c_void_p)),
    )


def descriptors(path):
    """Return the plug-ins of a file by their labels."""
    entry = ctypes.CDLL(str(path)).ladspa_descriptor
    entry.restype, entry.argtypes = POINTER(Descriptor), [c_ulong]
    found = {}
    while pointer := entry(len(found)):
        found[pointer.contents.label.decode()] = pointer
    return found


class Instance:
    """One plug-in with its ports by name."""

    def __init__(self, pointer, rate, **controls):
        self._d = pointer.contents
        self._handle = self._d.instantiate(ctypes.cast(pointer, c_void_p), rate)
        if not self._handle:
            raise RuntimeError("instantiate gave nothing")
        names = [self._d.port_names[i].decode() for i in range(self._d.port_count)]
        self._index = {name: i for i, name in enumerate(names)}
        self.controls = {}
        for name in names:
            if not self._d.port_kinds[self._index[name]] & 8:
                self.controls[name] = np.array([controls.get(name, 0.0)], np.float32)
                self._connect(name, self.controls[name])
        self._d.activate(self._handle)

    def _connect(self, name, array):
        self._d.connect_port(self._handle, self._index[name], array.ctypes.data)

    def run(self, mic, ref=None, *, in_place=False):
        mic = np.array(mic, np.float32)
        out = mic if in_place else np.zeros_like(mic)
        self._connect("Input", mic)
        self._connect("Output", out)
        if ref is not None:
            ref = np.array(ref, np.float32)
            self._connect("Reference", ref)
        self._d.run(self._handle, len(mic))
        return out

    def activate(self):
        self._d.activate(self._handle)

    def close(self):
        self._d.cleanup(self._handle)
