"""A program of a user is typed through: mypy --strict has nothing to say and knows every result."""

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
import voxhop
from voxhop.adapters.pcm import PcmEnhancer
from voxhop.adapters.pywebrtc import AudioProcessor

mic = np.zeros(16000, np.float32)
seconds: float = voxhop.enhance_file("a.wav", "b.wav", ref="c.wav").seconds
delay: voxhop.DelayEstimate | None = voxhop.probe_delay(mic, mic, 16000)
with voxhop.load() as model, model.session(kernels="auto", threads=1) as session:
    out = session.process_hop(mic[:256], mic[:256])
    session.process_hop_into(mic[:256], None, out)
    blob: bytes = session.state()
    found: float | None = session.metrics.delay_ms
    reveal_type(out)
    with voxhop.Stream(model, sample_rate=48000, strength=0.5) as stream:
        reveal_type(stream.process(mic))
        erle: float | None = stream.metrics.erle_db
    with voxhop.Chain([model], sample_rate=16000) as chain:
        reveal_type(chain.process(mic))
with PcmEnhancer(16000) as enhance:
    heard: bytes = enhance(b"..")
reveal_type(AudioProcessor(sample_rate=16000).process(mic))
failed: tuple[tuple[str, str], ...] = voxhop.batch("a", "b", cross=True).failed
"""


def test_mypy_strict_has_nothing_to_say(tmp_path):
    pytest.importorskip("mypy", reason="needs pip install mypy")
    (tmp_path / "program.py").write_text(PROGRAM)
    line = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*line, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    revealed = [text for text in done.stdout.splitlines() if "Revealed type" in text]
    assert len(revealed) == 4
    assert not [text for text in revealed if "ndarray" not in text or 'is "Any"' in text]
