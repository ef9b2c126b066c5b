"""The reference of an agent: through the real output chain of livekit-agents."""

import asyncio

import numpy as np
import pytest
from agent_call import RATE, blocks, erle_db

pytest.importorskip(
    "livekit.agents", reason='heavy (0.4 GB): pip install "voxhop[livekit-agents]" to run these'
)

from livekit import rtc
from livekit.agents.voice import io, room_io

from voxhop.adapters.livekit import VqeProcessor
from voxhop.adapters.livekit_agents import ReferenceOutput


def frame(samples):
    return rtc.AudioFrame(np.ascontiguousarray(samples).tobytes(), RATE, 1, len(samples))


class Loudspeaker(io.AudioOutput):
    """The end of the chain: notes what it is told."""

    def __init__(self):
        super().__init__(
            label="loudspeaker",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=RATE,
        )
        self.calls = []

    async def capture_frame(self, frame):
        await super().capture_frame(frame)
        self.calls.append(bytes(frame.data))

    def flush(self):
        super().flush()
        self.calls.append("flush")
        self.on_playback_finished(playback_position=1.0, interrupted=False)

    def clear_buffer(self):
        self.calls.append("clear")

    def pause(self):
        self.calls.append("pause")

    def resume(self):
        self.calls.append("resume")


def test_an_agent_that_speaks_ahead_of_time_does_not_hear_itself(model, call):
    mic, ref = (track[: 3 * RATE] for track in call)
    processor, end = VqeProcessor(model=model), Loudspeaker()
    assert room_io.AudioInputOptions(noise_cancellation=processor).noise_cancellation is processor

    async def scene():
        output = ReferenceOutput(processor, end)
        processor._process(frame(np.zeros(160, np.int16)))
        for (r,) in blocks(ref, frames=1600):  # all of it before the first word is heard
            await output.capture_frame(frame(r))
        output.flush()
        finished = await asyncio.wait_for(output.wait_for_playout(), 5)
        assert finished.playback_position == 1.0
        return output.sample_rate

    assert asyncio.run(scene()) == RATE
    assert b"".join(c for c in end.calls if isinstance(c, bytes)) == ref.tobytes()
    out = [processor._process(frame(m)).data for (m,) in blocks(mic)]
    heard = np.frombuffer(b"".join(map(bytes, out)), np.int16)
    assert erle_db(mic, heard, 511) > 25


def test_pauses_and_interruptions_reach_both(model, call):
    _, ref = call
    loud, silence = ref[16000:32000], frame(np.zeros(1600, np.int16))
    processor, end = VqeProcessor(model=model), Loudspeaker()

    def level(blocks_heard):
        for _ in range(blocks_heard):
            processor._process(silence)
        return processor.metrics.ref_dbfs

    async def scene():
        output = ReferenceOutput(processor, end)
        processor._process(silence)
        await output.capture_frame(frame(loud))
        output.pause()
        assert level(20) < -60
        output.resume()
        assert level(3) > -60
        output.clear_buffer()
        assert level(20) < -60

    asyncio.run(scene())
    assert end.calls[1:] == ["pause", "resume", "clear"]
