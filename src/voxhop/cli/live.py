"""``voxhop live``: clean a microphone while it is heard."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from voxhop.cli.verb import (
    add_model_options,
    add_session_options,
    add_stream_settings,
    new_verb,
    print_json,
    say,
    session_options,
    stream_settings,
)

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.live import LiveState

_CELLS = 12
_FLOOR_DBFS = -60.0


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="live",
        summary="clean a microphone while it is heard, and say whether echo is gone",
        example=(
            "voxhop live --list\n"
            "  voxhop live --mic headset --ref monitor --record call --seconds 20\n"
            "  voxhop live --out speaker"
        ),
    )
    parser.add_argument("--list", action="store_true", help="list the devices, and nothing else")
    parser.add_argument("--mic", metavar="NAME", help="microphone (default: the system's)")
    parser.add_argument(
        "--ref", metavar="NAME", help="input that gives what the loudspeaker plays: its monitor"
    )
    parser.add_argument("--out", metavar="NAME", help="play the clean sound there")
    parser.add_argument(
        "--record", metavar="FOLDER", help="write mic.wav, ref.wav and clean.wav into it"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="how long (default: to Ctrl-C)")
    parser.add_argument(
        "--rate", type=int, default=48000, metavar="HZ", help="of the devices (default 48000)"
    )
    parser.add_argument(
        "--latency-ms",
        type=float,
        metavar="MS",
        help="of the devices' buffers (default: as little as they offer)",
    )
    add_stream_settings(parser)
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")
    add_model_options(parser)
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """List devices, or run and judge; exit code 1 when something is wrong with the sound."""
    from voxhop import SessionOptions, live  # noqa: PLC0415 - the parser needs none of it

    if args.list:
        return _list(live.sounddevice_module(), as_json=args.json)
    shown = sys.stderr.isatty()
    state = live.run_live(
        mic=args.mic,
        ref=args.ref,
        out=args.out,
        sample_rate=args.rate,
        seconds=args.seconds,
        latency_ms=args.latency_ms,
        record=args.record,
        model=args.model,
        watch=_draw if shown else None,
        options=SessionOptions(**session_options(args)),
        **stream_settings(args),
    )
    if shown:
        sys.stderr.write("\r\x1b[K")
    well, verdict = live.judge(state, has_ref=args.ref is not None)
    if args.json:
        print_json({**vars(state), "well": well, "verdict": verdict})
    else:
        say(f"{state.seconds:.1f} s, {state.latency_ms:.0f} ms behind, {state.dropped} dropouts")
        say(verdict)
    return 0 if well else 1


def _list(sd: Any, *, as_json: bool) -> int:  # noqa: ANN401 - the module
    devices = [
        {
            "number": i,
            "name": device["name"],
            "inputs": device["max_input_channels"],
            "outputs": device["max_output_channels"],
            "rate": device["default_samplerate"],
        }
        for i, device in enumerate(sd.query_devices())
    ]
    if as_json:
        print_json({"devices": devices})
    else:
        for d in devices:
            say(f"{d['number']:3} {d['inputs']:3} in {d['outputs']:3} out  {d['name']}")
        if not devices:
            say("no sound devices")
    return 0


def _draw(state: LiveState) -> None:
    m = state.metrics
    delay = "delay ?" if m.delay_ms is None else f"delay {m.delay_ms:.0f} ms"
    erle = "" if m.erle_db is None else f" ERLE {m.erle_db:.0f} dB"
    bars = f"mic {_bar(m.mic_dbfs)} ref {_bar(m.ref_dbfs)} out {_bar(m.out_dbfs)}"
    sys.stderr.write(f"\r\x1b[K{bars} {delay}{erle} latency {state.latency_ms:.0f} ms")
    sys.stderr.flush()


def _bar(dbfs: float) -> str:
    share = 0.0 if not math.isfinite(dbfs) else 1.0 - max(_FLOOR_DBFS, min(0.0, dbfs)) / _FLOOR_DBFS
    cells = round(share * _CELLS)
    return "[" + "#" * cells + "." * (_CELLS - cells) + "]"
