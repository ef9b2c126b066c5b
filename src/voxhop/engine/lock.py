"""One process at a time may write a file; the system lets go when that process dies."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import IO, Any

_BUSY: Final = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_FAR: Final = 1 << 40  # Windows locks bytes against readers too: lock one that is not there


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file until it is closed; return False where another process has it locked.

    A file system without locks counts as locked by us: there is nothing better to know.
    """
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows only

            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl  # noqa: PLC0415 - everywhere else

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _BUSY
    return True
