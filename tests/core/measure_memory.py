"""Run by test_memory.py with interpose.c preloaded; prints what it found as JSON."""

import ctypes
import json
import resource
import sys
from pathlib import Path

import numpy as np

import voxhop
from voxhop._bindings import native

N = native()
FFI, LIB = N.ffi, N.lib


def address(name):
    return ctypes.c_void_p(int(FFI.cast("uintptr_t", FFI.addressof(LIB, name))))


def pointer(cdata):
    return ctypes.c_void_p(int(FFI.cast("uintptr_t", cdata)))


def count_hops(path, options, streams, hops):
    """Return the allocations and mutex locks of `hops` process calls, each prepared.

    Of a session, or of a group when `streams` is not 0.
    """
    model = voxhop.load(path)
    hop = model.info.hop_samples
    mic = np.ones((max(1, streams), hop), "f4")
    out, counts = np.empty_like(mic), (ctypes.c_long * 2)()
    options = json.loads(options)
    opened = voxhop.SessionGroup(model, streams, **options) if streams else model.session(**options)
    with opened as it:
        noun, function = ("group", "rounds") if streams else ("session", "hops")
        it.process(mic) if streams else it.process_hop(mic[0])
        code = getattr(ctypes.CDLL(None), f"test_count_{function}")(
            address(f"vh_{noun}_prepare"), address(f"vh_{noun}_process_f32"), pointer(it._handle),
            ctypes.c_void_p(mic.ctypes.data), ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int64(hop), hops, counts,
        )  # fmt: skip
    assert np.abs(out).max() > 0
    return {"code": code, "allocations": counts[0], "locks": counts[1]}


def count_ports(path, options, hops):
    """Return the same of a session whose input or output is no audio."""
    with voxhop.load(path).session(**json.loads(options)) as session:
        dtypes = {"audio": "f4", "codes": "u1"}
        into, back = session.inputs[0], session.outputs[0]
        given = np.ones(into.count, dtypes[into.type])
        out, counts = np.zeros(back.count, dtypes[back.type]), (ctypes.c_long * 2)()
        session.process_hop(given)
        code = ctypes.CDLL(None).test_count_ports(
            address("vh_session_process"), pointer(session._handle),
            ctypes.c_void_p(given.ctypes.data), ctypes.c_void_p(out.ctypes.data), hops, counts,
        )  # fmt: skip
    assert out.any()
    return {"code": code, "allocations": counts[0], "locks": counts[1]}


def count_skims(path, hops):
    """Return the same of hops that a session skims."""
    with voxhop.load(path).session() as session:
        mic, counts = np.ones(session.hop_length, "f4"), (ctypes.c_long * 2)()
        session.skim_hop(mic, mic)
        code = ctypes.CDLL(None).test_count_skims(
            address("vh_session_skim"), pointer(session._handle),
            ctypes.c_void_p(mic.ctypes.data), hops, counts,
        )  # fmt: skip
    return {"code": code, "allocations": counts[0], "locks": counts[1]}


def fail_model_open(path):
    """Fail from the n-th allocation on, for every n until opening succeeds."""
    data = Path(path).read_bytes()
    codes = []
    err, out = FFI.new("vh_error *"), FFI.new("vh_model **")
    # The C library makes thread-local data for the first exception; it cannot fail softly.
    assert LIB.vh_model_open_memory(b"x", 1, out, err) == LIB.VH_E_MODEL
    while not codes or codes[-1] != LIB.VH_OK:
        codes.append(
            ctypes.CDLL(None).test_open_failing(
                address("vh_model_open_memory"), data, ctypes.c_size_t(len(data)),
                pointer(out), pointer(err), ctypes.c_long(len(codes)),
            )
        )  # fmt: skip
    LIB.vh_model_close(out[0])
    return {"codes": codes}


def limit_session_open(path, spare):
    """Open sessions until `spare` bytes of address space are used up."""
    model = voxhop.load(path)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, used + spare))
    err, out = FFI.new("vh_error *"), FFI.new("vh_session **")
    sessions = []
    while True:
        code = LIB.vh_session_open(model._handle, FFI.NULL, out, err)
        if code != LIB.VH_OK:
            return {"code": code, "message": N.text(err.message), "opened": len(sessions)}
        sessions.append(out[0])


def refuse_threads(path, kernels):
    """Open a session of 64 threads whose stacks do not fit into the address space."""
    model = voxhop.load(path)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, used + 50_000_000))
    err, out = FFI.new("vh_error *"), FFI.new("vh_session **")
    options = FFI.new("vh_session_options *")
    LIB.vh_session_options_init(options)
    name = FFI.new("char[]", kernels.encode())
    options.kernels, options.n_threads = name, 64
    code = LIB.vh_session_open(model._handle, options, out, err)
    return {"code": code, "message": N.text(err.message)}


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    verbs = {
        "hops": count_hops,
        "ports": count_ports,
        "skims": count_skims,
        "model": fail_model_open,
        "session": limit_session_open,
        "threads": refuse_threads,
    }
    found = verbs[verb](*(int(a) if a.isdigit() else a for a in arguments))
    sys.stdout.write(json.dumps(found))
