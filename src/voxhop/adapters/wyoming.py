"""Wyoming satellites: a relay between a satellite and its microphone and sound services.

    python -m voxhop.adapters.wyoming --mic-uri tcp://127.0.0.1:10600 \
        --snd-uri tcp://127.0.0.1:10601

serves both again, at ports 10610 and 10611; what comes from the first is free of what goes to
the second. Needs the extra ``wyoming``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from voxhop.adapters._following import FollowingEnhancer, SayOnce
from voxhop.engine.closing import Closing
from voxhop.errors import EngineError, VoxhopError

try:
    from wyoming.audio import AudioChunk
    from wyoming.client import AsyncClient
    from wyoming.server import AsyncEventHandler, AsyncServer
except ImportError as error:
    raise ImportError('Wyoming is missing: pip install "voxhop[wyoming]"') from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wyoming.event import Event

    from voxhop.files.offline import ModelSource
    from voxhop.stream.types import StreamMetrics

_LOG: Final = logging.getLogger("voxhop")
_WIDTH: Final = 2
_TIMEOUT_S: Final = 5.0
# What reading an event raises when the other side is gone or no Wyoming.
_BROKEN: Final = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError)


class SatelliteEnhancer(Closing):
    """Cleans audio events of a microphone of what audio events tell a loudspeaker.

    Events that it cannot serve (other sample widths, other types, half samples) pass unchanged;
    this is logged once. A microphone that changes its format gets a new stream.

    Parameters
    ----------
    model, **settings
        As for `voxhop.adapters.pcm.PcmEnhancer`.

    Raises
    ------
    ArgumentError, ModelFileError
        For a setting that does not fit, a model that does not load.
    """

    def __init__(self, *, model: ModelSource = None, **settings: Any) -> None:  # noqa: ANN401
        self._following, self._tell = FollowingEnhancer(model, settings), SayOnce()
        self._one_at_a_time = threading.Lock()

    def from_mic(self, event: Event) -> Event:
        """Return the event of the microphone as it should have been."""
        if not AudioChunk.is_type(event.type):
            return event
        try:
            chunk = AudioChunk.from_event(event)
            if chunk.width != _WIDTH:
                self._tell(f"microphone: width {chunk.width}, expected {_WIDTH}; passed through")
                return event
            with self._one_at_a_time:
                audio = self._following.opened(chunk.rate, chunk.channels)(chunk.audio)
        except (VoxhopError, KeyError, TypeError) as error:
            self._tell(f"microphone: {error}; passed through")
            return event
        return AudioChunk(
            chunk.rate, chunk.width, chunk.channels, audio, timestamp=chunk.timestamp
        ).event()

    def to_speaker(self, event: Event) -> Event:
        """Take note of what is played, and return the event as it is."""
        enhancer = self._following.current
        if AudioChunk.is_type(event.type) and enhancer is not None:
            try:
                chunk = AudioChunk.from_event(event)
                if chunk.width == _WIDTH:
                    enhancer.play(chunk.audio, sample_rate=chunk.rate, channels=chunk.channels)
                else:
                    self._tell(f"loudspeaker: width {chunk.width}, expected {_WIDTH}; not heard")
            except (VoxhopError, KeyError, TypeError) as error:
                self._tell(f"loudspeaker: {error}; not heard")
        return event

    def close(self) -> None:
        """Give the memory back. May be repeated."""
        self._following.close()

    @property
    def metrics(self) -> StreamMetrics | None:
        """Figures so far; None before the first samples of a microphone."""
        enhancer = self._following.current
        return None if enhancer is None else enhancer.metrics


class _Relay(AsyncEventHandler):
    """One client, connected to a service behind. A client that comes later takes its place."""

    def __init__(
        self,
        uri: str,
        latest: dict[str, _Relay],
        forth: Callable[[Event], Event],
        back: Callable[[Event], Event],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(reader, writer)
        self._uri, self._forth, self._back, self._latest = uri, forth, back, latest
        self._service = AsyncClient.from_uri(uri, connect_timeout=_TIMEOUT_S)

    async def run(self) -> None:
        """Serve the client until it, or the service, goes."""
        before, self._latest[self._uri] = self._latest.get(self._uri), self
        if before is not None:
            await before.stop()  # a satellite that lost its connection comes again
        try:
            await self._service.connect()
        except (OSError, asyncio.TimeoutError) as error:
            _LOG.warning("service %s: %s", self._uri, error or "no answer")
            self.writer.close()
            return
        answers = asyncio.create_task(self._answer())
        try:
            await super().run()
        except _BROKEN as error:
            _LOG.warning("client of %s: %s: %s", self._uri, type(error).__name__, error)
        finally:
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers
            with contextlib.suppress(OSError):
                await self._service.disconnect()
            if self._latest.get(self._uri) is self:
                del self._latest[self._uri]

    async def handle_event(self, event: Event) -> bool:
        """Send an event of the client on."""
        await self._service.write_event(await asyncio.to_thread(self._forth, event))
        return True

    async def _answer(self) -> None:
        try:
            while (event := await self._service.read_event()) is not None:
                await self.write_event(await asyncio.to_thread(self._back, event))
        except _BROKEN as error:
            _LOG.warning("service %s: %s: %s", self._uri, type(error).__name__, error)
        self.writer.close()  # the service is gone: the client should know, and come again
        self.reader.feed_eof()


async def relay(
    enhancer: SatelliteEnhancer,
    *,
    mic_uri: str,
    snd_uri: str,
    mic_listen: str = "tcp://127.0.0.1:10610",
    snd_listen: str = "tcp://127.0.0.1:10611",
) -> None:
    """Serve a microphone and a loudspeaker service again, until cancelled.

    Parameters
    ----------
    enhancer
        Of this pair.
    mic_uri, snd_uri
        The services: ``tcp://`` or ``unix://``.
    mic_listen, snd_listen
        Where the satellite finds them, free of echo.

    Raises
    ------
    EngineError
        When an address cannot be listened at.
    """

    def same(event: Event) -> Event:
        return event

    routes = (
        (mic_listen, mic_uri, same, enhancer.from_mic),
        (snd_listen, snd_uri, enhancer.to_speaker, same),
    )
    servers: list[AsyncServer] = []
    latest: dict[str, _Relay] = {}
    try:
        for listen, uri, forth, back in routes:
            server = AsyncServer.from_uri(listen)
            await server.start(partial(_Relay, uri, latest, forth, back))
            servers.append(server)
        _LOG.info("satellite: microphone at %s, loudspeaker at %s", mic_listen, snd_listen)
        await asyncio.Event().wait()
    except OSError as error:
        raise EngineError(f"satellite: cannot listen: {error}") from error
    finally:
        for server in servers:
            await server.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a relay until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m voxhop.adapters.wyoming",
        description="Echo, noise and reverberation off the microphone of a Wyoming satellite.",
    )
    parser.add_argument("--mic-uri", required=True, help="the microphone service")
    parser.add_argument("--snd-uri", required=True, help="the sound service")
    parser.add_argument("--mic-listen", default="tcp://127.0.0.1:10610", help="for the satellite")
    parser.add_argument("--snd-listen", default="tcp://127.0.0.1:10611", help="for the satellite")
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")
    args = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with (
        SatelliteEnhancer(model=args.pop("model")) as enhancer,
        contextlib.suppress(KeyboardInterrupt),
    ):
        asyncio.run(relay(enhancer, **args))


if __name__ == "__main__":
    main()
