"""Models that take no reference, in every adapter: what is played changes nothing."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from agent_call import RATE, blocks

import voxhop
from voxhop.adapters import pywebrtc, webrtc_noise_gain
from voxhop.adapters.pcm import PcmEnhancer

GOLDEN = Path(__file__).parents[1] / "golden" / "seflow-random" / "model-f32.gguf"


@pytest.fixture(scope="module")
def alone():
    with voxhop.load(GOLDEN) as loaded:
        assert loaded.info.input_count == 1
        yield loaded


def of_pcm(model, mic, ref):
    with PcmEnhancer(model=model) as enhancer:
        for m, r in blocks(mic, ref):
            enhancer.play(r.tobytes())
            yield enhancer(m.tobytes())


def of_pywebrtc(model, mic, ref):
    with pywebrtc.EchoCanceller(model=model) as canceller:
        for m, r in blocks(mic, ref):
            yield canceller.process(m, r).tobytes()


def of_noise_gain(model, mic, ref):
    with webrtc_noise_gain.AudioProcessor(0, 4, model=model) as processor:
        processor.play(ref.tobytes())
        for (m,) in blocks(mic):
            yield processor.Process10ms(m.tobytes()).audio


def of_livekit(model, mic, ref):
    rtc = pytest.importorskip("livekit.rtc", reason="livekit: of the extra test")
    from voxhop.adapters.livekit import VqeProcessor  # noqa: PLC0415 - its framework is optional

    processor = VqeProcessor(model=model)
    for m, r in blocks(mic, ref):
        processor.play(rtc.AudioFrame(r.tobytes(), RATE, 1, len(r)))
        yield processor._process(rtc.AudioFrame(m.tobytes(), RATE, 1, len(m))).data.tobytes()


def of_wyoming(model, mic, ref):
    pytest.importorskip("wyoming", reason="wyoming: of the extra test")
    from wyoming.audio import AudioChunk  # noqa: PLC0415 - optional

    from voxhop.adapters.wyoming import SatelliteEnhancer  # noqa: PLC0415 - the same

    with SatelliteEnhancer(model=model) as enhancer:
        for m, r in blocks(mic, ref):
            enhancer.to_speaker(AudioChunk(RATE, 2, 1, r.tobytes()).event())
            yield enhancer.from_mic(AudioChunk(RATE, 2, 1, m.tobytes()).event()).payload


def of_pipecat(model, mic, ref):
    pytest.importorskip("pipecat", reason='heavy: pip install "voxhop[pipecat]"')
    from voxhop.adapters.pipecat import VqeFilter  # noqa: PLC0415 - its framework is optional

    async def whole():
        echo = VqeFilter(model=model)
        tap = echo.reference_tap()
        await tap.start(RATE)
        await echo.start(RATE)
        found = []
        for m, r in blocks(mic, ref):
            await tap.filter(r.tobytes())
            found.append(await echo.filter(m.tobytes()))
        await echo.stop()
        return found

    yield from asyncio.run(whole())


@pytest.mark.parametrize(
    "adapter", [of_pcm, of_pywebrtc, of_noise_gain, of_livekit, of_wyoming, of_pipecat]
)
def test_it_is_the_stream_whatever_is_played(alone, call, adapter):
    mic, ref = call[0][:8000], call[1][16000:24000]
    assert ref.any()
    settings = {"floor_db": 21.0} if adapter is of_noise_gain else {}  # of its highest level
    with voxhop.Stream(alone, sample_rate=RATE, **settings) as stream:
        expected = stream.process(mic)
    out = np.frombuffer(b"".join(adapter(alone, mic, ref)), "<i2")
    assert np.array_equal(out, expected)
