"""The filter in real pipecat pipelines: an agent speaks into a room and hears itself, or not."""

import asyncio
import logging

import numpy as np
import pytest
import soxr
from agent_call import RATE, erle_db, near_kept_db

import voxhop

pytest.importorskip(
    "pipecat", reason='pipecat-ai is heavy (0.5 GB): pip install "voxhop[pipecat]" to run these'
)

from pipecat.frames.frames import (
    EndFrame,
    FilterEnableFrame,
    FilterUpdateSettingsFrame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from voxhop.adapters.pipecat import VqeFilter

OUT_RATE, CHUNK_S, PIECE_S = 24000, 0.04, 0.02
WHOLE = RATE // 100 * 2  # frames of the pieces in which the microphone is read


class Room:
    """Where the loudspeaker's 40 ms come back with the microphone's, in pieces of 20 ms."""

    def __init__(self, mic, params):
        room = self
        self.at, self.written = 0, []

        class Input(BaseInputTransport):
            async def start(self, frame):
                await super().start(frame)
                await self.set_transport_ready(frame)

        class Output(BaseOutputTransport):
            async def start(self, frame):
                await super().start(frame)
                await self.set_transport_ready(frame)

            async def write_audio_frame(self, frame):
                room.written.append(frame.audio)
                for _ in range(round(CHUNK_S / PIECE_S)):
                    piece = mic[room.at : room.at + WHOLE]
                    room.at += len(piece)
                    await room.input.push_audio_frame(
                        InputAudioRawFrame(piece.tobytes(), sample_rate=RATE, num_channels=1)
                    )
                return True

        self.input, self.output = Input(params), Output(params)


class Recogniser(FrameProcessor):
    """Keeps what it is given to recognise."""

    def __init__(self, wanted):
        super().__init__()
        self.heard, self.wanted, self.done = [], wanted, asyncio.Event()

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.heard.append(frame.audio)
            if sum(map(len, self.heard)) >= self.wanted:
                self.done.set()
        else:
            await self.push_frame(frame, direction)


def converse(echo, mic, ref, *, taps="filter", script=()):
    """Return what the recogniser hears of a call, int16.

    `script` are frames that go to the transport before its first word.
    """
    spoken = soxr.resample(ref, RATE, OUT_RATE)
    params = TransportParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_out_end_silence_secs=0,
        audio_in_filter=echo,
        audio_out_filter=echo.reference_tap() if taps == "filter" else None,
    )
    room, recogniser = Room(mic, params), Recogniser(bytes_read(mic))
    line = [room.input, recogniser, room.output]
    if taps == "processor":
        line.append(echo.reference_processor())

    async def whole():
        worker = PipelineWorker(
            Pipeline(line),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=OUT_RATE),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )
        words = TTSAudioRawFrame(spoken.tobytes(), sample_rate=OUT_RATE, num_channels=1)
        runner = WorkerRunner()
        await runner.add_workers(worker)
        for frame in (*script, words):
            await worker.queue_frame(frame)

        async def hang_up():
            await recogniser.done.wait()
            await worker.queue_frame(EndFrame())

        await asyncio.gather(runner.run(), hang_up())

    asyncio.run(asyncio.wait_for(whole(), 60))
    assert b"".join(room.written)[: 2 * len(spoken)] == spoken.tobytes()
    return np.frombuffer(b"".join(recogniser.heard), "<i2")


def bytes_read(mic):
    """Return how much of the microphone is read while whole chunks of 40 ms are played."""
    return len(mic) // (2 * WHOLE) * 2 * WHOLE * 2


@pytest.mark.parametrize("taps", ["filter", "processor"])
def test_an_agents_own_playback_is_gone(model, call, taps):
    mic, ref = call
    # A processor after the output hears a chunk when it has been written: the room is that late.
    late = 0 if taps == "filter" else 2 * WHOLE
    room = np.concatenate([np.zeros(late, np.int16), mic])
    out = converse(VqeFilter(model=model), room, np.append(ref, ref[:late]), taps=taps)
    assert erle_db(mic, out[late:], 511) > 25
    assert near_kept_db(mic, out[late:], 511) > -3


def test_without_a_tap_the_agent_hears_itself(model, call):
    mic, ref = (track[: 3 * RATE] for track in call)
    out = converse(VqeFilter(model=model), mic, ref, taps="none")
    assert erle_db(mic, out, 511) < 12


@pytest.mark.parametrize(
    "script", [[FilterEnableFrame(enable=False)], [FilterUpdateSettingsFrame({"strength": 0.0})]]
)
def test_control_frames_turn_it_down(model, call, script):
    mic, ref = (track[: 3 * RATE] for track in call)
    out = converse(VqeFilter(model=model), mic, ref, script=script)
    assert abs(erle_db(mic, out, 511)) < 0.1


def test_settings_that_do_not_exist_are_named_and_nothing_stops(model, call, caplog):
    mic, ref = (track[: 3 * RATE] for track in call)
    script = [FilterUpdateSettingsFrame({"loudness": 3, "strength": 7.0})]
    with caplog.at_level(logging.WARNING, "voxhop"):
        out = converse(VqeFilter(model=model), mic, ref, script=script)
    assert erle_db(mic, out, 511) > 25
    assert "setting loudness: expected strength, floor_db, gate_dbfs" in caplog.text
    assert "strength: 7, expected 0 to 1" in caplog.text
    for settings in ({"loudness": 3}, {"strength": 7.0}):
        with pytest.raises(voxhop.ArgumentError, match="expected"):
            VqeFilter(model=model, **settings)


async def scene(echo, *audio, rate=RATE):
    await echo.start(rate)
    found = [await echo.filter(block) for block in audio]
    await echo.stop()
    return found


def test_what_it_cannot_serve_passes_and_is_said_once(model, caplog):
    echo, odd = VqeFilter(model=model), b"abc"
    loud = np.full(320, 9000, np.int16).tobytes()
    with caplog.at_level(logging.WARNING, "voxhop"):
        found = asyncio.run(scene(echo, odd, loud, odd, b"", loud[:30], loud))
        assert asyncio.run(scene(echo, loud, odd, rate=1000)) == [loud, odd]
    assert [len(block) for block in found] == [3, 640, 3, 0, 30, 640]
    assert found[0] == odd
    assert found[1] != loud
    assert caplog.text.count("3 bytes") == 1
    assert "sample_rate: 1000" in caplog.text


def test_a_reference_that_is_no_sound_does_not_reach_the_loudspeakers_pipeline(model, caplog):
    async def tapped():
        echo = VqeFilter(model=model)
        tap = echo.reference_tap()
        await tap.start(OUT_RATE)
        assert await tap.filter(b"early") == b"early"  # the microphone is not there yet
        await echo.start(RATE)
        assert await tap.filter(b"odd") == b"odd"
        await echo.stop()
        await tap.stop()

    with caplog.at_level(logging.WARNING, "voxhop"):
        asyncio.run(tapped())
    assert "reference: audio: 3 bytes" in caplog.text


def test_it_can_be_started_again_and_starts_afresh(model):
    echo = VqeFilter(model=model)
    loud = [np.full(320, 9000, np.int16).tobytes()] * 10
    assert asyncio.run(scene(echo, *loud)) == asyncio.run(scene(echo, *loud))
    assert echo.metrics is None


def test_the_event_loop_is_free_meanwhile(model):
    """While 20 s in one piece are computed, another task runs."""

    async def busy():
        echo = VqeFilter(model=model)
        await echo.start(RATE)
        ticks = 0
        work = asyncio.create_task(echo.filter(bytes(2 * 20 * RATE)))
        while not work.done():
            await asyncio.sleep(0.001)
            ticks += 1
        await echo.stop()
        return ticks

    assert asyncio.run(busy()) > 20


def test_other_destinations_are_not_the_loudspeaker(model):
    async def sent(destination):
        echo = VqeFilter(model=model)
        await echo.start(RATE)
        frame = OutputAudioRawFrame(b"\1\2" * 320, sample_rate=RATE, num_channels=1)
        frame.transport_destination = destination
        processor = echo.reference_processor()
        processor.push_frame = lambda *_: asyncio.sleep(0)
        await processor.process_frame(frame, None)
        await echo.filter(bytes(1280))
        active = echo.metrics.ref_missing_frames
        await echo.stop()
        return active

    assert asyncio.run(sent(None)) == 0
    assert asyncio.run(sent("music")) > 0
