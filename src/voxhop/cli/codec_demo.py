"""``voxhop demo --codec``: a talker as recorded, at 6 and at 1 kbit/s."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voxhop.cli.demo_files import (
    DEMO,
    NO_PICTURE,
    copy_recording,
    draw,
    read_recording,
    read_segments,
)
from voxhop.cli.verb import ProgressBar, print_json, say

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.demo_files import Samples
    from voxhop.codec import CodecReport
    from voxhop.models import Model

_RATES_KBPS: Final = (6, 1)
_HEARD_DB: Final = 50.0  # what lies further below the loudest is not compared


@dataclass(frozen=True)
class CodedSpeech:
    """One bit rate of the demo.

    Attributes
    ----------
    kbps
        Nominal.
    coded, heard
        Files: the coded one, and the sound that it decodes to.
    coded_bytes
        Of the coded file, header included.
    smaller
        How many of it are as large as the original in 16 bits per sample.
    encode_speed, decode_speed
        Seconds of audio per second.
    spectrum_db
        How far the spectrogram lies from the original's on average, where that is within
        50 dB of its loudest.
    """

    kbps: int
    coded: Path
    heard: Path
    coded_bytes: int
    smaller: float
    encode_speed: float
    decode_speed: float
    spectrum_db: float


def run(args: argparse.Namespace) -> int:
    """Code the talker at both rates, write what to listen to and look at, and say how large."""
    out = Path(args.out)
    with open_codec(args.model) as model:
        out.mkdir(parents=True, exist_ok=True)
        # The far end, as the loudspeaker is given it: nothing but the talker.
        original = out / "original.wav"
        rate, speech = copy_recording(
            DEMO / "ref.flac", original, seconds=read_segments()["both"][1]
        )
        original_bytes = 2 * len(speech)
        tracks = {f"original, {original_bytes:,} bytes": speech}
        rows: list[CodedSpeech] = []
        for kbps in _RATES_KBPS:
            row, heard = _coded(model, kbps, original, speech, rate)
            rows.append(row)
            tracks[f"{kbps} kbit/s, {row.coded_bytes:,} bytes"] = heard
    picture = draw(out / "codec.png", tracks, rate)
    seconds = len(speech) / rate
    if args.json:
        print_json(
            {
                "seconds": seconds,
                "sample_rate": rate,
                "original": original,
                "original_bytes": original_bytes,
                "coded": rows,
                "picture": picture,
            }
        )
    else:
        _tell(rows, original, seconds, picture)
    return 0


def open_codec(name: str | None) -> Model:
    """Load the codec that was named, or the one of this package.

    Raises
    ------
    ModelFileError
        When it is not there; says what to do where none was named.
    """
    from voxhop.codec import DEFAULT_CODEC  # noqa: PLC0415 - the parser needs none of it
    from voxhop.errors import ModelFileError  # noqa: PLC0415 - the same
    from voxhop.models import load  # noqa: PLC0415 - the same

    if name is not None:
        return load(name)
    try:
        return load(DEFAULT_CODEC)
    except ModelFileError as error:
        raise ModelFileError(
            f"{error}; the demo of the codec needs its weights: --model FILE takes others"
        ) from error


def spectrum_distance_db(original: Samples, heard: Samples, rate: int) -> float:
    """Return how far two spectrograms lie apart; see `CodedSpeech.spectrum_db`."""
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    from voxhop.plots import spectrogram_db  # noqa: PLC0415 - the same

    level = spectrogram_db(original, rate)
    loud = level > level.max() - _HEARD_DB
    return float(np.abs(spectrogram_db(heard, rate) - level)[loud].mean())


def _coded(
    model: Model, kbps: int, original: Path, speech: Samples, rate: int
) -> tuple[CodedSpeech, Samples]:
    """Code and decode the original; return what came of it and how it sounds."""
    from voxhop.codec import SUFFIX, decode_file, encode_file  # noqa: PLC0415 - only here

    coded, heard = (original.with_name(f"{kbps}-kbps{end}") for end in (SUFFIX, ".wav"))
    with ProgressBar(f"{kbps} kbit/s") as bar:
        made: CodecReport = encode_file(
            original, coded, model=model, kbps=kbps, progress=bar.update
        )
        back: CodecReport = decode_file(coded, heard, model=model, progress=bar.update)
    sound = read_recording(heard)
    row = CodedSpeech(
        kbps=kbps,
        coded=coded,
        heard=heard,
        coded_bytes=made.coded_bytes,
        smaller=2 * len(speech) / made.coded_bytes,
        encode_speed=made.speed,
        decode_speed=back.speed,
        spectrum_db=spectrum_distance_db(speech, sound, rate),
    )
    return row, sound


def _tell(rows: list[CodedSpeech], original: Path, seconds: float, picture: Path | None) -> None:
    say(f"{seconds:.1f} s of a talker, coded and decoded.")
    say("            bytes   smaller   coded   decoded   spectrum off by")
    for row in rows:
        say(
            f"  {row.kbps} kbit/s  {row.coded_bytes:6,}   {row.smaller:5.0f} x   "
            f"{row.encode_speed:4.0f} x    {row.decode_speed:4.0f} x   {row.spectrum_db:.1f} dB"
        )
    say("  (coded, decoded: times real time)")
    say("listen:")
    say(f"  original  {original}")
    for row in rows:
        say(f"  {row.kbps} kbit/s  {row.heard}")
    say(f"look:       {picture or NO_PICTURE}")
