"""One file over HTTP: resumed, checked by digest, and put in place in one step.

What arrives lies in ``<target>.part`` until its SHA-256 is right; a reader of ``target``
never sees half a file. A part that was left behind is continued with a Range request.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urlsplit

from voxhop._version import __version__
from voxhop.engine.hash import sha256_of
from voxhop.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message
    from pathlib import Path

    Progress = Callable[[float, float], None]

_BLOCK: Final = 1 << 16
_ATTEMPTS: Final = 4  # in a row that bring less than 4 KiB
_PAUSE_S: Final = 0.5  # before the second attempt; doubles
_LONGEST_PAUSE_S: Final = 30.0
# A server that drips is as dead as one that is silent: this much at least per `timeout_s`.
_LEAST_BYTES_PER_TIMEOUT: Final = 1 << 12
_LARGEST_UNKNOWN: Final = 1 << 28  # bytes accepted when the length is not pinned
_RETRY_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE_NOT_SATISFIABLE: Final = 416
_PARTIAL: Final = 206


@dataclass(frozen=True)
class Source:
    """What to fetch: address, SHA-256 in hexadecimal, and length in bytes if known."""

    url: str
    sha256: str
    size_bytes: int | None = None


class _Interrupted(Exception):  # noqa: N818 - a state of the transfer, not an error for callers
    """The connection failed in a way that another attempt may mend."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _StartOver(Exception):  # noqa: N818 - the same
    """What lies in the part does not belong to what the server has now."""


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: object,
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new == "http"):
            raise DownloadError(f"{req.full_url}: redirected to {newurl}, which is refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def download(
    source: Source,
    target: Path,
    *,
    progress: Progress | None = None,
    timeout_s: float = 30.0,
    pause_s: float = _PAUSE_S,
) -> None:
    """Bring `source` to `target`.

    Parameters
    ----------
    source
        What to fetch.
    target
        Where it goes; its folder is made. An existing file is replaced at the end.
    progress
        Called with (bytes here, bytes in all, 0 if unknown).
    timeout_s
        Longest silence of the server; also the time in which 4 KiB must arrive.
    pause_s
        Wait before the second attempt, doubled for each further one.

    Raises
    ------
    DownloadError
        The server refuses, stays unreachable, or sends other bytes than the pinned ones;
        the disk is full; another process downloads the same file.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        with part.open("ab") as stream, _locked(stream, part):
            transfer = _Transfer(source, stream, progress, timeout_s)
            resumed = stream.tell() > 0
            transfer.run(pause_s)
            digest = _digest_on_disk(stream, part)
            if digest != source.sha256 and resumed:  # what was continued may have been foreign
                transfer.restart()
                transfer.run(pause_s)
                digest = _digest_on_disk(stream, part)
            if digest != source.sha256:
                stream.truncate(0)
                raise DownloadError(
                    f"{source.url}: sha256 {digest}, expected {source.sha256}; discarded"
                )
        part.replace(target)
    except OSError as error:
        raise DownloadError(f"{target}: {error.strerror or error}") from error


class _Transfer:
    """Fills a part file: one request after another until it is complete."""

    def __init__(
        self, source: Source, stream: BinaryIO, progress: Progress | None, timeout_s: float
    ) -> None:
        self._source = source
        self._stream = stream
        self._progress = progress
        self._timeout_s = timeout_s
        self._total = source.size_bytes  # learned from the server when it is not pinned
        self._opener = urllib.request.build_opener(_HttpOnly)

    def run(self, pause_s: float) -> None:
        """Make requests until the part is whole; start over once if it turns out foreign."""
        failures = 0
        restarts = 0
        reached = self._stream.tell()
        while True:
            try:
                self._request()
            except _StartOver as reason:  # noqa: PERF203 - one turn is one request
                restarts += 1
                if restarts > 1:
                    raise DownloadError(f"{self._source.url}: {reason}") from None
                self.restart()
            except _Interrupted as reason:
                gained = self._stream.tell() - reached
                failures = 1 if gained >= _LEAST_BYTES_PER_TIMEOUT else failures + 1
                reached += max(0, gained)
                if failures >= _ATTEMPTS:
                    raise DownloadError(
                        f"{self._source.url}: {reason} ({failures} attempts); "
                        "what arrived is kept and will be continued"
                    ) from None
                pause = max(reason.wait_s, pause_s * 2 ** (failures - 1))
                time.sleep(min(pause, _LONGEST_PAUSE_S))
            else:
                return

    def restart(self) -> None:
        """Forget what has arrived."""
        self._stream.truncate(0)
        self._stream.seek(0)
        self._total = self._source.size_bytes

    def _request(self) -> None:
        have = self._stream.tell()
        if self._total is not None and have > self._total:
            raise _StartOver(f"{have} bytes are here, expected {self._total}")
        if self._total is not None and have == self._total:
            return
        headers = {"User-Agent": f"voxhop/{__version__}", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        request = urllib.request.Request(self._source.url, headers=headers)  # noqa: S310 - http(s) only, see registry
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                self._receive(response, have)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error, have)
        except urllib.error.URLError as error:
            raise _Interrupted(str(error.reason)) from error
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise _Interrupted(str(error) or type(error).__name__) from error

    def _refused(self, error: urllib.error.HTTPError, have: int) -> None:
        if error.code == _RANGE_NOT_SATISFIABLE and have:
            # The whole file is here already when the length is not pinned; the digest decides.
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            raise _StartOver(f"the server has no byte {have}")
        if error.code in _RETRY_STATUS:
            wait = error.headers.get("Retry-After", "")
            raise _Interrupted(f"HTTP {error.code}", float(wait) if wait.isdigit() else 0.0)
        raise DownloadError(f"{self._source.url}: HTTP {error.code} {error.reason}")

    def _receive(self, response: http.client.HTTPResponse, have: int) -> None:
        if have and response.status != _PARTIAL:  # this server knows no ranges
            self._stream.truncate(0)
            self._stream.seek(0)
            have = 0
        self._check_length(_announced_total(response, have), have)
        limit = self._total if self._total is not None else _LARGEST_UNKNOWN
        mark_time, mark_bytes = time.monotonic(), have
        while block := self._next_block(response):
            have += len(block)
            if have > limit:
                raise DownloadError(f"{self._source.url}: more than {limit} bytes")
            self._stream.write(block)
            if self._progress is not None:
                self._progress(float(have), float(self._total or 0))
            if have - mark_bytes >= _LEAST_BYTES_PER_TIMEOUT:
                mark_time, mark_bytes = time.monotonic(), have
            elif time.monotonic() - mark_time > self._timeout_s:
                raise _Interrupted(f"less than {_LEAST_BYTES_PER_TIMEOUT} bytes in a timeout")
        if self._total is not None and have < self._total:
            raise _Interrupted(f"closed after {have} of {self._total} bytes")

    @staticmethod
    def _next_block(response: http.client.HTTPResponse) -> bytes:
        """Return what arrived next, empty at the end; a broken connection is no disk error."""
        try:
            return response.read1(_BLOCK)
        except OSError as error:
            raise _Interrupted(str(error) or type(error).__name__) from error

    def _check_length(self, announced: int | None, have: int) -> None:
        if announced is None:
            return
        if self._source.size_bytes is not None and announced != self._source.size_bytes:
            raise DownloadError(
                f"{self._source.url}: {announced} bytes, expected {self._source.size_bytes}"
            )
        if have and self._total is not None and announced != self._total:
            raise _StartOver(f"the file changed from {self._total} to {announced} bytes")
        self._total = announced


def _announced_total(response: http.client.HTTPResponse, have: int) -> int | None:
    """Length of the whole file as the headers state it, or None."""
    if response.status == _PARTIAL:
        unit, _, total = response.headers.get("Content-Range", "").partition("/")
        if not unit.startswith(f"bytes {have}-"):
            raise _StartOver(f"asked for byte {have}, the server sent {unit or 'no range'!r}")
        return int(total) if total.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _digest_on_disk(stream: BinaryIO, part: Path) -> str:
    stream.flush()
    os.fsync(stream.fileno())
    return sha256_of(part)


@contextlib.contextmanager
def _locked(stream: BinaryIO, part: Path) -> Iterator[None]:
    """Hold the part file against other processes."""
    try:
        _lock(stream)
    except OSError as error:
        raise DownloadError(f"{part}: another process is downloading this file") from error
    yield  # closing the file releases the lock


if sys.platform == "win32":  # pragma: no cover - not on this platform
    import msvcrt

    def _lock(stream: BinaryIO) -> None:
        # A byte far beyond any model: Windows locks are mandatory and the digest is read back.
        stream.seek(1 << 40)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        stream.seek(0, os.SEEK_END)
else:
    import fcntl

    def _lock(stream: BinaryIO) -> None:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
