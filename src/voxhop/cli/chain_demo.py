"""``voxhop demo --chain``: a call through canceller, codec, losses and what hides them, live."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.cli.codec_demo import open_codec
from voxhop.cli.demo_files import DEMO, NO_PICTURE, copy_recording, draw, read_segments
from voxhop.cli.losses import plcmos_of
from voxhop.cli.verb import ProgressBar, print_json, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from voxhop import Chain
    from voxhop.chain import ChainMetrics
    from voxhop.chain.links import Link
    from voxhop.cli.demo_files import Samples, Segments
    from voxhop.models import Model

_KBPS: Final = 6
_LOSS: Final = 0.1
_BURST: Final = 2.0  # packets, on average
_SEED: Final = 3
_BLOCK_S: Final = 0.01
_RESTORER: Final = "restorer"
_AFTER: Final = ("codec", "bwe")  # tasks of restorers that may stand behind the codec


@dataclass(frozen=True)
class LinkResult:
    """What is heard after one link.

    Attributes
    ----------
    title, heard
        What was done, and the sound file.
    far_end_db
        How much less power than the microphone while only the loudspeaker is heard.
    plcmos
        1 to 5: how whole it sounds. None without the extra ``[eval]``.
    latency_ms
        From the microphone to here.
    """

    title: str
    heard: Path
    far_end_db: float
    plcmos: float | None
    latency_ms: float


@dataclass(frozen=True)
class RealTime:
    """The whole chain at the pace of the sound, in blocks of 10 ms.

    Attributes
    ----------
    blocks, late_blocks
        Given, and those that took longer than they last.
    p50_ms, p99_ms
        Wall time of a block.
    load
        Share of real time that the blocks took.
    """

    blocks: int
    late_blocks: int
    p50_ms: float
    p99_ms: float
    load: float


@dataclass(frozen=True)
class _Step:
    name: str
    title: str
    links: tuple[Link, ...] = field(default=())


def run(args: argparse.Namespace) -> int:
    """Send the call through ever more links, then through all of them live; say how it went."""
    from voxhop.io import AudioWriter  # noqa: PLC0415 - the parser needs none of it

    out = Path(args.out)
    with open_codec(args.model) as codec:
        out.mkdir(parents=True, exist_ok=True)
        rate, mic = copy_recording(DEMO / "mic.flac", out / "0-microphone.wav")
        _, ref = copy_recording(DEMO / "ref.flac", out / "0-loudspeaker.wav")
        segments = read_segments()
        steps = list(_steps(codec))
        tracks = {"microphone": mic}
        results = [
            LinkResult("microphone", out / "0-microphone.wav", 0.0, plcmos_of(mic, rate), 0.0)
        ]
        for number, step in enumerate(steps, 1):
            with ProgressBar(step.name) as bar:
                heard, latency_ms = _through(step.links, rate, mic, ref, bar.update)
            path = out / f"{number}-{step.name}.wav"
            with AudioWriter(path, rate=rate, channels=1, encoding=("WAV", "PCM_16")) as writer:
                writer.write(heard[:, None])
            far_end_db = _less_db(mic, heard, rate, segments)
            tracks[step.title] = heard
            results.append(
                LinkResult(step.title, path, far_end_db, plcmos_of(heard, rate), latency_ms)
            )
        with ProgressBar("live") as bar:
            live, metrics = _live(steps[-1].links, rate, mic, ref, bar.update)
    picture = draw(out / "chain.png", tracks, rate, segments)
    if args.json:
        told = {"links": results, "live": live, "metrics": metrics, "picture": picture}
        print_json(told)
    else:
        _tell(results, live, metrics, picture)
    return 0


def _steps(codec: Model) -> list[_Step]:
    """Return the call's way, each step with all links up to it."""
    from voxhop import CodecLink, ModelLink  # noqa: PLC0415 - the parser needs none of it
    from voxhop.errors import ModelFileError  # noqa: PLC0415 - the same
    from voxhop.files.restorers import find_restorer, find_task  # noqa: PLC0415 - the same
    from voxhop.models import DEFAULT_MODEL  # noqa: PLC0415 - the same

    canceller = ModelLink(DEFAULT_MODEL, name="canceller")
    whole = CodecLink(codec, name="codec", kbps=_KBPS)
    lossy = CodecLink(codec, name="codec", kbps=_KBPS, loss=_LOSS, burst=_BURST, seed=_SEED)
    steps = [
        _Step("cancelled", "echo, noise and room removed", (canceller,)),
        _Step("coded", f"coded at {_KBPS} kbit/s", (canceller, whole)),
        _Step("lossy", f"{_LOSS:.0%} of the packets lost and concealed", (canceller, lossy)),
    ]
    for name in _AFTER:
        try:
            restorer = ModelLink(find_restorer(name), name=_RESTORER)
        except ModelFileError:
            continue
        title = f"restored: {find_task(name).summary}"
        steps.append(_Step("restored", title, (canceller, lossy, restorer)))
        break
    return steps


def _through(
    links: tuple[Link, ...],
    rate: int,
    mic: Samples,
    ref: Samples,
    progress: Callable[[float, float], None],
) -> tuple[Samples, float]:
    """Return what comes out, aligned with the microphone, and the latency in ms."""
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    from voxhop import Chain  # noqa: PLC0415 - the same

    with Chain(links, sample_rate=rate) as chain:
        parts = [block for block, _ in _blocks(chain, rate, mic, ref, progress)]
        late = chain.latency_samples
        return np.concatenate([*parts, chain.flush()])[late:], 1000.0 * late / rate


def _live(
    links: tuple[Link, ...],
    rate: int,
    mic: Samples,
    ref: Samples,
    progress: Callable[[float, float], None],
) -> tuple[RealTime, ChainMetrics]:
    """Run the chain as fast as the call was spoken."""
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    from voxhop import Chain  # noqa: PLC0415 - the same

    with Chain(links, sample_rate=rate) as chain:
        start, took = time.perf_counter(), []
        for number, (_, seconds) in enumerate(_blocks(chain, rate, mic, ref, progress), 1):
            took.append(seconds)
            time.sleep(max(0.0, start + number * _BLOCK_S - time.perf_counter()))
        metrics = chain.metrics
    times = np.array(took)
    half, most = (1000.0 * float(np.percentile(times, p)) for p in (50, 99))
    late = int(np.count_nonzero(times > _BLOCK_S))
    return RealTime(len(took), late, half, most, float(times.mean() / _BLOCK_S)), metrics


def _blocks(
    chain: Chain,
    rate: int,
    mic: Samples,
    ref: Samples,
    progress: Callable[[float, float], None],
) -> Any:  # noqa: ANN401 - an iterator of pairs
    """Yield what comes out for every block, and how long it took in seconds."""
    size = round(_BLOCK_S * rate)
    for at in range(0, len(mic), size):
        start = time.perf_counter()
        block = chain.process(mic[at : at + size], ref[at : at + size])
        took = time.perf_counter() - start
        progress((at + len(block)) / rate, len(mic) / rate)
        yield block, took


def _less_db(mic: Samples, heard: Samples, rate: int, segments: Segments) -> float:
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    start, end = (round(s * rate) for s in segments["far end"])
    before, after = (float(np.mean(np.square(x[start:end]))) for x in (mic, heard))
    return float(10.0 * np.log10((before + 1e-12) / (after + 1e-12)))


def _tell(
    results: list[LinkResult], live: RealTime, metrics: ChainMetrics, picture: Path | None
) -> None:
    say("A call, link by link; far end: how much less is left of the loudspeaker alone.")
    for result in results:
        judged = "" if result.plcmos is None else f"   PLCMOS {result.plcmos:.2f} of 5"
        say(f"  {result.title}")
        say(
            f"      {result.heard}   far end {result.far_end_db:5.1f} dB   "
            f"{result.latency_ms:5.1f} ms late{judged}"
        )
    lost = sum(link.lost_packets or 0 for link in metrics.links)
    sent = sum(link.packets or 0 for link in metrics.links)
    say(
        f"live, blocks of {1000 * _BLOCK_S:.0f} ms on one core: {live.late_blocks} of "
        f"{live.blocks} late, half under {live.p50_ms:.1f} ms, 99 of 100 under "
        f"{live.p99_ms:.1f} ms, {live.load:.0%} of the core"
    )
    for link in metrics.links:
        say(f"  {link.name:<10} {link.load or 0.0:6.1%} of the core")
    say(f"  {lost} of {sent} packets lost")
    if metrics.links[-1].name != _RESTORER:
        say("  no restoring model is installed, so the chain ends behind the codec")
    say(f"look: {picture or NO_PICTURE}")
