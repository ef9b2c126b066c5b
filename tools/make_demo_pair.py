"""Make the recordings that ship with the package: a call in a simulated room.

Usage: make_demo_pair.py CORPUS OUTPUT_FOLDER

CORPUS is a folder with the clips named in `FAR`, `NEAR` and `NOISE` (their sources are in
src/voxhop/demo/CREDITS.md). Needs numpy, scipy, soundfile and pyroomacoustics; the same
versions give the same samples.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyroomacoustics as pra
import soundfile
from scipy import signal

RATE = 16000
SECONDS = 8.6
FAR = "speech/valid/libri/libri-6563_ab726629.flac"
NEAR = "speech/valid/libri/libri-226_2ff38eb2.flac"
NOISE = "noise/valid/noise_berlin-9a12b4b8_0030.opus"

# What happens when: the far end talks alone, both talk, the near end talks alone.
SEGMENTS = {"far end": (0.0, 2.9), "both": (2.9, 5.7), "near end": (5.7, SECONDS)}

ROOM_M = (4.6, 3.8, 2.6)
RT60_S = 0.3
MIC_M = (2.3, 1.7, 0.9)
LOUDSPEAKER_M = (2.6, 1.5, 0.85)
TALKER_M = (2.0, 2.5, 1.2)
PLAYBACK_DELAY_S = 0.072  # converters and sound-card buffers between ref and loudspeaker
ECHO_DB = 0.0  # echo over near-end speech at the microphone
NOISE_DB = -18.0  # noise over near-end speech at the microphone
SPEECH_DBFS = -26.0
REF_DBFS = -22.0
FADE_S = 0.05


def clip(corpus: Path, name: str, start_s: float, seconds: float) -> np.ndarray:
    """Return a stretch of a corpus clip at `RATE`, ``(n,)`` float64, with faded ends."""
    samples, rate = soundfile.read(corpus / name)
    if rate != RATE:
        samples = signal.resample_poly(samples, RATE, rate)
    begin = round(start_s * RATE)
    part = samples[begin : begin + round(seconds * RATE)]
    if len(part) < round(seconds * RATE):
        message = f"{name}: {len(samples) / RATE:.2f} s, expected {start_s + seconds:.2f} s"
        raise SystemExit(message)
    ramp = np.linspace(0.0, 1.0, round(FADE_S * RATE))
    part = part.copy()
    part[: ramp.size] *= ramp
    part[-ramp.size :] *= ramp[::-1]
    return part


def responses() -> tuple[np.ndarray, np.ndarray]:
    """Return the room responses loudspeaker to microphone and talker to microphone."""
    absorption, order = pra.inverse_sabine(RT60_S, ROOM_M)
    room = pra.ShoeBox(ROOM_M, fs=RATE, materials=pra.Material(absorption), max_order=order)
    room.add_source(LOUDSPEAKER_M)
    room.add_source(TALKER_M)
    room.add_microphone(MIC_M)
    room.compute_rir()
    return room.rir[0][0], room.rir[0][1]


def loudspeaker(ref: np.ndarray) -> np.ndarray:
    """Return what a small loudspeaker makes of `ref`: no bass, soft clipping, late."""
    drive = 4.0  # peaks of the reference are pressed by about 2 dB
    bass = signal.butter(2, 180.0, "highpass", fs=RATE, output="sos")
    pressed = np.tanh(drive * signal.sosfilt(bass, ref)) / drive
    return np.concatenate([np.zeros(round(PLAYBACK_DELAY_S * RATE)), pressed])


def place(part: np.ndarray, start_s: float) -> np.ndarray:
    """Return `part` in a silent track of `SECONDS`, starting at `start_s`, cut to it."""
    track = np.zeros(round(SECONDS * RATE))
    begin = round(start_s * RATE)
    part = part[: track.size - begin]
    track[begin : begin + part.size] = part
    return track


def level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """Return `samples` scaled so that their active part has an RMS of `dbfs`."""
    active = samples[np.abs(samples) > 1e-3 * np.abs(samples).max()]
    return samples * 10.0 ** (dbfs / 20.0) / np.sqrt(np.mean(active**2))


def main() -> None:
    """Build the scene and write mic.flac, ref.flac and segments.json."""
    corpus, out = Path(sys.argv[1]), Path(sys.argv[2])
    to_loudspeaker, to_talker = responses()
    near_start = SEGMENTS["both"][0]
    far_end = SEGMENTS["both"][1]
    ref = level(place(clip(corpus, FAR, 0.4, far_end - 0.1), 0.1), REF_DBFS)
    near = clip(corpus, NEAR, 7.1, SECONDS - near_start)
    speech = level(place(signal.fftconvolve(near, to_talker), near_start), SPEECH_DBFS)
    echo = place(signal.fftconvolve(loudspeaker(ref), to_loudspeaker), 0.0)
    noise = level(clip(corpus, NOISE, 2.0, SECONDS), SPEECH_DBFS + NOISE_DB)
    mic = speech + level(echo, SPEECH_DBFS + ECHO_DB) + noise
    for name, samples in (("mic", mic), ("ref", ref)):
        if np.abs(samples).max() >= 1.0:
            message = f"{name} clips"
            raise SystemExit(message)
        soundfile.write(
            out / f"{name}.flac", samples, RATE, subtype="PCM_16", compression_level=1.0
        )
    (out / "segments.json").write_text(json.dumps(SEGMENTS, indent=2) + "\n")


if __name__ == "__main__":
    main()
