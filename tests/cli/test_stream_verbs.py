"""pipe, probe, plot, report, doctor, and enhance through a stream."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from recordings import voxhop_command
from voxhop.cli import main

DEMO = Path(voxhop.__file__).parent / "demo"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Enter a folder with 4 s of the demo call: mic.wav, speaker.wav and both.wav."""
    tracks = []
    for source, name in (("mic", "mic.wav"), ("ref", "speaker.wav")):
        samples, rate = soundfile.read(DEMO / f"{source}.flac", frames=64000)
        soundfile.write(tmp_path / name, samples, rate, subtype="PCM_16")
        tracks.append(samples)
    soundfile.write(tmp_path / "both.wav", np.stack(tracks, axis=1), rate, subtype="PCM_16")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raw(name, dtype=np.int16):
    return soundfile.read(name, dtype="int16")[0].astype(dtype)


def pipe(data, *arguments, **keywords):
    command = [sys.executable, "-m", "voxhop", "pipe", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=False, **keywords)


def expected_of_stream(mic, ref, **settings):
    with voxhop.load() as model, voxhop.Stream(model, **settings) as stream:
        out = np.concatenate([stream.process(mic, ref), stream.flush()])
        return out[stream.latency_samples :]


@pytest.mark.usefixtures("call")
def test_pipe_of_two_channels_is_the_stream_aligned():
    done = pipe(raw("both.wav").tobytes(), "--rate", "16000", "--channels", "2")
    assert done.returncode == 0, done.stderr
    expected = expected_of_stream(raw("mic.wav"), raw("speaker.wav"), sample_rate=16000)
    assert np.array_equal(np.frombuffer(done.stdout, np.int16), expected)


def test_pipe_takes_the_reference_from_a_file_or_a_descriptor(call):
    mic, ref = raw("mic.wav"), raw("speaker.wav")
    expected = expected_of_stream(mic, ref, sample_rate=16000)
    (call / "ref.raw").write_bytes(ref.tobytes())
    by_file = pipe(mic.tobytes(), "--rate", "16000", "--ref", "ref.raw")
    with (call / "ref.raw").open("rb") as file:
        number = str(file.fileno())
        by_fd = pipe(mic.tobytes(), "--rate", "16000", "--ref-fd", number, pass_fds=[file.fileno()])
    for done in (by_file, by_fd):
        assert done.returncode == 0, done.stderr
        assert np.array_equal(np.frombuffer(done.stdout, np.int16), expected)


def test_pipe_of_floats_reports_on_stderr_and_survives_a_short_reference(call):
    mic, ref = raw("mic.wav"), raw("speaker.wav")
    (call / "ref.raw").write_bytes((ref[:16000] / 32768).astype("<f4").tobytes())
    data = (mic / 32768).astype("<f4").tobytes() + b"\0\0"  # and half a sample
    done = pipe(data, "--rate", "16000", "--format", "f32", "--ref", "ref.raw", "--json")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 4 * len(mic)
    metrics = json.loads(done.stderr.decode().splitlines()[-1])
    assert metrics["ref_missing_frames"] == len(mic) - 16000
    assert metrics["frames"] == len(mic)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--channels", "2", "--ref-channel", "2"], "--ref-channel 2"),
        (["--channels", "2", "--ref-channel", "0"], "microphone too"),
        (["--ref", "a", "--ref-fd", "3"], "one of them"),
        (["--delay-ms", "soon"], "soon"),
        (["--rate", "100"], "sample_rate"),
        (["--ref-fd", "977"], "--ref-fd 977: Bad file descriptor"),
    ],
)
def test_pipe_refuses_what_does_not_fit(capsys, arguments, word):
    assert main(["pipe", *arguments]) == 2
    assert word in capsys.readouterr().err


@pytest.mark.usefixtures("call")
def test_pipe_names_a_reference_that_is_not_there(capsys):
    assert main(["pipe", "--ref", "absent.raw"]) == 1
    assert capsys.readouterr().err == "voxhop pipe: --ref absent.raw: No such file or directory\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals to open there")
@pytest.mark.parametrize("side", ["stdin", "stdout"])
def test_pipe_refuses_a_terminal(side):
    primary, secondary = os.openpty()
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, side: secondary}
    command = [sys.executable, "-m", "voxhop", "pipe"]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=60, **streams)
    os.close(secondary)
    os.close(primary)
    assert done.returncode == 2
    assert f"{side}: a terminal" in done.stderr.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_pipe_ends_at_ctrl_c_with_one_word():
    command = voxhop_command("pipe", "--rate", "16000")
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as running:
        running.stdin.write(bytes(64000))
        running.stdin.flush()
        assert len(running.stdout.read(1000)) == 1000  # it runs
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=30) == 130
        assert running.stderr.read() == b"interrupted\n"


@pytest.mark.usefixtures("call")
@pytest.mark.skipif(shutil.which("sox") is None, reason="no sox to make a chain with")
def test_pipe_between_two_programs_with_the_reference_on_a_descriptor():
    raw = "-t raw -e signed -b 16 -r 48000 -c 1 -"
    line = (
        f"sox mic.wav {raw} | {sys.executable} -m voxhop pipe --rate 48000 --ref-fd 7 "
        f"7< <(sox speaker.wav {raw}) | sox {raw} out.wav"
    )
    subprocess.run(["bash", "-o", "pipefail", "-c", line], check=True, timeout=120)
    samples, rate = soundfile.read("out.wav")
    assert (rate, len(samples)) == (48000, 3 * 64000)
    mic = soundfile.read("mic.wav")[0]
    assert np.mean(samples[:48000] ** 2) < 0.1 * np.mean(mic[:16000] ** 2)  # the far end alone


@pytest.mark.usefixtures("call")
def test_probe_finds_the_delay_of_the_demo(capsys):
    assert main(["probe", "mic.wav", "--ref", "speaker.wav", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["found"] is True
    assert found["delay_ms"] == pytest.approx(75.5, abs=1.0)
    assert main(["probe", "both.wav", "--ref-channel", "1"]) == 0
    assert "75.5" in capsys.readouterr().out


@pytest.mark.usefixtures("call")
def test_probe_exits_with_1_when_there_is_no_echo(capsys):
    soundfile.write("silence.wav", np.zeros(64000), 16000)
    assert main(["probe", "mic.wav", "--ref", "silence.wav"]) == 1
    assert "no echo" in capsys.readouterr().out
    assert main(["probe", "mic.wav"]) == 2
    assert main(["probe", "mic.wav", "--ref", "absent.wav"]) == 1


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot_draws_a_picture(call, capsys, suffix):
    pytest.importorskip("matplotlib")
    out = f"call.{suffix}"
    assert main(["plot", "mic.wav", "--ref", "speaker.wav", "-o", out]) == 0
    data = (call / out).read_bytes()
    assert data.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    if suffix == "svg":
        assert b"ERLE" in data or data.count(b"<path") > 50
    assert main(["plot", "mic.wav", "-o", "call.txt"]) == 2
    assert ".svg" in capsys.readouterr().err
    assert sorted(path.name for path in call.iterdir()) == [
        "both.wav",
        out,
        "mic.wav",
        "speaker.wav",
    ]


def test_report_is_one_page_with_everything_inside(call, capsys):
    pytest.importorskip("matplotlib")
    assert main(["report", "mic.wav", "--ref", "speaker.wav", "-o", "call.html", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert any("75.5 ms" in finding["text"] for finding in said["findings"])
    page = (call / "call.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 3
    assert page.count("data:image/png;base64,") == 3
    assert page.count("<svg") == 3
    outside = re.findall(r'(?:src|href)="(?!data:)', page)
    assert not outside
    assert "<script" not in page


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals to open there")
@pytest.mark.usefixtures("call")
@pytest.mark.parametrize("line", [["plot", "-o", "p.png"], ["report", "-o", "p.html"]])
def test_pictures_take_a_bar_on_a_terminal_only(line):
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-m", "voxhop", *line, "mic.wav"]
    quiet = subprocess.run(command, capture_output=True, check=True, timeout=120)
    assert quiet.stderr == b""
    primary, secondary = os.openpty()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=secondary, check=True, timeout=120)
    os.close(secondary)
    seen = os.read(primary, 4096).decode()
    os.close(primary)
    assert "enhancing [" in seen
    assert seen.endswith("\r\x1b[K")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look at the page with")
def test_report_plays_and_draws_in_chromium(call):
    """The page as a browser sees it: every player knows its length, every picture its size."""
    pytest.importorskip("matplotlib")
    assert main(["report", "mic.wav", "--ref", "speaker.wav", "-o", "call.html"]) == 0
    look = (
        "<script>addEventListener('load', () => setTimeout(() => { document.title = 'seen ' + "
        "JSON.stringify({ audio: [...document.querySelectorAll('audio')].map(a => a.duration), "
        "images: [...document.images].map(i => i.naturalWidth), "
        "wide: document.documentElement.scrollWidth > innerWidth }); "
        "document.body.textContent = document.title; }, 2000));</script>"
    )
    page = (call / "call.html").read_text(encoding="utf-8").replace("</head>", look + "</head>")
    (call / "look.html").write_text(page, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--virtual-time-budget=8000", f"--user-data-dir={call}/browser"]
    done = subprocess.run(
        [*command, (call / "look.html").as_uri()], capture_output=True, check=True, timeout=120
    )
    seen = json.loads(re.search(r"<body>seen (\{.*?\})</body>", done.stdout.decode())[1])
    assert seen["audio"] == pytest.approx([4.0, 4.0, 4.0], abs=0.05)
    assert all(width > 500 for width in seen["images"])
    assert len(seen["images"]) == 3
    assert not seen["wide"]


def test_doctor_knows_the_machine(capsys):
    assert main(["doctor", "--json"]) in {0, 1}
    facts = json.loads(capsys.readouterr().out)
    assert facts["engine"] == voxhop.__version__
    assert facts["instruction_sets"] == list(voxhop.cpu_isas())
    assert facts["output_is_finite"] is True
    assert re.fullmatch(r"\S.*\d.*, \S+, (release|debug)", facts["build"])
    assert Path(facts["library"]).is_file()
    assert (facts["threads"], facts["precision"]) == (1, "f16")
    assert {"cores", "load", "l2_bytes", "other_ggml", "model", "isa"} <= set(facts)
    assert facts["hop_p50_ms"] > 0
    assert set(facts["hop_least_ms"]) == {"f32", "f16", "bf16", "int8"}
    assert all(0 < ms < facts["hop_lasts_ms"] for ms in facts["hop_least_ms"].values())
    # Too slow on a busy machine is the only thing that may be wrong here.
    assert all("too slow" in problem for problem in facts["problems"])
    assert main(["doctor", "--model", "absent.gguf"]) == 1


def test_doctor_says_all_of_it_in_words(capsys):
    assert main(["doctor"]) in {0, 1}
    text = capsys.readouterr().out
    rows = ("library", "CPU", "cores", "instruction sets", "a hop", "precisions", "other ggml here")
    for name in rows:
        assert re.search(rf"^{name} +\S", text, re.MULTILINE), name
    fastest, *least = re.findall(r"(?:f32|f16|bf16|int8)(?: [\d.]+)?", text.split("precisions")[1])[
        :5
    ]
    assert fastest == min(least, key=lambda row: float(row.split()[1])).split()[0]
    assert "none in this process" in text


def test_doctor_sees_another_ggml(tmp_path):
    """A library called ggml that something else loaded is found in the memory map."""
    library = tmp_path / "libggml-base.so.0"
    shutil.copy(next(Path("/").glob("lib/*/libm.so.6")), library)
    code = (
        f"import ctypes; ctypes.CDLL({str(library)!r}); "
        "from voxhop.cli.doctor import other_ggml; print(other_ggml())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert str(library) in done.stdout


@pytest.mark.usefixtures("call")
def test_enhance_align_is_the_stream_over_the_file(capsys):
    arguments = ["enhance", "mic.wav", "--ref", "speaker.wav", "-o", "out.wav", "--align"]
    assert main(arguments) == 0
    assert "echo delay 75.5 ms" in capsys.readouterr().out
    mic, ref = (soundfile.read(n, dtype="float32")[0] for n in ("mic.wav", "speaker.wav"))
    expected = expected_of_stream(mic, ref, sample_rate=16000)
    out, _ = soundfile.read("out.wav", dtype="int16")
    assert np.abs(out - expected * 32768).max() <= 1.0


@pytest.mark.usefixtures("call")
def test_enhance_with_a_reference_at_another_rate():
    import soxr  # noqa: PLC0415 - this test alone

    ref, _ = soundfile.read("speaker.wav")
    soundfile.write("speaker48.wav", soxr.resample(ref, 16000, 48000)[:150000], 48000)
    for name in ("speaker.wav", "speaker48.wav"):
        out = f"out-{name}"
        arguments = ["enhance", "mic.wav", "--ref", name, "-o", out, "--delay-ms", "0"]
        assert main(arguments) == 0
    assert main(["enhance", "mic.wav", "-o", "out-none.wav", "--strength", "1"]) == 0
    one, two, none = (soundfile.read(f"out-{n}.wav")[0] for n in ("speaker", "speaker48", "none"))
    assert len(one) == len(two) == len(none) == 64000
    same = slice(0, 48000)  # where the shorter copy of the reference still sounds
    # What a reference does is the measure: one read at a wrong rate is as good as none.
    effect = np.sqrt(np.mean((one[same] - none[same]) ** 2))
    error = np.sqrt(np.mean((one[same] - two[same]) ** 2))
    assert error < 0.05 * effect


@pytest.mark.usefixtures("call")
def test_cross_cleans_each_side_of_the_other(capsys):
    assert main(["enhance", "both.wav", "-o", "out.wav", "--cross", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["channels"] == 2
    assert report["sides"][0]["delay_ms"] == pytest.approx(75.5, abs=1.0)
    left, right = (soundfile.read(n, dtype="float32")[0] for n in ("mic.wav", "speaker.wav"))
    out, _ = soundfile.read("out.wav", dtype="int16")
    for side, (mic, ref) in enumerate([(left, right), (right, left)]):
        expected = expected_of_stream(mic, ref, sample_rate=16000)
        assert np.abs(out[:, side] - expected * 32768).max() <= 1.0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["mic.wav", "--cross"], "1 channel, expected 2"),
        (["both.wav", "--cross", "--ref", "speaker.wav"], "cross"),
        (["mic.wav", "--strength", "2"], "strength"),
        (["mic.wav", "--align", "--delay-ms", "5"], "--align"),
        (["mic.wav", "--delay-ms", "x"], "--delay-ms x"),
    ],
)
def test_enhance_refuses_what_does_not_go_together(call, capsys, arguments, word):
    assert main(["enhance", *arguments, "-o", "out.wav"]) == 2
    assert word in capsys.readouterr().err
    assert not (call / "out.wav").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_kill_at_any_moment_of_cross_leaves_nothing_that_looks_finished(call):
    """Moments from the start of the program to after its end, by the time of a whole run."""
    command = [sys.executable, "-m", "voxhop", "enhance", "both.wav", "-o", "out.wav", "--cross"]
    out, began = call / "out.wav", time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole, run_s = out.read_bytes(), time.monotonic() - began
    out.unlink()
    partly = 0
    for moment in np.linspace(0.1, 1.2, 12):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
            time.sleep(float(moment) * run_s)
            running.send_signal(signal.SIGKILL)
        if out.exists():
            assert out.read_bytes() == whole
            out.unlink()
        for path in call.glob(".out.wav.*.part"):
            partly += 1
            path.unlink()
        assert sorted(path.name for path in call.iterdir()) == [
            "both.wav",
            "mic.wav",
            "speaker.wav",
        ]
    assert partly > 0, "no kill came while the file was written"
