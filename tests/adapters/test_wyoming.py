"""The relay between a satellite and its services, all over real Wyoming sockets."""

import asyncio
import contextlib
import logging

import numpy as np
import pytest
from agent_call import RATE, blocks, erle_db, near_kept_db

from voxhop.adapters import webrtc_noise_gain as ours
from voxhop.errors import ArgumentError

pytest.importorskip("wyoming", reason="wyoming: of the extra test")

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.info import Describe
from wyoming.server import AsyncEventHandler, AsyncServer

from voxhop.adapters.wyoming import SatelliteEnhancer, relay


def chunk(samples, **other):
    form = {"rate": RATE, "width": 2, "channels": 1, **other}
    return AudioChunk(audio=np.asarray(samples).tobytes(), **form).event()


class House:
    """A microphone and a loudspeaker service in one room, and the relay before them."""

    def __init__(self, folder, enhancer):
        names = ("mic", "snd", "clean-mic", "clean-snd")
        self.uris = [f"unix://{folder}/{name}.sock" for name in names]
        self.enhancer = enhancer
        self.heard = asyncio.Queue()  # by the loudspeaker
        self.mics = []  # connected to the microphone
        self.came = asyncio.Semaphore(0)  # as often as one came

    async def __aenter__(self):
        house = self

        class Mic(AsyncEventHandler):
            async def run(self):
                house.mics.append(self)
                house.came.release()
                await super().run()

            async def handle_event(self, event):
                await self.write_event(event)  # an answer
                return True

        class Snd(AsyncEventHandler):
            async def handle_event(self, event):
                house.heard.put_nowait(event)
                return True

        mic, snd, clean_mic, clean_snd = self.uris
        self.servers = [AsyncServer.from_uri(uri) for uri in (mic, snd)]
        for server, kind in zip(self.servers, (Mic, Snd), strict=True):
            await server.start(kind)
        self.relay = asyncio.create_task(
            relay(
                self.enhancer,
                mic_uri=mic,
                snd_uri=snd,
                mic_listen=clean_mic,
                snd_listen=clean_snd,
            )
        )
        self.satellite = [await self.client(uri) for uri in (clean_mic, clean_snd)]
        await self.came.acquire()
        return self

    @staticmethod
    async def client(uri):
        for _ in range(100):
            client = AsyncClient.from_uri(uri, read_timeout=10)
            with contextlib.suppress(OSError):
                await client.connect()
                return client
            await asyncio.sleep(0.02)
        raise AssertionError(uri)

    async def __aexit__(self, *_):
        for client in self.satellite:
            with contextlib.suppress(OSError):
                await client.disconnect()
        self.relay.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.relay
        for server in self.servers:
            await server.stop()

    async def exchange(self, spoken, picked_up):
        """Let the satellite say something; return what it then hears."""
        await self.satellite[1].write_event(spoken)
        assert (await self.heard.get()) == spoken
        await self.mics[-1].write_event(picked_up)
        return await self.satellite[0].read_event()


def run(folder, enhancer, scene):
    async def whole():
        async with House(folder, enhancer) as house:
            return await scene(house)

    with enhancer:
        return asyncio.run(asyncio.wait_for(whole(), 60))


def test_a_satellite_does_not_hear_its_own_loudspeaker(tmp_path, model, call):
    mic, ref = call

    async def scene(house):
        out = []
        for m, r in blocks(mic, ref, frames=1024):
            event = await house.exchange(chunk(r), chunk(m, timestamp=5))
            found = AudioChunk.from_event(event)
            assert (found.rate, found.width, found.channels, found.timestamp) == (RATE, 2, 1, 5)
            out.append(np.frombuffer(found.audio, "<i2"))
        assert house.enhancer.metrics.delay_ms is not None
        return np.concatenate(out)

    out = run(tmp_path, SatelliteEnhancer(model=model), scene)
    assert erle_db(mic, out, 511) > 25
    assert near_kept_db(mic, out, 511) > -3


def test_other_events_pass_both_ways(tmp_path, model):
    async def scene(house):
        mic, snd = house.satellite
        for event in (AudioStart(RATE, 2, 1).event(), Describe().event()):
            await mic.write_event(event)
            assert await mic.read_event() == event
        await snd.write_event(AudioStop(timestamp=7).event())
        assert (await house.heard.get()) == AudioStop(timestamp=7).event()

    run(tmp_path, SatelliteEnhancer(model=model), scene)


def test_what_it_cannot_serve_passes_and_the_relay_lives_on(tmp_path, model, call, caplog):
    mic, ref = (track[:4096] for track in call)
    odd = [
        chunk(np.arange(100, dtype=np.int32), width=4),
        chunk(np.arange(99, dtype=np.int8)),  # half a sample
        chunk(mic, rate=1000),
        chunk(mic, channels=0),
    ]

    async def scene(house):
        for event in (*odd, *odd):
            assert await house.exchange(event, event) == event
        await house.exchange(chunk(ref, rate=22050), chunk(mic))
        for event in odd:
            assert await house.exchange(event, event) == event
        clean = await house.exchange(chunk(ref), chunk(mic))
        assert clean.payload != chunk(mic).payload
        other = await house.exchange(chunk(ref), chunk(np.repeat(mic, 3), rate=48000))
        assert AudioChunk.from_event(other).samples == 3 * len(mic)

    with caplog.at_level(logging.WARNING, "voxhop"):
        run(tmp_path, SatelliteEnhancer(model=model), scene)
    assert caplog.text.count("width 4, expected 2; passed through") == 1
    assert caplog.text.count("loudspeaker: audio: 99 bytes") == 1
    assert caplog.text.count("a new stream") == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"{}\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"type": "x", "payload_length": 9}\n',
    ],
)
def test_garbage_ends_one_connection_only(tmp_path, model, garbage):
    async def scene(house):
        stranger = await house.client(house.uris[3])
        stranger._writer.write(garbage)
        stranger._writer.write_eof()
        assert await stranger._reader.read() == b""
        silence = chunk(np.zeros(1024, np.int16))
        house.satellite[1] = await house.client(house.uris[3])
        assert (await house.exchange(silence, silence)) == silence

    run(tmp_path, SatelliteEnhancer(model=model), scene)


def test_a_satellite_that_comes_again_takes_over(tmp_path, model):
    async def scene(house):
        silence = chunk(np.zeros(1024, np.int16))
        await house.exchange(silence, silence)
        first = house.satellite[0]
        house.satellite[0] = await house.client(house.uris[2])
        await house.came.acquire()
        assert (await house.exchange(silence, silence)) == silence
        assert await first.read_event() is None

    run(tmp_path, SatelliteEnhancer(model=model), scene)


def test_a_service_that_is_gone_ends_the_connection(tmp_path, model, caplog):
    async def scene(house):
        await house.servers[0].stop()
        for mic in house.mics:
            mic.writer.close()
        assert await house.satellite[0].read_event() is None
        again = await house.client(house.uris[2])
        assert await again.read_event() is None

    with caplog.at_level(logging.WARNING, "voxhop"):
        run(tmp_path, SatelliteEnhancer(model=model), scene)
    assert "service unix://" in caplog.text


def test_ten_milliseconds_are_those_of_webrtc_noise_gain(model):
    theirs = pytest.importorskip(
        "webrtc_noise_gain", reason="webrtc-noise-gain: of the extra test, Linux only"
    )
    for package in (theirs, ours):
        processor = package.AudioProcessor(0, 2)
        found = processor.Process10ms(bytes(320))
        assert found.audio == bytes(320)
        assert found.is_speech is False
        for wrong in (b"", bytes(318), bytes(640)):
            with pytest.raises(ValueError, match="320"):
                processor.Process10ms(wrong)
        with pytest.raises(TypeError):
            processor.Process10ms("x" * 320)
    for arguments in ((3, 0), (0, 5)):
        with pytest.raises(ArgumentError, match="expected 0"):
            ours.AudioProcessor(*arguments, model=model)


def test_levels_of_webrtc_noise_gain_hold_until_something_is_played(model, call):
    mic, ref = call
    outs = {}
    for played in (False, True):
        with ours.AudioProcessor(0, 2, model=model) as processor:
            out = b""
            for m, r in blocks(mic, ref):
                if played:
                    processor.play(r.tobytes())
                out += processor.Process10ms(m.tobytes()).audio
            outs[played] = erle_db(mic, np.frombuffer(out, "<i2"), processor.latency_samples)
    assert outs[False] < 12.5
    assert outs[True] > 25
