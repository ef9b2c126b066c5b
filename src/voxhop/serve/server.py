"""The server: its page, its requests and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.errors import ArgumentError, EngineError, VoxhopError
from voxhop.files.offline import opened
from voxhop.models import bundled_models
from voxhop.serve.limits import ServeLimits
from voxhop.serve.offers import make_offers, transform
from voxhop.serve.talk import converse, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxhop.engine.session_info import SessionOptions
    from voxhop.serve.offers import Offer

_FORMATS: Final = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
}
_PIECE: Final = 65536
_MOST_PORT: Final = 65535
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src blob:; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_FILES: Final = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/tap.js": ("tap.js", "text/javascript"),
}


def _aiohttp() -> Any:  # noqa: ANN401 - the module
    try:
        from aiohttp import web  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EngineError('serve: needs aiohttp: pip install "voxhop[serve]"') from error
    return web


class _Server:
    """The handlers, and what they share."""

    def __init__(
        self, offers: Mapping[str, Offer], limits: ServeLimits, hosts: Sequence[str]
    ) -> None:
        self._web, self._offers, self._limits = _aiohttp(), offers, limits
        self._hosts = {host.lower() for host in (*_LOOPBACK, *hosts)}
        self._jobs = asyncio.Semaphore(limits.jobs)
        self._streams = 0

    def app(self) -> Any:  # noqa: ANN401 - of aiohttp
        web = self._web

        @web.middleware  # type: ignore[untyped-decorator]
        async def guard(request: Any, handler: Any) -> Any:  # noqa: ANN401 - of aiohttp
            return await self._guard(request, handler)

        app = web.Application(middlewares=[guard], client_max_size=self._limits.max_bytes)
        for path in _FILES:
            app.router.add_get(path, self.static)
        app.router.add_get("/models", self.list_models)
        for path in ("/audio/transformations", "/audio/transform"):
            app.router.add_post(path, self.transform)
        app.router.add_get("/audio/transformations/stream", self.stream)
        return app

    async def _guard(self, request: Any, handler: Any) -> Any:  # noqa: ANN401 - of aiohttp
        """Refuse what other pages in the same browser send, and names that are not ours."""
        if self._name_of(request.host) not in self._hosts:
            return self._refuse(403, f"host {request.host}: not this server")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
            return self._refuse(403, f"origin {origin}: expected this server's own page")
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = _POLICY
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @staticmethod
    def _name_of(host: str) -> str:
        name = host.lower()
        return name[: name.index("]") + 1] if name.startswith("[") else name.partition(":")[0]

    def _refuse(self, status: int, message: str) -> Any:  # noqa: ANN401 - of aiohttp
        return self._web.json_response(
            {"error": {"message": message, "code": status}}, status=status
        )

    async def static(self, request: Any) -> Any:  # noqa: ANN401 - of aiohttp
        name, kind = _FILES[request.path]
        text = (resources.files("voxhop") / "page" / name).read_text(encoding="utf-8")
        return self._web.Response(text=text, content_type=kind)

    async def list_models(self, _request: Any) -> Any:  # noqa: ANN401 - of aiohttp
        models = [
            {"name": offer.name, "purpose": offer.purpose, "takes_ref": offer.takes_ref}
            for offer in self._offers.values()
        ]
        return self._web.json_response({"models": models})

    def _offer(self, name: str) -> Offer:
        if name in {"", "default"}:
            return next(iter(self._offers.values()))
        if name not in self._offers:
            raise ArgumentError(f"model {name}: expected one of {', '.join(self._offers)}")
        return self._offers[name]

    async def transform(self, request: Any) -> Any:  # noqa: ANN401 - of aiohttp
        with tempfile.TemporaryDirectory(prefix="voxhop-") as folder:
            try:
                fields = await self._receive(request, Path(folder))
                async with self._jobs:
                    path, report = await asyncio.to_thread(self._transform, fields, Path(folder))
            except ArgumentError as error:
                return self._refuse(400, _without(str(error), folder))
            except VoxhopError as error:
                return self._refuse(422, _without(str(error), folder))
            except asyncio.TimeoutError:
                return self._refuse(408, f"nothing came for {self._limits.idle_s:g} s")
            except ConnectionError:  # nobody is there to read it
                return self._refuse(400, "the upload ended too early")
            body = await asyncio.to_thread(path.read_bytes)
        kind = _FORMATS[path.suffix[1:]]
        return self._web.Response(body=body, content_type=kind, headers={"X-Voxhop-Report": report})

    async def _receive(self, request: Any, folder: Path) -> dict[str, str]:  # noqa: ANN401
        """Return the fields of the form; those that are files, as paths."""
        if request.content_type != "multipart/form-data":
            raise ArgumentError("expected multipart/form-data with the field audio")
        try:
            fields = await self._read_form(await request.multipart(), folder)
        except VoxhopError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:  # aiohttp's, of its reader
            raise ArgumentError(f"form: cannot be read: {error or 'no multipart'}") from error
        if "audio" not in fields:
            raise ArgumentError("field audio: missing, expected a recording")
        return fields

    async def _read_form(self, form: Any, folder: Path) -> dict[str, str]:  # noqa: ANN401
        fields: dict[str, str] = {}
        left, idle_s = self._limits.max_bytes, self._limits.idle_s
        while (part := await asyncio.wait_for(form.next(), idle_s)) is not None:
            if not hasattr(part, "read_chunk"):
                raise ArgumentError("form: a form inside the form, expected fields and files")
            data = folder / (part.name if part.name in {"audio", "reference"} else "value")
            with data.open("wb") as file:
                while piece := await asyncio.wait_for(part.read_chunk(_PIECE), idle_s):
                    left -= len(piece)
                    if left < 0:
                        limit = self._limits.max_bytes
                        raise self._web.HTTPRequestEntityTooLarge(limit, limit - left)
                    file.write(piece)
            if part.name in {"audio", "reference"}:
                fields[part.name] = str(data)
            elif part.name is not None:
                fields[part.name] = data.read_bytes()[:1000].decode("utf-8", "replace")
        return fields

    def _transform(self, fields: Mapping[str, str], folder: Path) -> tuple[Path, str]:
        form = fields.get("response_format", "wav")
        if form not in _FORMATS:
            raise ArgumentError(f"response_format {form}: expected one of {', '.join(_FORMATS)}")
        rate = fields.get("sample_rate")
        path, told = transform(
            self._offer(fields.get("model", "")),
            fields,
            folder / f"clean.{form}",
            max_seconds=self._limits.max_seconds,
            sample_rate=None if rate is None else whole("sample_rate", rate, 8000, 192_000),
        )
        told["notes"] = [_without(note, str(folder)) for note in told["notes"]]
        return path, json.dumps(told)

    async def stream(self, request: Any) -> Any:  # noqa: ANN401 - of aiohttp
        web = self._web
        if self._streams >= self._limits.streams:
            return self._refuse(503, f"{self._streams} streams run already")
        socket = web.WebSocketResponse(max_msg_size=2**20, timeout=5.0)
        await socket.prepare(request)
        self._streams += 1
        try:
            await converse(socket, self._offer, self._limits)
        except VoxhopError as error:
            await socket.send_json({"type": "error", "error": str(error)})
        except asyncio.TimeoutError:
            message = f"nothing came for {self._limits.idle_s:g} s"
            await socket.send_json({"type": "error", "error": message})
        except ConnectionError:
            pass
        finally:
            self._streams -= 1
            with contextlib.suppress(ConnectionError):
                await socket.close()
        return socket


def _without(message: str, folder: str) -> str:
    """Return a message without the server's own folders."""
    return message.replace(folder + "/", "")


async def _serve_offers(
    offers: Mapping[str, Offer],
    host: str,
    port: int,
    limits: ServeLimits,
    ready: Any,  # noqa: ANN401 - a function of host and port, or None
) -> None:
    web = _aiohttp()
    runner = web.AppRunner(_Server(offers, limits, (host,)).app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise EngineError(f"serve: {host} port {port}: {error.strerror or error}") from error
        if ready is not None:
            ready(host, runner.addresses[0][1])
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def serve(
    models: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8750,
    limits: ServeLimits | None = None,
    ready: Any = None,  # noqa: ANN401 - see below
    options: SessionOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    values: Mapping[str, str] | None = None,
) -> None:
    """Serve the page and the audio-transform interface until interrupted.

    Parameters
    ----------
    models
        Names or files, enhancers, restoring models and codecs; the bundled ones when none.
        Clients choose by the stem of the file; the first answers those that do not.
    host, port
        Where; port 0 takes a free one. Other machines reach it only when `host` is not loopback.
    limits
        What one server gives away.
    ready
        Called with host and port once requests are answered.
    options
        How sessions compute.
    settings
        Of all streams: ``strength``, and of enhancers ``highpass_hz`` and ``declip``.
    values
        Options of models, for those that have them.

    Raises
    ------
    EngineError
        Without aiohttp, or when the port is taken.
    ArgumentError
        For two models of one name, settings and values that do not fit, and a port that there is
        not.
    ModelFileError
        When a model cannot be loaded.
    """
    _aiohttp()
    if not 0 <= port <= _MOST_PORT:
        raise ArgumentError(f"port: {port}, expected 0 to {_MOST_PORT}")
    with contextlib.ExitStack() as stack:
        loaded = [stack.enter_context(opened(name)) for name in models or bundled_models()]
        named = {Path(model.source).stem: model for model in loaded}
        if len(named) < len(loaded):
            raise ArgumentError("models: two of one name, which clients could not tell apart")
        offers = make_offers(named, options=options, settings=settings, values=values)
        asyncio.run(_serve_offers(offers, host, port, limits or ServeLimits(), ready))
