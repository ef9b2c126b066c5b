"""``voxhop demo``, ``info`` and ``bench``, and the demo recordings themselves."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tolerances
import voxhop
from voxhop import benchmark
from voxhop.cli import bench, demo, main
from voxhop.cli.demo_files import read_segments
from voxhop.io import AudioReader

DEMO = Path(voxhop.__file__).parent / "demo"
RATE = 16000


def test_demo_writes_sound_and_a_picture_and_says_what_changed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    folder = tmp_path / "voxhop-demo"
    assert sorted(path.name for path in folder.iterdir()) == [
        "before-after.png",
        "clean.wav",
        "loudspeaker.wav",
        "microphone.wav",
    ]
    assert (folder / "before-after.png").read_bytes().startswith(b"\x89PNG")
    mic, clean = (soundfile.read(folder / f"{n}.wav")[0] for n in ("microphone", "clean"))
    assert np.array_equal(mic, soundfile.read(DEMO / "mic.flac")[0])
    start, end = (round(s * RATE) for s in read_segments()["far end"])
    powers = [np.mean(x[start:end] ** 2) for x in (mic, clean)]
    expected = 10 * np.log10(powers[0] / powers[1])
    assert told["changes"]["far_end_db"] == pytest.approx(expected, abs=0.05)
    # The default weights do what the package is for.
    assert told["changes"]["far_end_db"] > 8.0
    assert told["changes"]["near_end_speech_db"] < 4.0
    assert told["report"]["delay_ms"] in {64.0, 80.0}


def test_demo_in_words_without_matplotlib(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", "-o", str(tmp_path / "here")]) == 0
    text = capsys.readouterr().out
    assert 'no picture, matplotlib is missing; pip install "voxhop[plot]"' in text
    assert "loudspeaker alone" in text
    assert not (tmp_path / "here" / "before-after.png").exists()


def test_demo_figures_are_right_on_known_changes():
    rng = np.random.default_rng(3)
    segments = {"far end": (0.0, 1.0), "both": (1.0, 2.0), "near end": (2.0, 4.0)}
    mic = rng.normal(0, 0.01, 4 * RATE).astype(np.float32)
    loud = slice(3 * RATE, round(3.5 * RATE))
    mic[loud] *= 10.0
    gains = np.full(4 * RATE, 10 ** (-6 / 20))  # noise of the near end: 6 dB less
    gains[:RATE] = 10 ** (-20 / 20)
    gains[RATE : 2 * RATE] = 10 ** (-3 / 20)
    gains[loud] = 1.0
    changes = demo.measure(mic, (mic * gains).astype(np.float32), RATE, segments)
    assert changes.far_end_db == pytest.approx(20.0, abs=0.01)
    assert changes.both_db == pytest.approx(3.0, abs=0.01)
    assert changes.near_end_speech_db == pytest.approx(0.0, abs=0.01)
    assert changes.near_end_noise_db == pytest.approx(6.0, abs=0.01)


def test_demo_recordings_are_small_credited_and_as_their_segments_say():
    size = sum(path.stat().st_size for path in DEMO.glob("*.flac"))
    assert size <= 300_000
    credits_text = (DEMO / "CREDITS.md").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in credits_text
    tracks = {}
    for name in ("mic", "ref"):
        with AudioReader(DEMO / f"{name}.flac") as reader:
            assert (reader.rate, reader.channels) == (RATE, 1)
            tracks[name] = reader.read(reader.frames)[:, 0]
    segments = read_segments()
    assert list(segments) == ["far end", "both", "near end"]
    assert segments["near end"][1] == len(tracks["mic"]) / RATE == len(tracks["ref"]) / RATE
    start = round(segments["near end"][0] * RATE)
    assert not tracks["ref"][start:].any()
    assert np.mean(tracks["ref"][:start] ** 2) > 1e-3
    assert np.abs(tracks["mic"]).max() < 0.99


def test_info_tells_what_the_model_is(capsys, model_info):
    assert main(["info", "--tensors"]) == 0
    text = capsys.readouterr().out
    assert f"localvqe version {model_info.version}" in text
    assert f"{model_info.parameter_count:,} parameters" in text
    assert f"up to {model_info.window_ms:g} ms ({model_info.d_max} hops)" in text
    assert "mic_enc1.conv.weight" in text


@pytest.fixture
def model_info():
    with voxhop.load() as model:
        return model.info


def test_info_as_json(capsys, model_info):
    assert main(["info", voxhop.DEFAULT_MODEL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["info"] == vars(model_info)
    assert found["metadata"]["general.architecture"] == "localvqe"
    assert "tensors" not in found


def test_bench_measures_and_stays_consistent(capsys):
    assert main(["bench", "--hops", "100", "--hot", "--alone", "--kernels", "stock", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (contender,) = found["contenders"]
    assert (contender["kernels"], contender["threads"]) == ("stock", 1)
    (timing,) = contender["timings"]
    assert timing["hops"] == 100
    assert 0 < timing["p50_ms"] <= timing["p99_ms"] <= timing["max_ms"]
    assert 0 < timing["cpu_min_ms"] <= timing["cpu_p50_ms"]
    assert timing["real_time_factor"] == pytest.approx(timing["p50_ms"] / 16.0)
    if sys.platform == "linux":
        assert found["memory"]["rss_model_bytes"] > 1_000_000  # tensors wait in the file
        assert found["memory"]["rss_session_bytes"] > contender["state_bytes"] / 2


def test_bench_compares_with_one_thread_with_whole_hops_and_with_stock():
    stock = voxhop.SessionOptions(kernels="stock")
    assert benchmark.contenders_for(stock) == [stock]
    both = voxhop.SessionOptions(precision="f16", threads=2, history_first=True)
    assert benchmark.contenders_for(both) == [
        both,
        voxhop.SessionOptions(precision="f16", history_first=True),
        voxhop.SessionOptions(precision="f16", threads=2),
        stock,
    ]


def test_bench_says_what_threads_and_preparing_gain(capsys):
    line = ["bench", "--hops", "100", "--hot", "--threads", "2", "--history-first"]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["contenders"]
    ways = [(c["kernels"], c["threads"], c["history_first"]) for c in found]
    assert ways == [
        ("fused", 2, True),
        ("fused", 1, True),
        ("fused", 2, False),
        ("stock", 1, False),
    ]
    ahead, one, whole, _ = (c["timings"][0] for c in found)
    assert 0.3 < one["prepare_cpu_min_ms"] / one["cpu_min_ms"] < 4
    assert whole["prepare_cpu_min_ms"] is None
    assert 0 < ahead["min_ms"] <= ahead["p50_ms"]
    assert main(line) == 0
    told = capsys.readouterr().out
    assert re.search(r"^2 threads: a hop in \d+\.\d\d of the wall time of one", told, re.MULTILINE)
    share = re.search(r"^history first: .* in (\d\.\d\d) of a whole", told, re.MULTILINE)
    assert float(share[1]) < tolerances.PREPARED_SHARE
    assert "| fused, prepared | " in told


def test_bench_of_streams_prepares_ahead(capsys):
    assert main(["bench", "--streams", "2", "--hops", "100", "--history-first", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    options = {"history_first": True, "precision": "auto"}
    with voxhop.load() as model, voxhop.SessionGroup(model, 1, **options) as group:
        assert found["state_bytes"] == group.info.state_bytes
    assert found["p50_ms"] < found["cpu_p50_ms"]  # the wall time is without prepare()


def test_bench_table_has_a_row_per_cache(capsys):
    assert main(["bench", "--hops", "100", "--alone", "--kernels", "stock"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert table[:2] == bench.header()
    assert len(table) == 2 + len(benchmark.CACHES)
    assert {line.count("|") for line in table} == {table[0].count("|")}
    for line, cache in zip(table[2:], benchmark.CACHES, strict=True):
        assert f"| {cache} |" in line


def test_bench_of_streams_stays_consistent(capsys):
    line = ["bench", "--streams", "3", "--hops", "100", "--threads", "2", "--json"]
    assert main(line) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["streams"], found["rounds"], found["threads"]) == (3, 100, 2)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert 0 < found["cpu_min_ms"] <= found["cpu_p50_ms"]
    assert found["streams_per_core"] == pytest.approx(3 * 16.0 / found["cpu_min_ms"])
    assert found["streams_per_core_p99"] == pytest.approx(3 * 16.0 / found["p99_ms"] / 2)
    assert found["late_rounds"] <= 100
    assert (found["late_rounds"] > 0) == (found["max_ms"] > 16.0)


def test_bench_of_streams_in_words(capsys):
    assert main(["bench", "--streams", "2", "--hops", "100"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("2 streams on ")
    assert "streams per core: " in text


@pytest.mark.parametrize(
    "line",
    [["--streams", "0"], ["--streams", "2", "--hops", "5"], ["--streams", "2", "--hot"]],
    ids=" ".join,
)
def test_bench_of_streams_that_cannot_be(capsys, line):
    assert main(["bench", *line]) == 2
    assert capsys.readouterr().err.startswith("voxhop bench: ")
