"""What PipeWire's module-echo-cancel does with the echo canceller, by ctypes."""

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_size_t, c_uint32, c_void_p

import numpy as np

TYPE = b"Spa:Pointer:Interface:Audio:AEC"


class Item(ctypes.Structure):
    _fields_ = (("key", c_char_p), ("value", c_char_p))


class Dict(ctypes.Structure):
    _fields_ = (("flags", c_uint32), ("count", c_uint32), ("items", POINTER(Item)))


class Handle(ctypes.Structure):
    _fields_ = (
        ("version", c_uint32),
        ("get_interface", CFUNCTYPE(c_int, c_void_p, c_char_p, POINTER(c_void_p))),
        ("clear", CFUNCTYPE(c_int, c_void_p)),
    )


class Factory(ctypes.Structure):
    _fields_ = (
        ("version", c_uint32),
        ("name", c_char_p),
        ("info", c_void_p),
        ("get_size", CFUNCTYPE(c_size_t, c_void_p, c_void_p)),
        ("init", CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_uint32)),
        ("enum_interface_info", CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p), POINTER(c_uint32))),
    )


class Info(ctypes.Structure):  # what follows in the original is not read
    _fields_ = (
        ("format", c_uint32),
        ("flags", c_uint32),
        ("rate", c_uint32),
        ("channels", c_uint32),
        ("position", c_uint32 * 64),
    )


class Methods(ctypes.Structure):
    _fields_ = (
        ("version", c_uint32),
        ("add_listener", c_void_p),
        ("init", CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)),
        ("run", CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_uint32)),
        ("set_props", CFUNCTYPE(c_int, c_void_p, c_void_p)),
        ("activate", CFUNCTYPE(c_int, c_void_p)),
        ("deactivate", CFUNCTYPE(c_int, c_void_p)),
    )


class Aec(ctypes.Structure):
    _fields_ = (
        ("type", c_char_p),
        ("version", c_uint32),
        ("methods", POINTER(Methods)),
        ("data", c_void_p),
        ("name", c_char_p),
        ("info", c_void_p),
        ("latency", c_char_p),
    )


def dictionary(**values):
    items = (Item * len(values))(
        *(Item(k.replace("_", ".", 1).encode(), str(v).encode()) for k, v in values.items())
    )
    return Dict(0, len(values), items)


class Canceller:
    """One canceller, as the module opens it: ``aec.args`` as keywords, `.` as the first `_`."""

    def __init__(self, path, rate, channels=1, **args):
        self._library = ctypes.CDLL(str(path))
        found, index = POINTER(Factory)(), c_uint32(0)
        assert self._library.spa_handle_factory_enum(ctypes.byref(found), ctypes.byref(index)) == 1
        assert found.contents.name == b"audio.aec"
        size = found.contents.get_size(found, None)
        self._memory = ctypes.create_string_buffer(size)
        assert found.contents.init(found, self._memory, None, None, 0) == 0
        self._handle = ctypes.cast(self._memory, POINTER(Handle)).contents
        aec = c_void_p()
        assert self._handle.get_interface(self._memory, b"no such thing", ctypes.byref(aec)) < 0
        assert self._handle.get_interface(self._memory, TYPE, ctypes.byref(aec)) == 0
        self.aec = ctypes.cast(aec, POINTER(Aec)).contents
        self._methods, self._channels = self.aec.methods.contents, channels
        info = Info(0, 0, rate, channels)
        self.code = self._call("init", ctypes.byref(dictionary(**args)), ctypes.byref(info))

    def _call(self, method, *args):
        return getattr(self._methods, method)(self.aec.data, *args)

    def run(self, mic, ref):
        """Return what comes out for ``(frames, channels)`` or ``(frames,)`` float32."""
        shape = mic.shape
        sides = [np.ascontiguousarray(x.reshape(len(x), -1).T, np.float32) for x in (mic, ref)]
        out = np.zeros_like(sides[0])
        rows = [(c_void_p * self._channels)(*(row.ctypes.data for row in x)) for x in (*sides, out)]
        assert self._call("run", *rows, len(mic)) == 0
        return out.T.reshape(shape)

    def set_props(self, **args):
        assert self._call("set_props", ctypes.byref(dictionary(**args))) == 0

    def activate(self):
        assert self._call("activate") == 0

    def close(self):
        assert self._handle.clear(self._memory) == 0
