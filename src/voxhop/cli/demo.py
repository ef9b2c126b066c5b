"""``voxhop demo``: enhance the recordings that ship with the package and show the change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voxhop.cli import chain_demo, codec_demo, losses_demo
from voxhop.cli.demo_files import (
    DEMO,
    NO_PICTURE,
    copy_recording,
    draw,
    read_recording,
    read_segments,
)
from voxhop.cli.verb import ProgressBar, new_verb, print_json, say

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.demo_files import Samples, Segments
    from voxhop.cli.verb import Subparsers
    from voxhop.files.enhance import EnhanceReport

_FRAME_S: Final = 0.02
_ECHO_TAIL_S: Final = 0.4  # the room and the playback delay carry the far end this much longer


@dataclass(frozen=True)
class Changes:
    """What the demo changed; powers of the microphone over powers of the output, in dB.

    Attributes
    ----------
    far_end_db
        While only the loudspeaker was heard: all of it is echo and noise.
    both_db
        While both talked.
    near_end_speech_db
        While only the near end talked, in the loudest tenth of the frames: 0 is speech
        left alone, more is speech lost.
    near_end_noise_db
        The same in the quietest tenth of the frames: noise and reverberation.
    """

    far_end_db: float
    both_db: float
    near_end_speech_db: float
    near_end_noise_db: float


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="demo",
        summary="enhance or code a short recording that ships with voxhop, and show what changed",
        example=(
            "voxhop demo\n  voxhop demo --codec\n  voxhop demo --losses 10%\n  voxhop demo --chain"
        ),
    )
    parser.add_argument(
        "-o", "--out", default="voxhop-demo", help="folder to make (default voxhop-demo)"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--codec",
        action="store_true",
        help="code the talker at 6 and 1 kbit/s instead of enhancing the call",
    )
    instead.add_argument(
        "--losses",
        metavar="SHARE",
        help="lose so many of the talker's packets instead, such as 10%%, and fill them",
    )
    instead.add_argument(
        "--chain",
        action="store_true",
        help="send the call through canceller, codec, losses and restorer instead, live",
    )
    parser.add_argument(
        "--model",
        help="name or GGUF file (default: the bundled one); with --codec, --chain: of the codec",
    )


def run(args: argparse.Namespace) -> int:
    """Enhance the pair, write what to listen to and look at, and say what changed."""
    if args.codec:
        return codec_demo.run(args)
    if args.losses is not None:
        return losses_demo.run(args)
    if args.chain:
        return chain_demo.run(args)
    from voxhop import enhance_file  # noqa: PLC0415 - the parser needs none of it

    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with ProgressBar("enhancing") as bar:
        report = enhance_file(
            DEMO / "mic.flac",
            out / "clean.wav",
            ref=DEMO / "ref.flac",
            model=args.model,
            progress=bar.update,
        )
    segments = read_segments()
    tracks = {
        "microphone": copy_recording(DEMO / "mic.flac", out / "microphone.wav")[1],
        "loudspeaker": copy_recording(DEMO / "ref.flac", out / "loudspeaker.wav")[1],
        "clean": read_recording(out / "clean.wav"),
    }
    changes = measure(tracks["microphone"], tracks["clean"], report.sample_rate, segments)
    picture = _draw(out / "before-after.png", tracks, report.sample_rate, segments)
    if args.json:
        print_json({"report": report, "changes": changes, "picture": picture})
    else:
        _tell(report, changes, out, picture)
    return 0


def measure(mic: Samples, clean: Samples, rate: int, segments: Segments) -> Changes:
    """Return the changes between two recordings ``(frames,)``, stretch by stretch."""
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    size = round(_FRAME_S * rate)
    count = len(mic) // size
    powers = [np.mean(x[: count * size].reshape(count, size) ** 2, axis=1) for x in (mic, clean)]
    middle_s = (np.arange(count) + 0.5) * _FRAME_S

    def change(name: str, start_late_s: float = 0.0, share: slice = slice(None)) -> float:
        start, end = segments[name]
        frames = np.flatnonzero((middle_s >= start + start_late_s) & (middle_s < end))
        frames = frames[np.argsort(powers[0][frames])][share]
        before, after = (float(np.mean(power[frames])) for power in powers)
        return float(10.0 * np.log10((before + 1e-12) / (after + 1e-12)))

    start, end = segments["near end"]
    tenth = max(1, round((end - start - _ECHO_TAIL_S) / _FRAME_S / 10))
    return Changes(
        far_end_db=change("far end"),
        both_db=change("both"),
        near_end_speech_db=change("near end", _ECHO_TAIL_S, slice(-tenth, None)),
        near_end_noise_db=change("near end", _ECHO_TAIL_S, slice(None, tenth)),
    )


def _tell(report: EnhanceReport, changes: Changes, out: Path, picture: Path | None) -> None:
    kept = -changes.near_end_speech_db
    say(f"{report.seconds:.1f} s of a call, enhanced at {report.speed:.1f} times real time.")
    say(f"  loudspeaker alone   {changes.far_end_db:5.1f} dB less echo and noise")
    say(f"  both talk           {changes.both_db:5.1f} dB less sound; the talker should remain")
    say(f"  talker alone        {changes.near_end_noise_db:5.1f} dB less noise between the words,")
    say(f"                      loudest speech {kept:+.1f} dB (0 is unchanged)")
    if report.delay_ms is not None:
        say(f"  echo found          {report.delay_ms:.0f} ms behind the loudspeaker signal")
    say("listen:")
    say(f"  before   {out / 'microphone.wav'}")
    say(f"  after    {out / 'clean.wav'}")
    say(f"  speaker  {out / 'loudspeaker.wav'}")
    say(f"look:      {picture or NO_PICTURE}")


def _draw(path: Path, tracks: dict[str, Samples], rate: int, segments: Segments) -> Path | None:
    titles = {
        "microphone": "before: the microphone hears talker, echo, noise and room",
        "clean": "after: what voxhop leaves",
        "loudspeaker": "the loudspeaker signal that voxhop is given",
    }
    named = {title: tracks[name] for name, title in titles.items()}
    return draw(path, named, rate, segments)
