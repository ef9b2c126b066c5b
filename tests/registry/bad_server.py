"""A local HTTP server that misbehaves in one named way per address."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class BadServer:
    """Serves `payload` at ``/<manner>/...``; counts requests and remembers their ranges."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.requests: list[tuple[str, str | None]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_request: None  # clients hang up on purpose here
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def url(self, manner: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{manner}"

    def count(self, manner: str) -> int:
        return sum(1 for path, _ in self.requests if path.startswith(f"/{manner}"))

    def ranges(self, manner: str) -> list[str | None]:
        return [wanted for path, wanted in self.requests if path.startswith(f"/{manner}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        owner: BadServer = self.server.owner
        owner.requests.append((self.path, self.headers.get("Range")))
        manner = self.path.split("/")[1]
        self.close_connection = True
        getattr(self, "_" + manner.replace("-", "_"))(owner.payload)

    def _send(self, body: bytes, *, start: int = 0, total: int | None = None) -> None:
        total = len(body) if total is None else total
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        self.wfile.write(body[start:])

    def _start(self) -> int:
        wanted = self.headers.get("Range")
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0

    def _good(self, body: bytes) -> None:
        self._send(body, start=self._start())

    def _redirect(self, _body: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", self.path.replace("/redirect", "/good"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _loop(self, _body: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _to_file(self, _body: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", "file:///etc/hostname")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _to_ftp(self, _body: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", "ftp://127.0.0.1:9/a.gguf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _truncating(self, body: bytes) -> None:
        """Announces everything, sends a third of what is left, hangs up."""
        start = self._start()
        self._send(
            body[: start + max(5000, (len(body) - start) // 3)], start=start, total=len(body)
        )

    def _no_range(self, body: bytes) -> None:
        self._send(body)

    def _wrong(self, body: bytes) -> None:
        flipped = bytes([body[0] ^ 1]) + body[1:]
        self._send(flipped, start=self._start())

    def _missing(self, _body: bytes) -> None:
        self.send_error(404)

    def _broken(self, _body: bytes) -> None:
        self.send_error(500)

    def _once_busy(self, body: bytes) -> None:
        owner: BadServer = self.server.owner
        if owner.count("once-busy") == 1:
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._good(body)

    def _silent(self, _body: bytes) -> None:
        time.sleep(3.0)

    def _dripping(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body[:60]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)

    def _longer(self, body: bytes) -> None:
        self._send(body + b"x")

    def _endless(self, body: bytes) -> None:
        """No length, and more than there should be."""
        self.send_response(200)
        self.end_headers()
        for _ in range(64):
            self.wfile.write(body)

    def _changing(self, body: bytes) -> None:
        """First a longer file that breaks off, then another one of the right length."""
        owner: BadServer = self.server.owner
        if owner.count("changing") == 1:
            self._send(b"y" * 6000, total=len(body) + 10)
        else:
            self._good(body)

    def _shifted(self, body: bytes) -> None:
        """Answers a range with another one; without a range it is honest."""
        start = self._start()
        if start:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes 0-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self._send(body)
