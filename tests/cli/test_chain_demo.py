"""``voxhop demo --chain``: every link is heard, and the whole runs at the pace of the sound."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxhop import Chain, CodecLink, ModelLink
from voxhop.cli import chain_demo, main
from voxhop.models import DEFAULT_MODEL

GOLDEN = Path(__file__).parent.parent / "golden"
CODEC = GOLDEN / "sublime-random" / "model-f32.gguf"
RESTORER = GOLDEN / "streamfm-random" / "model-f32.gguf"
RATE = 16000


@pytest.fixture
def short(monkeypatch):
    """Cut the demo's recordings to a second, and judge nothing."""
    whole = chain_demo.copy_recording
    monkeypatch.setattr(
        chain_demo, "copy_recording", lambda source, target: whole(source, target, seconds=1.0)
    )
    monkeypatch.setattr(chain_demo, "plcmos_of", lambda _signal, _rate: 3.0)
    segments = {"far end": (0.0, 0.6), "both": (0.6, 0.8), "near end": (0.8, 1.0)}
    monkeypatch.setattr(chain_demo, "read_segments", lambda: segments)


@pytest.mark.usefixtures("short")
def test_every_file_is_what_its_links_make(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("voxhop.files.restorers.find_restorer", lambda _name: RESTORER)
    line = ["demo", "--chain", "--model", str(CODEC), "-o", str(tmp_path)]
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = ["microphone", "cancelled", "coded", "lossy", "restored"]
    sounds = {name: next(tmp_path.glob(f"?-{name}.wav")) for name in names}
    mic, ref = (
        soundfile.read(tmp_path / f"0-{name}.wav", dtype="float32")[0]
        for name in ("microphone", "loudspeaker")
    )
    links = [
        ModelLink(DEFAULT_MODEL),
        CodecLink(CODEC, loss=0.1, burst=2.0, seed=3),
        ModelLink(RESTORER),
    ]
    with Chain(links, sample_rate=RATE) as chain:
        out = np.concatenate([chain.process(mic, ref), chain.flush()])[chain.latency_samples :]
        late = 1000 * chain.latency_samples / RATE
    heard = soundfile.read(sounds["restored"], dtype="float32")[0]
    assert np.abs(heard - np.clip(out, -1, 1)).max() < 2 / 32768
    assert told["links"][-1]["latency_ms"] == pytest.approx(late)
    assert [row["plcmos"] for row in told["links"]] == [3.0] * 5
    cancelled = soundfile.read(sounds["cancelled"])[0]
    part = slice(0, round(0.6 * RATE))
    less = 10 * np.log10(np.mean(mic[part] ** 2) / np.mean(cancelled[part] ** 2))
    assert told["links"][1]["far_end_db"] == pytest.approx(less, abs=0.2)
    assert told["live"]["blocks"] == 100
    assert 0 < told["live"]["p50_ms"] <= told["live"]["p99_ms"]
    assert [link["name"] for link in told["metrics"]["links"]] == ["canceller", "codec", "restorer"]


@pytest.mark.usefixtures("short")
def test_without_a_restorer_it_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("voxhop.files.restorers.installed", tuple)
    assert main(["demo", "--chain", "--model", str(CODEC), "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "no restoring model is installed" in said
    assert "10% of the packets lost and concealed" in said
    assert "of 100 late" in said
    assert not list(tmp_path.glob("?-restored.wav"))


def test_what_is_no_codec_is_named(tmp_path, capsys):
    line = ["demo", "--chain", "--model", str(RESTORER), "-o", str(tmp_path)]
    assert main(line) != 0
    assert "expected a speech codec" in capsys.readouterr().err
