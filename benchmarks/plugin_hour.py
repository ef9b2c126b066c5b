"""Whether the plug-ins stutter: an hour of a call through both, in a PipeWire of its own.

    python benchmarks/plugin_hour.py --minutes 60 --quantum 1024

Installs the plug-ins into a folder of its own, plays the demo call over and over into a virtual
microphone and a virtual loudspeaker, and records the raw microphone, the clean one and the
echo-cancelled one. Then it looks for gaps: in the raw recording by comparison with the call, in the
clean one with what `voxhop.Stream` makes of the raw one, in the cancelled one as silence where the
raw one has sound. Beside it a program at the highest priority that only sleeps says for how long
the machine itself stood still. Needs Linux with pipewire, wireplumber and dbus-run-session.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

import voxhop

Sound = npt.NDArray[np.float32]

RATE = 48000
BLOCK = 1024  # samples that are compared at once
DEMO = Path(voxhop.__file__).parent / "demo"
SAME = 1e-3  # of full scale: 16 bits, twice
AUDIBLE = 3e-3
PROBE = """
import os, sys, time
try: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
except OSError: print("without the highest priority", flush=True)
end = time.monotonic() + float(sys.argv[1])
while (now := time.monotonic()) < end:
    time.sleep(0.002)
    if (late := time.monotonic() - now - 0.002) > float(sys.argv[2]): print(late, flush=True)
"""
DEVICES = """context.properties = {{
  default.clock.rate = 48000 default.clock.quantum = {quantum}
  default.clock.min-quantum = {quantum} default.clock.max-quantum = {quantum} }}
context.objects = [
  {{ factory = adapter args = {{ factory.name = support.null-audio-sink node.name = room.mic
     media.class = Audio/Source/Virtual priority.session = 2500
     audio.position = [ MONO ] audio.rate = 48000 }} }}
  {{ factory = adapter args = {{ factory.name = support.null-audio-sink node.name = room.speaker
     media.class = Audio/Sink priority.session = 2500
     audio.position = [ MONO ] audio.rate = 48000 }} }} ]
"""
SESSION = """
pipewire > pipewire.log 2>&1 &
sleep 1
wireplumber > wireplumber.log 2>&1 &
for i in $(seq 60); do
  pw-link -l 2>/dev/null | grep -A3 '^voxhop.clean.capture:input' | grep -q room.mic && break
  sleep 0.5
done
pw-record --target 0 -P '{ node.name = rec }' --rate 48000 --channels 3 \\
  --channel-map AUX0,AUX1,AUX2 --format s16 heard.wav > rec.log 2>&1 &
rec=$!
pw-play --target 0 -P '{ node.name = play }' call.wav > play.log 2>&1 &
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


def call_tracks() -> Sound:
    """Return one round of microphone and far end, (N, 2), at 48 kHz."""
    tracks = [
        soxr.resample(soundfile.read(DEMO / f"{name}.flac")[0], 16000, RATE)
        for name in ("mic", "ref")
    ]
    return np.stack(tracks, 1).astype(np.float32)


def hear_call(folder: Path, quantum: int, timeout_s: float | None = None) -> None:
    """Play `call.wav` of a folder (microphone, far end) through both plug-ins.

    Leaves `heard.wav` beside it: the raw microphone, the clean one and the echo-cancelled one.
    """
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
    subprocess.run(install, env=env, check=True, stdout=subprocess.DEVNULL, timeout=120)  # noqa: S603 - our own line
    conf = folder / "config/pipewire/pipewire.conf.d/devices.conf"
    conf.write_text(DEVICES.format(quantum=quantum))
    subprocess.run(  # noqa: S603 - our own line
        ["dbus-run-session", "--", "bash", "-c", SESSION],  # noqa: S607 - found on the PATH
        cwd=folder,
        env=env,
        check=False,
        timeout=timeout_s,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run_session(folder: Path, minutes: float, quantum: int) -> list[float]:
    """Play and record in `folder`; return the stops of the machine beyond half a block, s."""
    once, rounds = call_tracks(), 0
    with soundfile.SoundFile(folder / "call.wav", "w", RATE, 2, "PCM_16") as file:
        file.write(np.zeros((4 * RATE, 2), np.float32))  # while the links are made
        while rounds * len(once) < minutes * 60 * RATE:
            file.write(once)
            rounds += 1
    seconds = minutes * 60 + 15
    probe = subprocess.Popen(  # noqa: S603 - our own line
        [sys.executable, "-c", PROBE, str(seconds), str(quantum / RATE / 2)],
        stdout=subprocess.PIPE,
        text=True,
    )
    hear_call(folder, quantum)
    said, _ = probe.communicate()
    return [float(line) for line in said.split("\n") if line.replace(".", "").isdigit()]


def blocks_apart(found: Sound, wanted: Sound, limit: float) -> npt.NDArray[np.bool_]:
    """Return which blocks differ by more than `limit` anywhere."""
    count = min(len(found), len(wanted)) // BLOCK
    apart = np.abs(found[: count * BLOCK] - wanted[: count * BLOCK]).reshape(count, BLOCK)
    return np.asarray(apart.max(1) > limit)


def lag(found: Sound, wanted: Sound) -> int:
    """Return by how many samples `found` is late, from seconds 2 to 12 of it."""
    part = slice(2 * RATE, 12 * RATE)
    size = 1 << 20
    spectra = np.fft.rfft(found[part], size) * np.conj(np.fft.rfft(wanted[part], size))
    peak = int(np.argmax(np.fft.irfft(spectra)))
    return peak if peak < size // 2 else peak - size


def shifted(sound: Sound, late: int) -> Sound:
    """Return `sound` as it is `late` samples later."""
    return np.pad(sound, (late, 0)) if late >= 0 else sound[-late:]


def gaps(raw: Sound) -> tuple[int, int]:
    """Return how often the raw recording stops following the call, and blocks compared.

    After a gap the recording is looked for in the call again, so that each counts once.
    """
    once = np.round(call_tracks()[:, 0] * 32767).astype(np.float32) / 32768
    loop = np.concatenate([once] * 3)
    sounding = np.flatnonzero(np.abs(raw) > SAME)
    start, end = int(sounding[0]), int(sounding[-1])
    at, offset, found, compared = start, None, 0, 0
    while at + BLOCK <= end:
        piece = raw[at : at + BLOCK]
        if offset is not None:
            wanted = loop[(at + offset) % len(once) :][:BLOCK]
            compared += 1
            if np.abs(piece - wanted).max() <= SAME:
                at += BLOCK
                continue
            found += 1
        offset = place(raw[at : at + 8 * BLOCK], loop[: 2 * len(once)], at, len(once))
        at += BLOCK
    return found, compared


def place(piece: Sound, loop: Sound, at: int, period: int) -> int | None:
    """Return what to add to a position of the recording to get that of the call."""
    if len(piece) < 8 * BLOCK or np.abs(piece).max() < 1e-2:  # noqa: PLR2004 - too quiet to tell
        return None
    size = 1 << int(np.ceil(np.log2(len(loop) + len(piece))))
    spectra = np.fft.rfft(loop, size) * np.conj(np.fft.rfft(piece, size))
    energy = np.cumsum(np.concatenate([[0.0], loop.astype(np.float64) ** 2]))
    apart = energy[len(piece) :][:period] - energy[:period] - 2 * np.fft.irfft(spectra)[:period]
    return (int(np.argmin(apart)) - at) % period


def report(folder: Path, stops: list[float], quantum: int) -> str:
    """Compare what was recorded and return a table in Markdown."""
    heard, rate = soundfile.read(folder / "heard.wav", dtype="float32")
    if rate != RATE:
        raise SystemExit(f"heard.wav: {rate} Hz, expected {RATE}")
    raw, clean, cancelled = (np.ascontiguousarray(track) for track in heard.T)
    seconds = len(raw) / RATE
    lost, compared = gaps(raw)
    with (
        voxhop.load(voxhop.DEFAULT_MODEL) as model,
        voxhop.Stream(model, sample_rate=RATE) as stream,
    ):
        made = np.concatenate([stream.process(raw), stream.flush()])
    wanted = shifted(made, lag(clean, made))
    apart = blocks_apart(clean, wanted, SAME)
    audible = blocks_apart(clean, wanted, AUDIBLE)
    count = len(cancelled) // BLOCK * BLOCK
    silent = ~np.any(cancelled[:count].reshape(-1, BLOCK), 1)
    loud = np.abs(shifted(raw, lag(cancelled, raw))[:count]).reshape(-1, BLOCK).max(1) > 0.05  # noqa: PLR2004
    still = f"{len(stops)} times, {1e3 * max(stops, default=0.0):.0f} ms at most"
    lines = [
        f"{seconds / 60:.1f} minutes, blocks of {quantum} frames ({1e3 * quantum / RATE:.1f} ms)",
        "",
        "| | |",
        "|---|---|",
        f"| gaps in the raw recording, of {compared} blocks compared | {lost} |",
        f"| blocks of the clean one that are not the stream's, within {SAME} | {apart.sum()} |",
        f"| the same within {AUDIBLE} | {audible.sum()} |",
        f"| silent blocks of the cancelled one under a loud raw one | {(silent & loud).sum()} |",
        f"| the machine stood still for more than half a block | {still} |",
    ]
    return "\n".join(lines)


def main() -> None:
    """Play, record, compare, print."""
    parser = argparse.ArgumentParser(description="Listen to the plug-ins for an hour.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--quantum", type=int, default=1024, help="frames of PipeWire's blocks")
    parser.add_argument("--keep", type=Path, help="an empty folder for the recordings")
    args = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        stops = run_session(folder, args.minutes, args.quantum)
        print(report(folder, stops, args.quantum))
    print(f"took {(time.monotonic() - begun) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
