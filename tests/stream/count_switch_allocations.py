"""Run by test_no_allocation.py with interpose.c preloaded; prints what it counted as JSON."""

import ctypes
import json
import sys

import numpy as np

import voxhop
from voxhop._bindings import native


def main():
    """Count the allocations and mutex locks of changes between two networks of a model."""
    n = native()

    def address(cdata):
        return ctypes.c_void_p(int(n.ffi.cast("uintptr_t", cdata)))

    values = n.ffi.new("vh_option[1]")
    texts = n.ffi.new("char[]", b"depth"), n.ffi.new("char[]", b"1")
    values[0].name, values[0].value = texts
    counts = (ctypes.c_long * 2)()
    with voxhop.load(sys.argv[1]) as model, model.session() as session:
        built = n.ffi.new("vh_alternative **")
        n.call(n.lib.vh_session_build, session._handle, values, 1, built)
        alternative = n.own(built[0], n.lib.vh_alternative_close)
        session.process_hop(np.zeros(session.hop_length, np.float32))
        code = ctypes.CDLL(None).test_count_switches(
            address(n.ffi.addressof(n.lib, "vh_session_switch")),
            address(session._handle),
            address(alternative),
            int(sys.argv[2]),
            counts,
        )
    found = {"code": code, "allocations": counts[0], "locks": counts[1]}
    sys.stdout.write(json.dumps(found))


main()
