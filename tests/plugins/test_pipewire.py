"""Both plug-ins as `voxhop plugin install` leaves them, in a PipeWire without devices."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import voxhop

PROGRAMS = ("pipewire", "wireplumber", "pw-play", "pw-record", "pw-link", "dbus-run-session")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
RATE = 48000
DEMO = Path(voxhop.__file__).parent / "demo"
CLOCK = """context.properties = {{ default.clock.quantum = {0}
  default.clock.min-quantum = {0} default.clock.max-quantum = {0} }}"""
DEVICE = """{{ factory = adapter args = {{
  factory.name = support.null-audio-sink node.name = "{name}"
  media.class = {kind} priority.session = 2500 audio.position = [ MONO ] audio.rate = 48000 }} }}"""
SESSION = """
pipewire > pipewire.log 2>&1 &
sleep 1
wireplumber > wireplumber.log 2>&1 &
for i in $(seq 60); do
  pw-link -l 2>/dev/null | grep -A3 '^voxhop.clean.capture:input' | grep -q room.mic && break
  sleep 0.5
done
pw-record --target 0 -P '{ node.name = rec }' --rate 48000 --channels 3 \\
  --channel-map AUX0,AUX1,AUX2 --format f32 heard.wav &
rec=$!
pw-play --target 0 -P '{ node.name = play }' call.wav &
play=$!
for i in $(seq 60); do
  pw-link -o | grep -q '^play:' && pw-link -i | grep -q '^rec:' && break
  sleep 0.1
done
pw-link room.mic:capture_MONO rec:input_AUX0
pw-link voxhop.clean.source:capture_MONO rec:input_AUX1
pw-link voxhop.echo.source:capture_MONO rec:input_AUX2
pw-link play:output_FR voxhop.echo.sink:playback_MONO
pw-link play:output_FL room.mic:input_MONO
wait $play
sleep 0.5
kill $rec
wait $rec
kill %1 %2
"""


@pytest.fixture(scope="module", params=[1024, 8192])  # PipeWire's own choice, and its most
def heard(request, tmp_path_factory):
    """Microphone, clean microphone and echo-cancelled microphone of the demo call, 48 kHz."""
    folder = tmp_path_factory.mktemp("pipewire")
    for name in ("run", "config/pipewire/pipewire.conf.d", "state"):
        (folder / name).mkdir(mode=0o700, parents=True)
    env = {
        **os.environ,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    install = [sys.executable, "-m", "voxhop", "plugin", "install"]
    subprocess.run(install, env=env, check=True, stdout=subprocess.DEVNULL, timeout=120)
    devices = [("room.mic", "Audio/Source/Virtual"), ("room.speaker", "Audio/Sink")]
    objects = "\n".join(DEVICE.format(name=name, kind=kind) for name, kind in devices)
    conf = folder / "config/pipewire/pipewire.conf.d/devices.conf"
    conf.write_text(f"{CLOCK.format(request.param)}\ncontext.objects = [\n{objects}\n]\n")
    tracks = [
        soxr.resample(soundfile.read(DEMO / f"{name}.flac")[0], 16000, RATE)
        for name in ("mic", "ref")
    ]
    quiet = np.zeros((2 * RATE, 2))  # while the links are made
    soundfile.write(folder / "call.wav", np.concatenate([quiet, np.stack(tracks, 1)]), RATE)
    subprocess.run(
        ["dbus-run-session", "--", "bash", "-c", SESSION],
        cwd=folder,
        env=env,
        check=False,
        timeout=120,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    sound, rate = soundfile.read(folder / "heard.wav", dtype="float32")
    assert rate == RATE
    return sound.T, tracks[0].astype(np.float32)


def level(samples):
    return 10 * np.log10(np.mean(np.square(samples)) + 1e-12)


def test_every_program_has_both_microphones(heard):
    (mic, clean, cancelled), call = heard
    start = int(np.flatnonzero(np.abs(mic) > 1e-4)[0] - np.flatnonzero(np.abs(call) > 1e-4)[0])
    far, near = (slice(start + int(a * RATE), start + int(b * RATE)) for a, b in ((1, 2.7), (6, 8)))
    assert level(mic[far]) - level(cancelled[far]) > 15
    assert level(mic[far]) - level(clean[far]) < 6  # it has no reference: the voice stays
    for side in (clean, cancelled):
        assert abs(level(mic[near]) - level(side[near])) < 4
