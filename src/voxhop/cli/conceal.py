"""``voxhop conceal``: fill what a recording lost on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voxhop.cli.losses import add_loss_arguments, read_losses
from voxhop.cli.verb import (
    ProgressBar,
    add_door,
    add_model_options,
    add_session_options,
    door_settings,
    new_verb,
    print_json,
    say,
    session_options,
    stream_model_options,
)
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop import EnhanceReport, LossTrace
    from voxhop.cli.verb import Subparsers

_PICTURE_S: Final = 30.0


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="conceal",
        summary="fill the packets that a recording lost",
        example=(
            "voxhop conceal call.wav --losses trace.txt --model seflow.gguf -o whole.wav\n"
            "  voxhop conceal mic.wav --simulate 10% --model seflow.gguf -o whole.wav "
            "--picture whole.png"
        ),
    )
    parser.add_argument("audio", help="recording, any format")
    parser.add_argument("-o", "--out", required=True, help="file to make; its suffix says how")
    add_loss_arguments(parser, required=True)
    parser.add_argument("--write-losses", metavar="FILE", help="write which packets were lost")
    parser.add_argument(
        "--picture",
        metavar="FILE",
        help="draw the first half minute with and without, losses marked: .png, .svg or .pdf",
    )
    parser.add_argument("--subtype", help="encoding, such as PCM_24 (default: as the recording)")
    parser.add_argument("--model", help="name or GGUF file (default: one inside the package)")
    add_model_options(parser)
    add_door(parser)
    add_session_options(parser)


def run(args: argparse.Namespace) -> int:
    """Fill the gaps and say how much was lost."""
    from voxhop import SessionOptions, conceal_file  # noqa: PLC0415 - the parser needs none of it

    if args.picture is not None:
        from voxhop import plots  # noqa: PLC0415 - only for a picture

        plots.check_picture(args.picture)
    losses = _losses(args)
    settings = stream_model_options(args) | door_settings(args)
    with ProgressBar("concealing") as bar:
        report = conceal_file(
            args.audio,
            args.out,
            losses=losses,
            model=args.model,
            subtype=args.subtype,
            progress=bar.update,
            options=SessionOptions(**session_options(args)),
            **settings,
        )
    if args.write_losses is not None:
        losses.write(args.write_losses)
    if args.picture is not None:
        _draw(args, losses)
    if args.json:
        print_json(report)
    else:
        _tell(report)
    return 0


def _losses(args: argparse.Namespace) -> LossTrace:
    from voxhop.io import AudioReader  # noqa: PLC0415 - the parser needs none of it

    seconds = 0.0  # a trace in a file has its own length
    if args.simulate is not None:
        with AudioReader(args.audio) as reader:
            seconds = reader.seconds
    losses = read_losses(args, seconds)
    if losses is None:
        raise ArgumentError("--losses, --simulate: expected one of them")
    return losses


def _draw(args: argparse.Namespace, losses: LossTrace) -> None:
    """Draw what came in and what came out, of the first channel."""
    import numpy as np  # noqa: PLC0415 - the parser needs none of it

    from voxhop import plots  # noqa: PLC0415 - the same
    from voxhop.io import AudioReader  # noqa: PLC0415 - the same
    from voxhop.stream.losses import received  # noqa: PLC0415 - the same

    tracks = []
    for path in (args.audio, args.out):
        with AudioReader(path) as reader:
            rate = reader.rate
            tracks.append(np.ascontiguousarray(reader.read(round(_PICTURE_S * rate))[:, 0]))
    arrived = received(tracks[0], losses.runs(rate, 0, len(tracks[0])))
    seconds = len(arrived) / rate
    plots.before_after(
        args.picture,
        {"received": arrived, "concealed": tracks[1]},
        sample_rate=rate,
        lost=[span for span in losses.spans() if span[0] < seconds],
    )


def _tell(report: EnhanceReport) -> None:
    side = report.sides[0]
    share = side.lost_frames / max(1, side.frames)
    plural = "s" if report.channels > 1 else ""
    say(
        f"{report.out}: {report.seconds:.1f} s, {report.channels} channel{plural}, "
        f"{report.sample_rate} Hz, {report.format} {report.subtype}, "
        f"made at {report.speed:.1f} times real time"
    )
    say(f"lost: {100 * share:.1f} % in {side.lost_bursts} bursts")
