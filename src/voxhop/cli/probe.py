"""``voxhop probe``: where the echo is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voxhop.cli.tracks import add_track_arguments, read_tracks
from voxhop.cli.verb import new_verb, print_json, say
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.stream.alignment import DelayEstimate

_DRIFT_PPM: Final = 3.0
_CLEAR: Final = 0.5


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="probe",
        summary="find delay and drift of the echo between two recordings (exit code 1: none found)",
        example="voxhop probe mic.wav --ref speaker.wav",
    )
    add_track_arguments(parser)
    parser.add_argument(
        "--range-ms", type=float, default=2000.0, metavar="MS", help="longest delay (default 2000)"
    )
    parser.add_argument(
        "--advance-ms",
        type=float,
        default=500.0,
        metavar="MS",
        help="how far the echo may come early (default 500)",
    )
    parser.add_argument(
        "--window-ms",
        type=float,
        default=512.0,
        metavar="MS",
        help="the model's window (default 512)",
    )


def run(args: argparse.Namespace) -> int:
    """Probe the pair and say what it means."""
    from voxhop.stream.alignment import probe_delay  # noqa: PLC0415 - the parser needs none of it

    mic, ref, rate = read_tracks(args)
    if ref is None:
        raise ArgumentError(
            "no reference: expected --ref FILE, or --ref-channel N of the recording"
        )
    found = probe_delay(
        mic,
        ref,
        rate,
        range_ms=args.range_ms,
        advance_ms=args.advance_ms,
        window_ms=args.window_ms,
    )
    if args.json:
        fields = {name: value for name, value in vars(found).items() if name != "track"}
        print_json(fields)
    else:
        _tell(found, args.window_ms)
    return 0 if found.found else 1


def _tell(found: DelayEstimate, window_ms: float) -> None:
    if not found.found or found.delay_ms is None:
        say("no echo of the reference found in the microphone")
        say("with a loudspeaker on, check that the reference is what it plays, and its level")
        return
    say(f"delay: {found.delay_ms:.2f} ms (confidence {found.confidence:.2f})")
    if found.confidence < _CLEAR:
        say("the confidence is low: a longer stretch, or less noise, would make sure")
    if found.drift_ppm is None:
        say("drift: the recording is too short to tell (about 8 s of speech)")
    else:
        say(f"drift: {found.drift_ppm:+.1f} ppm")
        if abs(found.drift_ppm) >= _DRIFT_PPM:
            say(f"the two clocks differ: the delay began at {found.start_delay_ms:.2f} ms")
    if found.jumps:
        say(f"the delay jumped {found.jumps} time{'s' if found.jumps > 1 else ''}")
    if found.delay_ms < 0:
        wait = -found.delay_ms + 20.0
        say("the reference comes after its echo: start its recording earlier, or use")
        say(f"--align --lookahead-ms {wait:.0f} (a stream's lookahead_ms={wait:.0f})")
    elif found.in_window:
        say(f"inside the model's window of {window_ms:.0f} ms: nothing to set")
    else:
        fixed = max(0.0, found.delay_ms - 32)
        say(f"outside the model's window of {window_ms:.0f} ms: use --align (delay_ms='auto')")
        say(f"or --delay-ms {fixed:.0f} (delay_ms={fixed:.0f})")
