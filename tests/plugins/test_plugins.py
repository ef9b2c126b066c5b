"""The plug-ins as installed: in a host of our own, in ffmpeg, and their configuration."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import ladspa_host
import numpy as np
import pytest
import soundfile
import spa_host

import voxhop
from voxhop import plugins
from voxhop.cli import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="plug-ins are for Linux")

DEMO = Path(voxhop.__file__).parent / "demo"
DEFAULTS = {"Strength": 1.0, "Floor (dB)": 120.0, "Bypass": 0.0}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    found = plugins.plugin_places(tmp_path_factory.mktemp("prefix"))
    with pytest.MonkeyPatch.context() as patch:  # whether or not there is PipeWire here
        patch.setenv("SPA_PLUGIN_DIR", str(tmp_path_factory.mktemp("spa")))
        plugins.install_plugins(found)
    return found


@pytest.fixture(scope="module")
def labels(places):
    return ladspa_host.descriptors(places.ladspa / plugins.LADSPA_FILE)


@pytest.fixture(scope="module")
def call():
    return [
        soundfile.read(DEMO / f"{name}.flac", frames=24000, dtype="float32")[0]
        for name in ("mic", "ref")
    ]


def stream_output(mic, ref, rate):
    with voxhop.load() as model, voxhop.Stream(model, sample_rate=rate) as stream:
        return stream.process(mic, ref), stream.latency_samples


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_every_split_gives_what_the_stream_gives(labels, call, rate):
    mic = call[0]
    expected, latency = stream_output(mic, np.zeros_like(mic), rate)
    plugin = ladspa_host.Instance(labels["voxhop"], rate, **DEFAULTS)
    cuts = np.cumsum([1, 64, 1000, 513, 4096])
    found = [plugin.run(block, in_place=i % 2) for i, block in enumerate(np.split(mic, cuts))]
    assert np.array_equal(np.concatenate(found), expected)
    assert plugin.controls["latency"][0] == latency
    plugin.activate()
    assert np.array_equal(plugin.run(mic), expected)
    plugin.close()


def test_the_one_with_a_reference_cancels(labels, call):
    plugin = ladspa_host.Instance(labels["voxhop_echo"], 16000, **DEFAULTS)
    found = plugin.run(*call)
    assert np.array_equal(found, stream_output(*call, 16000)[0])
    plugin.close()


def test_controls_act(labels, call):
    mic = voxhop.enhance(call[0], sample_rate=16000, strength=0.0)  # behind the high-pass
    plugin = ladspa_host.Instance(labels["voxhop"], 16000, **{**DEFAULTS, "Strength": 0.0})
    out = plugin.run(call[0])
    lag = int(plugin.controls["latency"][0])
    assert np.abs(out[lag + 512 :] - mic[512 : len(mic) - lag]).max() < 1e-4
    plugin.controls["Strength"][0] = 1.0
    assert np.abs(plugin.run(call[0]) - out).max() > 0.01
    plugin.controls["Bypass"][0] = 1.0
    plugin.run(call[0])
    settled = 4000  # the high-pass has forgotten the run before
    through = plugin.run(call[0])[lag + settled :]
    assert np.abs(through - mic[settled : len(mic) - lag]).max() < 1e-4
    plugin.close()


def test_without_its_model_it_does_not_load(places, tmp_path, capfd):
    alone = tmp_path / "alone"
    shutil.copytree(places.ladspa, alone)
    (alone / "voxhop" / "model.gguf").unlink()
    found = ladspa_host.descriptors(alone / plugins.LADSPA_FILE)
    with pytest.raises(RuntimeError):
        ladspa_host.Instance(found["voxhop"], 48000)
    message = capfd.readouterr().err
    assert message.startswith("voxhop LADSPA: ")
    assert "alone/voxhop/model.gguf" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("rate", [0, 1000, 500_000])
def test_a_rate_that_is_none_is_refused(labels, rate, capfd):
    with pytest.raises(RuntimeError):
        ladspa_host.Instance(labels["voxhop"], rate)
    assert "voxhop LADSPA: " in capfd.readouterr().err


def test_in_ffmpeg(places, call, tmp_path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    listed = subprocess.run([ffmpeg, "-hide_banner", "-filters"], capture_output=True, check=True)
    if b" ladspa " not in listed.stdout:
        pytest.skip("this ffmpeg has no LADSPA filter")
    soundfile.write(tmp_path / "mic.wav", call[0], 16000)
    plugin = places.ladspa / plugins.LADSPA_FILE
    line = ["-i", "mic.wav", "-af", f"ladspa=file={plugin}:plugin=voxhop", "out.wav"]
    subprocess.run([ffmpeg, "-loglevel", "error", *line], cwd=tmp_path, check=True, timeout=60)
    found, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    mic, _ = soundfile.read(tmp_path / "mic.wav", dtype="float32")
    expected, _ = stream_output(mic, np.zeros_like(mic), 16000)
    assert np.abs(found - expected).max() < 2.0**-15


@pytest.fixture(scope="module")
def spa(places):
    """The echo canceller of PipeWire as installed."""
    return places.spa / plugins.SPA_FILE


@pytest.mark.parametrize("rate", [16000, 48000])
def test_the_canceller_of_pipewire_is_the_stream(spa, call, rate):
    expected, _ = stream_output(*call, rate)
    canceller = spa_host.Canceller(spa, rate)
    assert (canceller.code, canceller.aec.name) == (0, b"voxhop")
    cuts = np.cumsum([480, 1024, 1, 4096])
    blocks = zip(*(np.split(x, cuts) for x in call), strict=True)
    assert np.array_equal(np.concatenate([canceller.run(*block) for block in blocks]), expected)
    canceller.activate()
    assert np.array_equal(canceller.run(*call), expected)
    canceller.close()


def test_its_arguments_act(spa, call, capfd):
    through = spa_host.Canceller(spa, 16000, voxhop_strength=0.0, voxhop_bypass="true")
    plain = through.run(*call)
    through.set_props(voxhop_strength=1.0, voxhop_bypass="false")
    assert np.abs(through.run(*call)[8000:] - plain[8000:]).max() > 0.01
    through.close()
    for args, rate in (({"voxhop_model": "/no/such.gguf"}, 48000), ({}, 1)):
        refused = spa_host.Canceller(spa, rate, **args)
        assert refused.code < 0
        assert "voxhop echo canceller: " in capfd.readouterr().err
        refused.close()


def test_install_status_uninstall(tmp_path, capsys):
    line = ["--prefix", str(tmp_path), "--json"]
    assert main(["plugin", "status", *line]) == 1
    assert set(json.loads(capsys.readouterr().out).values()) == {"missing"}
    assert main(["plugin", "install", *line]) == 0
    files = json.loads(capsys.readouterr().out)
    assert set(files.values()) == {"installed"}
    assert all(Path(file).is_file() for file in files)
    text = (tmp_path / "share/pipewire/pipewire.conf.d/voxhop-microphone.conf").read_text()
    assert f'plugin = "{tmp_path}/lib/ladspa/voxhop_ladspa.so"' in text
    echo = tmp_path / "share/pipewire/pipewire.conf.d/voxhop-echo-cancel.conf"
    if echo.exists():
        (name,) = (ln.split('"')[1] for ln in echo.read_text().splitlines() if "library.name" in ln)
        assert (
            (plugins.spa_folder() / f"{name}.so")
            .resolve()
            .samefile(tmp_path / "lib/voxhop/spa/libspa-aec-voxhop.so")
        )
    (tmp_path / "lib/ladspa/other.so").touch()
    assert main(["plugin", "uninstall", *line]) == 0
    assert json.loads(capsys.readouterr().out).keys() == files.keys()
    left = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert left == [tmp_path / "lib/ladspa/other.so"]


def test_a_bad_model_installs_nothing(tmp_path, capsys):
    (tmp_path / "bad.gguf").write_text("no model")
    model = ["--model", str(tmp_path / "bad.gguf")]
    assert main(["plugin", "install", "--prefix", str(tmp_path / "p"), *model]) == 1
    assert "bad.gguf" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
