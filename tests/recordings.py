"""Small recordings with an echo in them, and how to look at what a batch makes of them."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
MODEL = "voxhop-localvqe-small"


def write_pair(folder, name, seed, seconds=0.3):
    """Write NAME_mic.wav and NAME_ref.wav: noise, and its echo after 20 ms."""
    rng = np.random.default_rng(seed)
    ref = rng.normal(0, 0.1, round(seconds * RATE))
    mic = 0.5 * np.concatenate([np.zeros(320), ref])[: len(ref)] + rng.normal(0, 0.002, len(ref))
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}_mic.wav", mic, RATE, "PCM_16")
    soundfile.write(folder / f"{name}_ref.wav", ref, RATE, "PCM_16")


def hashes(folder):
    """Return name and SHA-256 of every file below a folder but the manifest."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.suffix != ".jsonl"
    }


def rows(out):
    """Return the rows of a manifest, without its first line."""
    lines = (Path(out) / "voxhop-batch.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def voxhop_command(*args):
    """Return the command line of ``voxhop``, which hears Ctrl-C as on a terminal.

    A shell turns that off for programs in the background, of which the tests may be one.
    """
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from voxhop.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-c", code, *args]
