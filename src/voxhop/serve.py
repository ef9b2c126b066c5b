"""A page to try it, and the audio-transform interface that LocalAI's clients speak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError, EngineError, VoxhopError
from voxhop.files.enhance import enhance_file
from voxhop.files.offline import opened
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxhop.models import Model

_FORMATS: Final = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
}
_SAMPLES: Final = {"S16_LE": "<i2", "F32_LE": "<f4"}
_PIECE: Final = 65536
_SIDES: Final = 2  # channel 0 is the microphone, channel 1 the reference
_SLACK_S: Final = 10.0
_GATE_DBFS: Final = -45.0
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


@dataclass(frozen=True)
class ServeLimits:
    """What one server gives away.

    Attributes
    ----------
    max_bytes
        Of an upload in all.
    max_seconds
        Of computing for an upload, and of sound in a stream.
    jobs, streams
        Uploads computed at once (others wait), and streams at once (others are refused).
    idle_s
        How long a stream may say nothing.
    max_speed
        Times real time that a stream may send.
    """

    max_bytes: int = 256 * 2**20
    max_seconds: float = 3600.0
    jobs: int = 1
    streams: int = 8
    idle_s: float = 30.0
    max_speed: float = 4.0


def _aiohttp() -> Any:  # noqa: ANN401 - the module
    try:
        from aiohttp import web  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EngineError('serve: needs aiohttp: pip install "voxhop[serve]"') from error
    return web


class _Server:
    """The handlers, and what they share."""

    def __init__(
        self, models: Mapping[str, Model], limits: ServeLimits, hosts: Sequence[str]
    ) -> None:
        self._web, self._models, self._limits = _aiohttp(), models, limits
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
        return self._web.json_response({"models": list(self._models)})

    def _model(self, name: str) -> Model:
        if name in {"", "default"}:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise ArgumentError(f"model {name}: expected one of {', '.join(self._models)}")
        return self._models[name]

    async def transform(self, request: Any) -> Any:  # noqa: ANN401 - of aiohttp
        with tempfile.TemporaryDirectory(prefix="voxhop-") as folder:
            try:
                fields = await self._receive(request, Path(folder))
                async with self._jobs:
                    path, report = await asyncio.to_thread(self._enhance, fields, Path(folder))
            except ArgumentError as error:
                return self._refuse(400, _without(str(error), folder))
            except VoxhopError as error:
                return self._refuse(422, _without(str(error), folder))
            body = await asyncio.to_thread(path.read_bytes)
        kind = _FORMATS[path.suffix[1:]]
        return self._web.Response(body=body, content_type=kind, headers={"X-Voxhop-Report": report})

    async def _receive(self, request: Any, folder: Path) -> dict[str, str]:  # noqa: ANN401
        """Return the fields of the form; those that are files, as paths."""
        if request.content_type != "multipart/form-data":
            raise ArgumentError("expected multipart/form-data with the field audio")
        fields: dict[str, str] = {}
        left = self._limits.max_bytes
        async for part in await request.multipart():
            data = folder / (part.name if part.name in {"audio", "reference"} else "value")
            with data.open("wb") as file:
                while piece := await part.read_chunk(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        limit = self._limits.max_bytes
                        raise self._web.HTTPRequestEntityTooLarge(limit, limit - left)
                    file.write(piece)
            if part.name in {"audio", "reference"}:
                fields[part.name] = str(data)
            elif part.name is not None:
                fields[part.name] = data.read_bytes()[:1000].decode("utf-8", "replace")
        if "audio" not in fields:
            raise ArgumentError("field audio: missing, expected a recording")
        return fields

    def _enhance(self, fields: Mapping[str, str], folder: Path) -> tuple[Path, str]:
        form = fields.get("response_format", "wav")
        if form not in _FORMATS:
            raise ArgumentError(f"response_format {form}: expected one of {', '.join(_FORMATS)}")
        deadline = time.monotonic() + self._limits.max_seconds

        def in_time(_done: float, _total: float) -> None:
            if time.monotonic() > deadline:
                raise ArgumentError(f"took more than {self._limits.max_seconds:g} s")

        params = {
            name[len("params[") : -1]: value
            for name, value in fields.items()
            if name.startswith("params[") and name.endswith("]")
        }
        out = folder / f"clean.{form}"
        ref = fields.get("reference")
        report = enhance_file(
            fields["audio"],
            out,
            ref=ref,
            model=self._model(fields.get("model", "")),
            progress=in_time,
            delay_ms="auto" if ref else 0.0,
            **_gate(params),
        )
        if "sample_rate" in fields:
            out = _at_rate(out, _whole("sample_rate", fields["sample_rate"], 8000, 192_000))
        told = {
            "seconds": report.seconds,
            "delay_ms": report.delay_ms,
            "reduction_db": report.ref_active_reduction_db,
            "speed": report.speed,
            "notes": [_without(note, str(folder)) for note in report.notes],
        }
        return out, json.dumps(told)

    async def stream(self, request: Any) -> Any:  # noqa: ANN401 - of aiohttp
        web = self._web
        if self._streams >= self._limits.streams:
            return self._refuse(503, f"{self._streams} streams run already")
        socket = web.WebSocketResponse(max_msg_size=2**20, timeout=5.0)
        await socket.prepare(request)
        self._streams += 1
        try:
            await self._converse(socket)
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

    async def _converse(self, socket: Any) -> None:  # noqa: ANN401 - of aiohttp
        first = await socket.receive(self._limits.idle_s)
        start = _control(first)
        if start.get("type") != "session.update":
            raise ArgumentError("first message: expected a JSON session.update")
        kind = start.get("sample_format", "S16_LE")
        if kind not in _SAMPLES:
            raise ArgumentError(f"sample_format {kind}: expected S16_LE or F32_LE")
        rate = _whole("sample_rate", start.get("sample_rate", 16000), 8000, 192_000)
        most = _whole("frame_samples", start.get("frame_samples", 256), 1, rate)
        model = self._model(str(start.get("model", "")))
        params = start.get("params") or {}
        if not isinstance(params, dict):
            raise ArgumentError("params: expected an object")
        with Stream(model, sample_rate=rate, **_gate(params)) as stream:
            began, frames = time.monotonic(), 0
            while True:
                message = await socket.receive(self._limits.idle_s)
                if message.type.name == "TEXT":
                    if not _steer(stream, _control(message)):
                        await socket.send_json({"type": "session.closed"})
                        return
                elif message.type.name == "BINARY":
                    pair = _pairs(message.data, _SAMPLES[kind], most)
                    frames += len(pair)
                    self._check_pace(frames / rate, time.monotonic() - began)
                    mic, played = (np.ascontiguousarray(pair[:, c]) for c in range(_SIDES))
                    ref = played if model.info.input_count > 1 else None
                    out = await asyncio.to_thread(stream.process, mic, ref)
                    await socket.send_bytes(out.tobytes())
                else:  # closed
                    return

    def _check_pace(self, sent_s: float, passed_s: float) -> None:
        if sent_s > self._limits.max_seconds:
            raise ArgumentError(f"more than {self._limits.max_seconds:g} s of sound")
        if sent_s > passed_s * self._limits.max_speed + _SLACK_S:
            raise ArgumentError(f"faster than {self._limits.max_speed:g} times real time")


def _steer(stream: Stream, control: Mapping[str, Any]) -> bool:
    """Do what a text message says; return False when that is to end."""
    kind = control.get("type")
    if kind not in {"session.update", "session.close"}:
        raise ArgumentError("text message: expected session.update or session.close")
    if kind == "session.update" and control.get("reset") is True:
        stream.reset()
    return bool(kind == "session.update")


def _control(message: Any) -> dict[str, Any]:  # noqa: ANN401 - of aiohttp
    if message.type.name != "TEXT":
        raise ArgumentError("first message: expected a JSON session.update")
    try:
        found = json.loads(message.data)
    except ValueError as error:
        raise ArgumentError(f"text message: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ArgumentError("text message: expected a JSON object")
    return found


def _pairs(data: bytes, dtype: str, most: int) -> Any:  # noqa: ANN401 - an array
    """Return ``(n, 2)`` samples of a binary message."""
    size = _SIDES * int(dtype[-1])
    if not data or len(data) % size or len(data) > most * size:
        expected = f"1 to {most} frames of {size} bytes (microphone and reference interleaved)"
        raise ArgumentError(f"binary message: {len(data)} bytes, expected {expected}")
    return np.frombuffer(data, dtype).reshape(-1, _SIDES)


def _gate(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the stream for LocalVQE's parameters."""
    if str(params.get("noise_gate", "false")).lower() != "true":
        return {}
    text = params.get("noise_gate_threshold_dbfs", _GATE_DBFS)
    try:
        return {"gate_dbfs": float(text)}
    except (TypeError, ValueError):
        raise ArgumentError(f"noise_gate_threshold_dbfs {text}: expected a number") from None


def _whole(name: str, value: Any, low: int, high: int) -> int:  # noqa: ANN401 - of a client
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = low - 1
    if not low <= number <= high:
        raise ArgumentError(f"{name} {value}: expected {low} to {high}")
    return number


def _at_rate(path: Path, rate: int) -> Path:
    """Return the file itself or another one beside it at the rate."""
    from voxhop.io import AudioReader, AudioWriter  # noqa: PLC0415 - the same
    from voxhop.media.sources import at_rate  # noqa: PLC0415 - where rates differ only

    with AudioReader(path) as reader:
        if reader.rate == rate:
            return path
        target = path.with_name(f"rate{path.suffix}")
        source = at_rate(reader, rate)
        encoding = (reader.format, reader.subtype)
        with AudioWriter(target, rate=rate, channels=reader.channels, encoding=encoding) as writer:
            while len(block := source.read(rate)):
                writer.write(block)
    return target


def _without(message: str, folder: str) -> str:
    """Return a message without the server's own folders."""
    return message.replace(folder + "/", "")


async def _serve_models(
    models: Mapping[str, Model],
    host: str,
    port: int,
    limits: ServeLimits,
    ready: Any,  # noqa: ANN401 - a function of host and port, or None
) -> None:
    web = _aiohttp()
    runner = web.AppRunner(_Server(models, limits, (host,)).app(), access_log=None)
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
) -> None:
    """Serve the page and the audio-transform interface until interrupted.

    Parameters
    ----------
    models
        Names or files; the bundled one when none. Clients choose by the stem of the file.
    host, port
        Where; port 0 takes a free one. Other machines reach it only when `host` is not loopback.
    limits
        What one server gives away.
    ready
        Called with host and port once requests are answered.

    Raises
    ------
    EngineError
        Without aiohttp, or when the port is taken.
    ModelFileError
        When a model cannot be loaded.
    """
    _aiohttp()
    with contextlib.ExitStack() as stack:
        loaded = [stack.enter_context(opened(name)) for name in models or (None,)]
        named = {Path(model.source).stem: model for model in loaded}
        asyncio.run(_serve_models(named, host, port, limits or ServeLimits(), ready))
