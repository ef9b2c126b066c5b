"""Traces of lost packets, and recordings that lost some: arrays, files and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import signals
import voxhop
from voxhop import LossTrace
from voxhop.cli import main
from voxhop.errors import ArgumentError, AudioFileError, ModelFileError
from voxhop.stream.losses import process_runs

MODEL = Path(__file__).parents[1] / "golden" / "seflow-random" / "model-f32.gguf"
TRACE = LossTrace((False,) * 5 + (True, True, False, True) + (False,) * 30)


@pytest.fixture(scope="module")
def model():
    with voxhop.load(MODEL) as loaded:
        yield loaded


def speech(rate, seconds=0.7, seed=5):
    return signals.speech_like(round(rate * seconds), seed).astype(np.float32)


def lost_frames(trace, rate, frames):
    """Return a flag per frame, by the definition."""
    packets = (2 * np.arange(frames) + 1) * 5000 // (rate * round(10 * trace.packet_ms))
    flags = np.append(trace.lost, [False] * (packets[-1] + 1)).astype(bool)
    return flags[packets]


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("packet_ms", [10.0, 20.0, 62.5])
def test_stretches_are_those_of_the_packets_however_cut(rate, packet_ms):
    trace = LossTrace.simulate(0.3, 4.0, packet_ms=packet_ms, seed=3)
    frames = 5 * rate  # the last second arrived
    expected = lost_frames(trace, rate, frames)
    rng, at, found = np.random.default_rng(1), 0, []
    while at < frames:
        n = min(int(rng.integers(1, rate)), frames - at)
        runs = list(trace.runs(rate, at, n))
        assert sum(count for count, _ in runs) == n
        found += [np.full(count, lost) for count, lost in runs]
        at += n
    assert np.array_equal(np.concatenate(found), expected)
    assert 0.1 < expected.mean() < 0.5


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.4])
def test_simulated_losses_are_as_many_as_asked_for_in_short_bursts(share):
    trace = LossTrace.simulate(share, 3000.0, seed=1)
    assert len(trace.lost) == 150_000
    assert trace.share == pytest.approx(share, rel=0.1)
    lengths = [1000 * (b - a) for a, b in trace.spans()]
    if share == 0.1:
        assert min(lengths) == pytest.approx(20.0)
        assert np.quantile(lengths, 0.95) <= 140.0  # two may meet
    assert LossTrace.simulate(share, 3000.0, seed=1) == trace
    assert share == 0.0 or LossTrace.simulate(share, 3000.0, seed=2) != trace


def test_a_trace_goes_through_a_file(tmp_path):
    path = tmp_path / "trace.txt"
    TRACE.write(path)
    assert LossTrace.read(path) == TRACE
    path.write_text("0 0 1  # the first second\n\n101\n")
    assert LossTrace.read(path, packet_ms=10).lost == (False, False, True, True, False, True)
    path.write_text("001\n0x1\n")
    with pytest.raises(AudioFileError, match=r"line 2 has 'x', expected 0 \(arrived\)"):
        LossTrace.read(path)
    with pytest.raises(AudioFileError, match="cannot be read as a trace"):
        LossTrace.read(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LossTrace((), 0.0), "packet_ms: 0.0, expected 1 to 1000"),
        (lambda: LossTrace.simulate(0.95, 1.0), "share: 0.95, expected 0 to 0.9"),
        (lambda: LossTrace.simulate(-0.1, 1.0), "share: -0.1, expected 0 to 0.9"),
    ],
)
def test_traces_that_cannot_be_are_refused(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_what_was_lost_is_not_listened_to(model, rate):
    """Whatever the recording holds there, the result is that of zeros; and it is filled."""
    mic = np.stack([speech(rate), speech(rate, seed=6)], axis=1)
    lost = lost_frames(TRACE, rate, len(mic))
    settings = {"sample_rate": rate, "model": model, "highpass_hz": 0}
    out = voxhop.conceal(mic, losses=TRACE, **settings)
    assert out.shape == mic.shape
    noisy, silent = mic.copy(), mic.copy()
    noisy[lost] = 0.5
    silent[lost] = 0.0
    assert np.array_equal(voxhop.conceal(noisy, losses=TRACE, **settings), out)
    assert np.array_equal(voxhop.enhance(silent, **settings), out)
    assert not np.array_equal(voxhop.enhance(mic, **settings), out)
    assert np.abs(out[lost]).max() > 1e-3


def test_files_are_as_arrays_and_are_counted(model, tmp_path):
    mic = speech(16000)
    soundfile.write(tmp_path / "mic.wav", mic, 16000, subtype="FLOAT")
    report = voxhop.conceal_file(
        tmp_path / "mic.wav", tmp_path / "out.wav", losses=TRACE, model=model, depth=2
    )
    expected = voxhop.conceal(mic, sample_rate=16000, losses=TRACE, model=model, depth=2)
    assert np.array_equal(soundfile.read(tmp_path / "out.wav", dtype="float32")[0], expected)
    assert (report.sides[0].lost_frames, report.sides[0].lost_bursts) == (3 * 320, 2)


def test_models_that_cannot_do_it_are_refused(monkeypatch):
    mic = np.zeros(1600, np.float32)
    with pytest.raises(ArgumentError, match="localvqe takes a reference, expected one that takes"):
        voxhop.conceal(mic, sample_rate=16000, losses=TRACE, model="voxhop-localvqe-small")
    monkeypatch.setattr(
        "voxhop.files.concealment.bundled_models", lambda: ("voxhop-localvqe-small",)
    )
    with pytest.raises(ModelFileError, match="none inside the package fills lost packets"):
        voxhop.conceal(mic, sample_rate=16000, losses=TRACE)


@pytest.fixture
def recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("mic.wav", speech(16000), 16000, subtype="FLOAT")
    return soundfile.read("mic.wav", dtype="float32")[0]


def test_the_command_takes_a_trace(recording, model, capsys):
    TRACE.write("trace.txt")
    words = ["--model", str(MODEL), "--set", "heads=1", "-o", "out.wav"]
    assert main(["conceal", "mic.wav", "--losses", "trace.txt", *words]) == 0
    expected = voxhop.conceal(recording, sample_rate=16000, losses=TRACE, model=model, heads=1)
    assert np.array_equal(soundfile.read("out.wav", dtype="float32")[0], expected)
    assert "lost: 8.6 % in 2 bursts" in capsys.readouterr().out


def test_the_command_simulates_says_and_draws(recording, model, capsys):
    pytest.importorskip("matplotlib")
    words = ["--model", str(MODEL), "-o", "out.wav", "--seed", "2", "--packet-ms", "10"]
    more = ["--write-losses", "trace.txt", "--picture", "whole.png", "--json"]
    assert main(["conceal", "mic.wav", "--simulate", "20%", *words, *more]) == 0
    trace = LossTrace.simulate(0.2, len(recording) / 16000, packet_ms=10, seed=2)
    assert LossTrace.read("trace.txt", packet_ms=10) == trace
    found = json.loads(capsys.readouterr().out)
    lost = lost_frames(trace, 16000, len(recording))
    assert found["sides"][0]["lost_frames"] == lost.sum() > 0
    expected = voxhop.conceal(recording, sample_rate=16000, losses=trace, model=model)
    assert np.array_equal(soundfile.read("out.wav", dtype="float32")[0], expected)
    from matplotlib import image  # noqa: PLC0415 - an extra

    pixels = image.imread("whole.png")[..., :3]
    marks = np.abs(pixels - np.array([0x35, 0xC7, 0xF0]) / 255).max(axis=2) < 0.02
    columns = np.flatnonzero(marks.any(axis=0))
    # As wide as their share of the time: two pictures with the same marks above each other.
    wide = np.flatnonzero((pixels.max(axis=2) < 0.2).mean(axis=0) > 0.2)
    assert len(columns) / np.ptp(wide) == pytest.approx(lost.mean(), rel=0.2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--simulate", "a lot"], "--simulate a lot: expected a share, such as 10% or 0.1"),
        (["--simulate", "120%"], "--simulate 120%: expected a share"),
        (["--simulate", "95%"], "share: 0.95, expected 0 to 0.9"),
        (["--simulate", "5%", "--packet-ms", "0"], "packet_ms: 0"),
    ],
)
@pytest.mark.usefixtures("recording")
def test_mistakes_are_said(capsys, words, message):
    assert main(["conceal", "mic.wav", "-o", "out.wav", "--model", str(MODEL), *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out.wav").exists()


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_block_with_losses_is_its_pieces_and_misses_no_reference(dtype, caplog):
    mic = (3e4 * speech(16000)).astype(np.int16)
    mic = mic if dtype == np.int16 else (mic / 32768).astype(np.float32)
    ref = mic[::-1].copy()
    runs = [(300, True), (5000, False), (700, True), (5200, False)]
    with voxhop.load() as model, voxhop.Stream(model, sample_rate=16000) as stream:
        out = process_runs(stream, mic, ref, runs)
        again = process_runs(stream, mic[:100], ref[:100], [(100, True)])
        assert stream.metrics.ref_missing_frames == 0
    assert not caplog.records
    assert out.dtype == again.dtype == dtype
    with voxhop.load() as model, voxhop.Stream(model, sample_rate=16000) as stream:
        parts = [stream.process(mic[:0], ref[:0]), stream.process_lost(300, ref[:300])]
        parts.append(stream.process(mic[300:5300], ref[300:5300]))
        parts.append(stream.process_lost(700, ref[5300:6000]))
        parts.append(stream.process(mic[6000:], ref[6000:]))
    assert np.array_equal(out, np.concatenate(parts))
