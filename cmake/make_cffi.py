"""Write the out-of-line cffi module (ABI mode) from the public C header.

Usage: make_cffi.py VOXHOP_H OUTPUT_PY
"""

import re
import sys
from pathlib import Path

import cffi

BEGIN, END = "/* [cdef]", "/* [/cdef] */"


def declarations(header: str) -> str:
    """Return what lies between the cdef marks, in the subset of C that cffi parses."""
    begin, end = header.find(BEGIN), header.find(END)
    if begin < 0 or end < begin:
        message = f"no {BEGIN} ... {END} marks in the header"
        raise SystemExit(message)
    return re.sub(r"\bVH_API\b ?", "", header[begin:end])


def main() -> None:
    """Read the header, let cffi parse it, write the module."""
    header, output = Path(sys.argv[1]), Path(sys.argv[2])
    ffi = cffi.FFI()
    ffi.cdef(declarations(header.read_text(encoding="utf-8")))
    ffi.set_source("voxhop._voxhop_cffi", None)
    ffi.emit_python_code(str(output))


if __name__ == "__main__":
    main()
