"""The speech codec beside others: quality, noise, rooms, lost packets, delay and cost.

    python benchmarks/codec_comparison.py MODEL --data FOLDER [--cache FOLDER] [--write FILE]

takes clips of speakers, noises and rooms that training never sees (a corpus's valid split), codes
them with the model at 6 and 1 kbit/s, with Opus, Codec2 and Lyra, and writes tables and, beside
them, all figures as JSON. Codecs and measures that are not installed are named and left out.
`--cache` keeps scores by what was scored: with other weights only what those change is scored.
`--others PAGE.json` takes the rows of other codecs, and of what was not coded, from the figures of
an earlier page on the same clips.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
import torch
from parts.codec_measures import RATE as SCORE_RATE
from parts.codec_measures import KeptScores, Measure, measures
from parts.codec_measures import usable as usable_measures
from parts.codec_systems import FRAME, RATE, Codec, Codec2, Lyra, Opus, Sublime
from parts.codec_tables import page
from parts.kept_page import write_study

import voxhop
from voxhop.errors import ArgumentError
from voxhop.stream.losses import LossTrace
from voxhop.training.draw import Draw
from voxhop.training.simulation import acoustics
from voxhop.training.simulation.degrade import DegradationConfig, degrade
from voxhop.training.sounds.bank import DataConfig, load_bank
from voxhop.training.sounds.rooms import RoomConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from voxhop.training.sounds.bank import SoundBank

    Sound = NDArray[np.float32]

SEED = 20265
SECONDS = 6.0
OWN, UNCODED = "voxhop", "not coded"
_SAME_CLIPS = 1e-3  # of ESTOI
LOSSES = (0.05, 0.1, 0.2)
BY_CONDITION = ("pesq", "estoi", "sig", "ovrl", "distillmos", "mel", "speaker", "wer")
BY_LOSS = ("pesq", "estoi", "plcmos")
# One degradation each; the level is that of the validation.
_ONE = DegradationConfig(
    noise=0.0, reverberation=0.0, clipping=0.0, packet_loss=0.0, silence=0.0,
    level_dbfs=(-26.0, -26.0), snr_db=(5.0, 15.0),
)  # fmt: skip
DEGRADED = {
    "noisy": dataclasses.replace(_ONE, noise=1.0),
    "reverberant": dataclasses.replace(_ONE, reverberation=1.0),
}


@dataclass
class Row:
    """A codec in one condition: means over clips, `None` where nothing could be measured."""

    system: str
    condition: str
    clips: int
    means: dict[str, float | None]
    kbps: float | None = None
    delay_ms: float | None = None
    encode_ms: float | None = None  # CPU per 20 ms, of the cheapest clip
    decode_ms: float | None = None


@dataclass
class Comparison:
    """All rows, and what could not be compared."""

    model: str
    precision: str
    seconds: float
    rows: list[Row] = field(default_factory=list)
    code_usage: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    others_kept: bool = False  # from an earlier run


def main() -> int:
    """Compare, and write or print the page."""
    args = _arguments()
    torch.set_num_threads(1)
    data = DataConfig(folder=args.data, cache=args.packed)
    bank = load_bank(data, "valid", RoomConfig(count=40), seed=0)
    cache = Path(args.cache)
    kept = KeptScores(cache / "codec-scores.json")
    with voxhop.load(args.model) as model:
        found = Comparison(model.info.name or args.model, args.precision, SECONDS)
        earlier = _earlier(args.others)
        found.others_kept = bool(earlier)
        codecs = _own(args, model) if earlier else _codecs(args, model, found)
        known = measures(cache)
        wanted = args.measures.split(",") if args.measures else [m.key for m in known]
        usable = usable_measures(known, wanted, found.missing)
        sets = {"clean": clean_clips(bank, args.clips)}
        sets |= {kind: degraded_clips(bank, kind, args.degraded_clips) for kind in DEGRADED}
        for condition, (given, target) in sets.items():
            if earlier:
                _check_clips(earlier, condition, (given, target), usable, kept)
                found.rows += [row for row in earlier if row.condition == condition]
            else:
                found.rows.append(_uncoded(condition, given, target, usable, kept))
            for codec in codecs:
                _say(f"{condition}: {codec.name}")
                found.rows.append(_condition(codec, condition, (given, target), usable, kept))
                kept.save()
        for share in LOSSES:
            found.rows += [row for row in earlier if row.condition == f"{share:.0%} lost"]
            for codec in (c for c in codecs if c.conceals):
                _say(f"{share:.0%} of packets lost: {codec.name}")
                found.rows.append(_lossy(codec, share, sets["clean"][0], usable, kept))
                kept.save()
        found.code_usage = _usage(model, sets["clean"][0])
    text = page(found, f"python benchmarks/codec_comparison.py {args.model} --data FOLDER")
    if args.write:
        write_study(Path(args.write), text, found)
    else:
        sys.stdout.write(text)
    return 0


def clean_clips(bank: SoundBank, count: int) -> tuple[Sound, Sound]:
    """Return clips of different speakers as they were recorded, (count, samples), twice."""
    draw, speech = Draw(SEED, 0), bank.speech
    samples = _samples(bank.sample_rate)
    order = draw.uniform(0, 1, len(speech.lengths)).argsort()
    long = order[speech.lengths[order] > samples][:count]
    clips = acoustics.crop(speech, long, draw.uniform(0, 1, len(long)), samples)
    given = _at(clips.numpy(), bank.sample_rate, RATE)
    return given, given


def degraded_clips(bank: SoundBank, kind: str, count: int) -> tuple[Sound, Sound]:
    """Return clips with noise or in rooms, and what should be heard; (count, samples) each."""
    batch = degrade(
        bank,
        DEGRADED[kind],
        Draw(SEED, 1 + list(DEGRADED).index(kind)),
        clips=count,
        samples=_samples(bank.sample_rate),
        sample_rate=bank.sample_rate,
    )
    pair = (batch.noisy, batch.target)
    given, target = (_at(x.numpy(), bank.sample_rate, RATE) for x in pair)
    return given, target


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The speech codec beside others.")
    parser.add_argument("model", help="name or path of a codec's model")
    parser.add_argument("--data", required=True, help="recordings")
    parser.add_argument("--packed", default=".cache/training", help="packed recordings")
    parser.add_argument("--cache", default=".cache/codec", help="scores that were found before")
    parser.add_argument("--clips", type=int, default=16, help="clean ones (default 16)")
    parser.add_argument("--degraded-clips", type=int, default=8, help="of each kind (default 8)")
    parser.add_argument("--precision", default="f16", help="of the weights (default f16)")
    parser.add_argument("--measures", help="such as pesq,estoi (default: all)")
    parser.add_argument("--codec2", help="libcodec2.so (default: where the system has it)")
    parser.add_argument("--lyra", help="folder of Lyra's weights (default: without Lyra)")
    parser.add_argument("--others", help="JSON of an earlier page: rows of other codecs from there")
    parser.add_argument("--write", help="page to make, its figures as JSON beside it")
    return parser.parse_args()


def _codecs(args: argparse.Namespace, model: voxhop.Model, found: Comparison) -> list[Codec]:
    """Return the codecs that are there; note the others."""
    codecs: list[Codec] = []
    for make in (
        lambda: (Opus(6000), Opus(9000)),
        lambda: (Codec2(3200, args.codec2), Codec2(1300, args.codec2)),
        lambda: [Lyra(rate, args.lyra) for rate in (6000, 3200) if args.lyra],
    ):
        with _noted(found):
            codecs += make()
    return codecs + _own(args, model)


def _own(args: argparse.Namespace, model: voxhop.Model) -> list[Codec]:
    """Return the model at both of its rates, as it is and enhanced."""
    return [
        Sublime(model, kbps, enhance=enhance, precision=args.precision)
        for enhance in (False, True)
        for kbps in (6, 1)
    ]


def _earlier(page_json: str | None) -> list[Row]:
    """Return the rows of an earlier page that are not the package's codec."""
    if page_json is None:
        return []
    rows = [Row(**row) for row in json.loads(Path(page_json).read_text("utf-8"))["rows"]]
    return [row for row in rows if not row.system.startswith(OWN)]


def _check_clips(
    earlier: list[Row],
    condition: str,
    clips: tuple[Sound, Sound],
    usable: dict[str, Measure],
    kept: KeptScores,
) -> None:
    """Refuse figures of other clips: what was not coded must score what it did."""
    rows = [row for row in earlier if (row.system, row.condition) == (UNCODED, condition)]
    if not rows:
        raise ArgumentError(f"others: no row of clips that were not coded, {condition}")
    before = rows[0]
    now = _means(*clips, ("estoi",), usable, kept).get("estoi")
    then = before.means.get("estoi")
    same = now is None or then is None or abs(now - then) < _SAME_CLIPS
    if before.clips != len(clips[0]) or not same:
        raise ArgumentError(
            f"others: {before.clips} clips, {condition}, ESTOI {then}, expected the "
            f"{len(clips[0])} clips of this run, {now}"
        )


@contextlib.contextmanager
def _noted(found: Comparison) -> Iterator[None]:
    """Note the codec that is not there."""
    try:
        yield
    except (OSError, ImportError, ArgumentError) as error:
        found.missing.append(str(error))


def _uncoded(
    condition: str, given: Sound, target: Sound, usable: dict[str, Measure], kept: KeptScores
) -> Row:
    means = _means(given, target, BY_CONDITION, usable, kept)
    return Row(UNCODED, condition, len(given), means)


def _condition(
    codec: Codec,
    condition: str,
    clips: tuple[Sound, Sound],
    usable: dict[str, Measure],
    kept: KeptScores,
) -> Row:
    given, target = clips
    coded = [codec.run(clip) for clip in given]
    out = np.stack([one.sound for one in coded])
    frames = given.shape[1] / FRAME
    return Row(
        codec.name,
        condition,
        len(given),
        _means(out, target, BY_CONDITION, usable, kept),
        kbps=sum(one.bits for one in coded) / (given.size / RATE) / 1000,
        delay_ms=codec.delay_ms,
        encode_ms=1000 * min(one.encode_s for one in coded) / frames,
        decode_ms=1000 * min(one.decode_s for one in coded) / frames,
    )


def _lossy(
    codec: Codec, share: float, given: Sound, usable: dict[str, Measure], kept: KeptScores
) -> Row:
    out = []
    for i, clip in enumerate(given):
        trace = LossTrace.simulate(share, SECONDS, packet_ms=20.0, seed=SEED + i)
        out.append(codec.run(clip, trace.lost).sound)
    means = _means(np.stack(out), given, BY_LOSS, usable, kept)
    return Row(codec.name, f"{share:.0%} lost", len(given), means)


def _means(
    out: Sound,
    target: Sound,
    keys: Sequence[str],
    usable: dict[str, Measure],
    kept: KeptScores,
) -> dict[str, float | None]:
    heard, wanted = (_at(x, RATE, SCORE_RATE) for x in (out, target))
    means: dict[str, float | None] = {}
    for key in keys:
        if key in usable:
            means[key] = kept.mean(usable[key], heard, wanted)
    return means


def _usage(model: voxhop.Model, clips: Sound) -> dict[str, float]:
    """Return the share of codes that occur, of all groups and of the one with fewest."""
    with voxhop.CodecEncoder(model) as encoder:
        parts = [part for clip in clips for part in (encoder.push(clip), encoder.flush())]
    codes = np.concatenate(parts)
    used = [len(np.unique(group)) / 32 for group in codes.T]
    return {"mean": float(np.mean(used)), "least": float(min(used)), "frames": float(len(codes))}


def _samples(rate: int) -> int:
    return int(SECONDS * rate)


def _at(clips: Sound, rate: int, to_rate: int) -> Sound:
    """Resample rows."""
    if rate == to_rate:
        return clips
    return np.stack([soxr.resample(clip, rate, to_rate, "VHQ") for clip in clips])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
