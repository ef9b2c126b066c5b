"""``voxhop demo --losses``: lose packets of a voice that ships with the package, and fill them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxhop.cli.demo_files import (
    DEMO,
    NO_PICTURE,
    copy_recording,
    draw,
    read_recording,
    read_segments,
)
from voxhop.cli.losses import plcmos_of, read_share
from voxhop.cli.verb import ProgressBar, print_json, say

if TYPE_CHECKING:
    import argparse

_SEED = 7  # loses ten of a hundred of these few seconds too


@dataclass(frozen=True)
class Filled:
    """What the demo lost and filled.

    Attributes
    ----------
    lost_share, bursts, longest_ms
        Of the packets of 20 ms, 0 to 1; in how many bursts, and the longest.
    plcmos_sent, plcmos_received, plcmos_filled
        PLCMOS, 1 to 5: how whole it sounds. None without the extra ``[eval]``.
    """

    lost_share: float
    bursts: int
    longest_ms: float
    plcmos_sent: float | None
    plcmos_received: float | None
    plcmos_filled: float | None


def run(args: argparse.Namespace) -> int:
    """Write what was sent, what arrived and what was made of it, and say how it went."""
    from voxhop import LossTrace, conceal_file  # noqa: PLC0415 - the parser needs none of it
    from voxhop.io import AudioWriter  # noqa: PLC0415 - the same
    from voxhop.stream.losses import received  # noqa: PLC0415 - the same

    share = read_share("--losses", args.losses)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    # The far end, as the network brings it: nothing but the talker.
    seconds = read_segments()["both"][1]
    rate, sent = copy_recording(DEMO / "ref.flac", out / "sent.wav", seconds=seconds)
    trace = LossTrace.simulate(share, seconds, seed=_SEED)
    trace.write(out / "losses.txt")
    arrived = received(sent, trace.runs(rate, 0, len(sent)))
    encoding = ("WAV", "PCM_16")
    with AudioWriter(out / "received.wav", rate=rate, channels=1, encoding=encoding) as writer:
        writer.write(arrived[:, None])
    with ProgressBar("concealing") as bar:
        conceal_file(
            out / "received.wav",
            out / "filled.wav",
            losses=trace,
            model=args.model,
            progress=bar.update,
        )
    filled = read_recording(out / "filled.wav")
    spans = trace.spans()
    longest = max((end - start for start, end in spans), default=0.0)
    scores = [plcmos_of(signal, rate) for signal in (sent, arrived, filled)]
    figures = Filled(trace.share, len(spans), 1000.0 * longest, *scores)
    tracks = {"sent": sent, "received, lost packets marked": arrived, "filled": filled}
    picture = draw(out / "losses.png", tracks, rate, lost=spans)
    if args.json:
        print_json({"figures": figures, "picture": picture})
    else:
        _tell(figures, out, picture)
    return 0


def _tell(figures: Filled, out: Path, picture: Path | None) -> None:
    say(
        f"{100 * figures.lost_share:.1f} % of the packets lost in {figures.bursts} bursts, "
        f"the longest of {figures.longest_ms:.0f} ms."
    )
    for name, title, score in (
        ("sent", "what was sent", figures.plcmos_sent),
        ("received", "silence in the gaps", figures.plcmos_received),
        ("filled", "filled by the model", figures.plcmos_filled),
    ):
        judged = "" if score is None else f"   PLCMOS {score:.2f} of 5"
        say(f"  {title:<22}{out / name}.wav{judged}")
    if figures.plcmos_sent is None:
        say('scores:    none, packages are missing; pip install "voxhop[eval]"')
    say(f"look:      {picture or NO_PICTURE}")
