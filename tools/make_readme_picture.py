"""Makes the picture at the top of the README from the demo call: spectrograms before and after.

python tools/make_readme_picture.py docs/images/before-after.png
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import voxhop
from voxhop.plots import before_after

_WIDTH, _COLOURS = 900, 32


def main(out: Path) -> None:
    """Enhance the demo, draw both, and keep the picture small enough for a repository."""
    demo = Path(voxhop.__file__).parent / "demo"
    mic, rate = soundfile.read(demo / "mic.flac", dtype="float32")
    ref, _ = soundfile.read(demo / "ref.flac", dtype="float32")
    clean = voxhop.enhance(mic, ref, sample_rate=rate)
    tracks = {
        "a microphone beside a loudspeaker": mic,
        "the same behind voxhop": np.asarray(clean, np.float32),
    }
    segments = json.loads((demo / "segments.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn.png"
        before_after(drawn, tracks, sample_rate=rate, segments=segments)
        with Image.open(drawn) as picture:
            height = round(picture.height * _WIDTH / picture.width)
            small = picture.convert("RGB").resize((_WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(_COLOURS).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
