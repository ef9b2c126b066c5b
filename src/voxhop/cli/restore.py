"""``voxhop restore``: fill in what a recording has lost."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING, Any, Final

from voxhop.cli.standard_streams import STANDARD, quiet_decoders, standard_files
from voxhop.cli.verb import (
    ProgressBar,
    add_session_options,
    new_verb,
    print_json,
    say,
    session_options,
)
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.files.restoration import RestoreReport
    from voxhop.files.restorers import Restorer

_PICTURE_S: Final = 60.0  # of a long recording, its start


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="restore",
        summary="fill in what a recording has lost: its upper band, its details, its phase",
        example=(
            "voxhop restore phone.wav -o wide.wav --task bwe\n"
            "  voxhop restore room.wav -o near.wav --task derev --steps 2 --plot near.png\n"
            "  voxhop restore phone.wav -o wide.wav --model mine.gguf --seed 7\n"
            "  voxhop restore --list"
        ),
    )
    parser.add_argument("source", nargs="?", help="recording, - for standard input")
    parser.add_argument(
        "-o", "--out", help="file to make; its suffix says the format; - for standard output"
    )
    parser.add_argument(
        "--format",
        default="wav",
        metavar="SUFFIX",
        help="with -o -: the format, as a suffix such as flac (default wav)",
    )
    parser.add_argument(
        "--task",
        metavar="TASK",
        help="bwe, derev, codec, enhance, phase or mel: takes the model installed for it",
    )
    parser.add_argument("--model", help="name or GGUF file (default: the first for the task)")
    parser.add_argument(
        "--list", action="store_true", help="list the tasks, and the models installed for each"
    )
    parser.add_argument("--subtype", help="encoding, such as PCM_24 (default: as the recording)")
    parser.add_argument(
        "--rate",
        type=int,
        metavar="HZ",
        help="of the output (default: the recording's; with bwe the model's if that is higher)",
    )
    parser.add_argument("--plot", metavar="FILE", help="picture before and after: .png .svg .pdf")
    group = parser.add_argument_group("model")
    group.add_argument(
        "--steps", type=int, metavar="N", help="calls of the network per hop; more cost more time"
    )
    group.add_argument("--solver", metavar="NAME", help="solver by its name; --list shows them")
    group.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the model's noise (default 0)"
    )
    group.add_argument(
        "--level",
        default="peak",
        choices=["peak", "follow", "off"],
        help="bring the model speech at its level by the peak of each channel (default), by "
        "following it as a stream does, or not at all",
    )
    add_session_options(parser, comfort_noise=False)


def run(args: argparse.Namespace) -> int:
    """Restore the file and say what was done, or list what there is."""
    if args.list:
        return _list(args)
    if args.source is None or args.out is None:
        raise ArgumentError("expected a recording and -o OUT, or --list")
    if args.plot and STANDARD in (args.source, args.out):
        raise ArgumentError("--plot: draws files; expected no - for the recording or the output")
    from voxhop import SessionOptions, plots, restore_file  # noqa: PLC0415 - not for the parser

    picture = plots.check_picture(args.plot) if args.plot else None
    suffix = "." + args.format.lower().removeprefix(".")
    with (
        standard_files((args.source,), args.out, suffix) as ((source,), out),
        quiet_decoders(),
        ProgressBar("restoring") as bar,
    ):
        report = restore_file(
            source,
            out,
            model=args.model,
            task=args.task,
            out_sample_rate=args.rate,
            level=args.level,
            solver=args.solver,
            steps=args.steps,
            seed=args.seed,
            subtype=args.subtype,
            progress=bar.update,
            options=SessionOptions(**session_options(args)),
        )
    notes = tuple(note.replace(source, _named(args.source)) for note in report.notes)
    told = dataclasses.replace(report, source=args.source, out=args.out, notes=notes)
    if picture is not None:
        plots.before_after(picture, _tracks(told), sample_rate=told.sample_rate, title=told.source)
    for note in notes:
        sys.stderr.write(f"voxhop restore: {note}\n")
    # Standard output may be sound: what is said goes beside it then.
    beside = sys.stderr if args.out == STANDARD else sys.stdout
    with contextlib.redirect_stdout(beside):
        if args.json:
            print_json(told)
        else:
            _tell(told, args.plot)
    return 0


def _named(source: str) -> str:
    return "standard input" if source == STANDARD else source


def _tell(report: RestoreReport, picture: str | None) -> None:
    plural = "s" if report.channels > 1 else ""
    calls = "call" if report.steps == 1 else "calls"
    say(
        f"{report.out}: {report.seconds:.1f} s, {report.channels} channel{plural}, "
        f"{report.sample_rate} Hz, {report.format} {report.subtype}, "
        f"made at {report.speed:.1f} times real time"
    )
    say(
        f"{report.task}: {report.model}, solver {report.solver} ({report.steps} {calls} per hop), "
        f"seed {report.seed}"
    )
    say(f"level: {report.level_in_dbfs:.1f} dBFS in, {report.level_out_dbfs:.1f} dBFS out")
    if report.clipped_samples:
        say(f"{report.clipped_samples} samples were beyond full scale and were cut to it")
    if picture is not None:
        say(f"{picture}: before and after")


def _tracks(report: RestoreReport) -> dict[str, Any]:
    """Return the first channels before and after, at the rate of the output."""
    from voxhop.io import AudioReader  # noqa: PLC0415
    from voxhop.media.sources import at_rate  # noqa: PLC0415 - the parser needs none of it

    tracks = {}
    for name, path in (("before", report.source), ("after", report.out)):
        with AudioReader(path) as reader:
            frames = round(_PICTURE_S * report.sample_rate)
            tracks[name] = at_rate(reader, report.sample_rate).read(frames)[:, 0]
    return tracks


def _list(args: argparse.Namespace) -> int:
    from voxhop.files.restorers import TASKS, installed  # noqa: PLC0415 - the parser needs none of it

    models = installed()
    if args.json:
        print_json({"tasks": TASKS, "models": models})
        return 0
    for task in TASKS:
        say(f"{task.name:8} {task.summary}")
        for model in models:
            if model.task == task.name:
                say(f"{'':8} {_listed(model)}")
    if not models:
        say("no restoring model is installed: name a file with --model")
    return 0


def _listed(model: Restorer) -> str:
    solvers = ", ".join(f"{name} ({count})" for name, count in model.solvers.items())
    return (
        f"{model.name}: {model.sample_rate} Hz, {model.parameter_count:,} parameters; "
        f"solvers (calls per hop): {solvers}"
    )
