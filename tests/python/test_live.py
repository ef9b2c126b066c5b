"""Live sound against devices of our own making: names, recordings, verdicts, what breaks."""

import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop import live
from voxhop.cli import main
from voxhop.live import DeviceError, find_device, run_live, running, verdict

RATE, BLOCK = 16000, 160
NAMES = ["Built-in Mic", "USB Headset", "Speaker monitor", "Speaker"]


class Devices:
    """What the module sounddevice has, with one clock for all its devices."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, tracks, end="silence"):
        self.tracks, self.end, self.opened, self.played = tracks, end, [], []

    def query_devices(self):
        return [
            {
                "name": name,
                "max_input_channels": int(name != "Speaker"),
                "max_output_channels": int(name == "Speaker"),
                "default_samplerate": RATE,
            }
            for name in NAMES
        ]

    def InputStream(self, **options):  # noqa: N802 - sounddevice's name
        return Device(self, options)

    def Stream(self, **options):  # noqa: N802 - sounddevice's name
        return Device(self, options)


class Device:
    def __init__(self, sd, options):
        if options["samplerate"] != RATE:
            raise sd.PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.sd, self.options, self.active = sd, options, True
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.sd.opened.append(self)
        number = self.options["device"]
        if not (isinstance(number, int) and NAMES[number] == "Speaker monitor"):
            self.thread.start()  # the microphone is the clock
        return self

    def __exit__(self, *_):
        self.active = False
        if self.thread.is_alive():
            self.thread.join()

    def run(self):
        mic, ref = self.sd.tracks
        when = SimpleNamespace(currentTime=1.0, inputBufferAdcTime=0.99, outputBufferDacTime=1.02)
        for at in range(0, len(mic) - BLOCK, BLOCK):
            if not self.active:
                return
            for device in self.sd.opened[:-1]:
                device.options["callback"](ref[at : at + BLOCK, None], BLOCK, when, None)
            block = mic[at : at + BLOCK, None]
            if isinstance(self.options["device"], tuple):
                out = np.ones_like(block)
                self.options["callback"](block, out, BLOCK, when, None)
                self.sd.played.append(out[:, 0].copy())
            else:
                self.options["callback"](block, BLOCK, when, None)
        while self.active and self.sd.end == "silence":
            time.sleep(0.01)
        self.active = False


@pytest.fixture
def devices(monkeypatch, call):
    # How busy this machine is has nothing to do with what is tested.
    monkeypatch.setattr(verdict, "_LATE_SHARE", 1.0)

    def plug(tracks=None, **options):
        sd = Devices(tuple(np.tile(t, 8) for t in call) if tracks is None else tracks, **options)
        monkeypatch.setitem(sys.modules, "sounddevice", sd)
        return sd

    return plug


def test_clean_sound_is_the_stream_s_and_all_three_are_recorded(devices, tmp_path, model):
    sd = devices()
    state = run_live(
        mic="headset",
        ref="monitor",
        out="speaker",
        sample_rate=RATE,
        seconds=6,
        model=model,
        record=tmp_path,
    )
    mic, ref, clean = (
        soundfile.read(tmp_path / f"{n}.wav", dtype="float32")[0] for n in ("mic", "ref", "clean")
    )
    n = len(mic)
    assert n >= 6 * RATE
    assert len(clean) == n <= len(ref)
    assert np.abs(mic - sd.tracks[0][:n]).max() < 2.0**-15
    assert np.abs(ref - sd.tracks[1][: len(ref)]).max() < 2.0**-15
    with voxhop.Stream(model, sample_rate=RATE) as stream:
        expected = stream.process(sd.tracks[0][:n], sd.tracks[1][:n])
    assert np.abs(clean - np.clip(expected, -1, 1)).max() < 2.0**-15
    assert np.array_equal(np.concatenate(sd.played)[:n], expected)
    assert state.latency_ms == pytest.approx(30 + 511 / 16, abs=0.01)
    well, words = live.judge(state, has_ref=True)
    assert well, words
    assert words.startswith("Your loudspeaker is heard after ")
    assert words.endswith("others do not hear themselves.")


def test_without_reference_and_output(devices, model):
    sd = devices()
    state = run_live(sample_rate=RATE, seconds=1, model=model)
    assert len(sd.opened) == 1
    assert state.latency_ms == pytest.approx(10 + 511 / 16, abs=0.01)
    assert live.judge(state, has_ref=False)[0]


@pytest.mark.parametrize(
    ("which", "words"),
    [("silent mic", "gives silence"), ("silent ref", "loopback is silent"), ("loud", "clips")],
)
def test_what_is_wrong_is_said(devices, call, capsys, which, words):
    mic, ref = (np.tile(t, 4) for t in call)
    if which == "silent mic":
        mic = np.zeros_like(mic)
    elif which == "silent ref":
        ref = np.zeros_like(ref)
    else:
        mic = np.clip(mic * 100, -1, 1)
    devices((mic, ref))
    line = ["live", "--mic", "USB", "--ref", "monitor", "--rate", str(RATE), "--seconds", "3"]
    assert main(line) == 1
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [("1", "input", 1), ("usb", "input", 1), ("SPEAKER", "output", 3), (None, "input", None)],
)
def test_devices_are_found(devices, name, kind, expected):
    assert find_device(devices().query_devices(), name, kind) == expected


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("i", "input", "several fit; there are: 0 Built-in Mic, 2"), ("usb", "output", "none of")],
)
def test_devices_that_are_none_are_named(devices, name, kind, words):
    with pytest.raises(DeviceError, match=words):
        find_device(devices().query_devices(), name, kind)


def test_device_that_vanishes_ends_it_and_keeps_the_recording(devices, model, tmp_path):
    devices(end="vanish")
    with pytest.raises(DeviceError, match=r"a device vanished after 7\.\d"):
        run_live(sample_rate=RATE, model=model, record=tmp_path)
    assert soundfile.info(tmp_path / "mic.wav").frames > 7 * RATE


def test_device_that_cannot_be_opened_is_named(devices, model):
    devices()
    with pytest.raises(DeviceError, match="Invalid sample rate"):
        run_live(sample_rate=44100, model=model)


def test_without_sounddevice_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["live", "--list"]) == 1
    assert 'pip install "voxhop[live]"' in capsys.readouterr().err


def test_list(devices, capsys):
    devices()
    assert main(["live", "--list"]) == 0
    assert "  1   1 in   0 out  USB Headset" in capsys.readouterr().out


def test_a_model_of_a_microphone_alone_and_its_options(devices, tmp_path, call):
    devices()
    line = ["live", "--rate", str(RATE), "--seconds", "1", "--record", str(tmp_path), "--json"]
    model = ["--model", "voxhop-seflow", "--set", "depth=6", "--highpass-hz", "0"]
    assert main([*line, *model]) == 0
    mic, clean = (
        soundfile.read(tmp_path / f"{n}.wav", dtype="float32")[0] for n in ("mic", "clean")
    )
    with (
        voxhop.load("voxhop-seflow") as loaded,
        voxhop.Stream(loaded, sample_rate=RATE, depth=6, highpass_hz=0.0) as stream,
    ):
        expected = stream.process(np.tile(call[0], 8)[: len(mic)])
    assert np.abs(clean - np.clip(expected, -1, 1)).max() < 2.0**-15


def test_such_a_model_with_a_reference_is_refused(devices, capsys):
    devices()
    line = ["live", "--rate", str(RATE), "--ref", "monitor", "--model", "voxhop-seflow"]
    assert main(line) == 2
    assert "ref: this model takes a microphone alone" in capsys.readouterr().err


def test_a_microphone_that_falls_silent_without_a_word_ends_it(devices, model, monkeypatch):
    monkeypatch.setattr(running, "_STILL_S", 0.5)
    sd = devices()  # stays active when its track is over
    with pytest.raises(DeviceError, match=r"given nothing for 0.5 s, after 7\.\d s of sound"):
        run_live(sample_rate=RATE, model=model, latency_ms=100)
    assert sd.opened[0].options["latency"] == 0.1


def test_what_the_loopback_gives_before_the_microphone_starts_is_left_out(devices, model, tmp_path):
    sd = devices()
    early = np.ones((RATE // 4, 1), np.float32)
    begin = Device.__enter__

    def enter(self):
        begin(self)
        if len(sd.opened) == 1:  # the reference
            self.options["callback"](early, len(early), None, None)
        return self

    sd.InputStream = lambda **options: type("Early", (Device,), {"__enter__": enter})(sd, options)
    run_live(
        mic="headset", ref="monitor", sample_rate=RATE, seconds=1, model=model, record=tmp_path
    )
    ref, _ = soundfile.read(tmp_path / "ref.wav", dtype="float32")
    assert np.abs(ref[BLOCK:]).max() < 1.0 - 2.0**-15
    mic, _ = soundfile.read(tmp_path / "mic.wav", dtype="float32")
    assert abs(len(ref) - len(mic)) <= 2 * BLOCK
