"""Lost packets in ``voxhop report`` and ``voxhop demo``."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop import LossTrace
from voxhop.cli import main
from voxhop.report import analyse, findings

DEMO = Path(voxhop.__file__).parent / "demo"
RATE = 16000
VOICE = soundfile.read(DEMO / "ref.flac", dtype="float32")[0][: 2 * RATE]
TRACE = LossTrace((False,) * 20 + (True,) * 4 + (False,) * 50 + (True,))


@pytest.fixture
def voice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("voice.wav", VOICE, RATE, subtype="FLOAT")
    TRACE.write("trace.txt")
    return tmp_path


def test_an_analysis_hears_what_arrived_and_says_what_did_not():
    seen = analyse(VOICE, None, RATE, losses=TRACE)
    assert seen.lost == ((0.4, 0.48), (1.48, 1.5))
    gone = np.zeros(len(VOICE), bool)
    gone[round(0.4 * RATE) : round(0.48 * RATE)] = gone[round(1.48 * RATE) : round(1.5 * RATE)] = 1
    assert not seen.mic[gone].any()
    assert np.array_equal(seen.mic[~gone], VOICE[~gone])
    assert seen.metrics.lost_frames == gone.sum()
    said = [finding.text for finding in findings(seen)]
    assert "5.0 % of the microphone were lost in 2 bursts, the longest of 80 ms." in said
    other = VOICE.copy()
    other[gone] = 0.3
    assert np.array_equal(analyse(other, None, RATE, losses=TRACE).out, seen.out)
    later = analyse(VOICE[RATE:], None, RATE, losses=TRACE, start_s=1.0)
    assert later.lost == ((0.48, 0.5),)
    assert analyse(VOICE, None, RATE).lost == ()


def test_the_report_marks_losses_and_scores_them_where_it_can(voice, capsys):
    pytest.importorskip("matplotlib")
    line = ["report", "voice.wav", "-o", "p.html", "--json"]
    assert main([*line, "--start", "0.2", "--losses", "trace.txt"]) == 0
    told = json.loads(capsys.readouterr().out)
    lost = next(f["text"] for f in told["findings"] if "were lost" in f["text"])
    assert lost.startswith("5.6 % of the microphone were lost in 2 bursts, the longest of 80 ms.")
    try:
        import speechmos  # noqa: F401, PLC0415 - an extra
    except ImportError:
        assert "PLCMOS" not in lost
    else:
        assert "PLCMOS (1 to 5) is" in lost
    page = (voice / "p.html").read_text(encoding="utf-8")
    assert "packets that were lost" in page
    assert main(line) == 0
    assert "packets that were lost" not in (voice / "p.html").read_text(encoding="utf-8")


def test_the_demo_loses_and_fills(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("voxhop.cli.losses_demo.plcmos_of", lambda _signal, _rate: 3.0)
    assert main(["demo", "--losses", "10%", "-o", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["figures"]
    assert told["lost_share"] == pytest.approx(0.1, abs=0.02)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["filled.wav", "losses.png", "losses.txt", "received.wav", "sent.wav"]
    sent, arrived, filled = (
        soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("sent", "received", "filled")
    )
    trace = LossTrace.read(tmp_path / "losses.txt")
    assert len(trace.spans()) == told["bursts"]
    at = 0
    for frames, lost in trace.runs(RATE, 0, len(sent)):
        part = slice(at, at + frames)
        at += frames
        assert np.array_equal(arrived[part], np.zeros(frames) if lost else sent[part])
        if lost:
            assert filled[part].any()
    assert main(["demo", "--losses", "10%", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "silence in the gaps" in said
    assert "PLCMOS 3.00 of 5" in said


@pytest.mark.parametrize("share", ["ten", "120%", "-1", "5%%"])
def test_a_share_that_is_none_is_refused(tmp_path, capsys, share):
    assert main(["demo", f"--losses={share}", "-o", str(tmp_path)]) == 2
    assert f"--losses {share}: expected a share" in capsys.readouterr().err
