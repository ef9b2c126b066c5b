"""``voxhop batch``: clean many recordings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from voxhop.cli.enhance import add_alignment, add_taste, stream_settings
from voxhop.cli.standard_streams import STANDARD, quiet_decoders
from voxhop.cli.verb import (
    ProgressBar,
    add_model_options,
    add_session_options,
    new_verb,
    print_json,
    say,
    session_options,
)
from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

    from voxhop.batching import BatchReport
    from voxhop.cli.verb import Subparsers

_HOUR_S: Final = 3600.0
_SHOWN: Final = 20  # failures and doubts; all of them are in the manifest
_OWN: Final = ("pair", "suffix", "pass_through", "cross", "mic_channel", "ref_channel", "subtype")

_RESTORING: Final = ("steps", "solver", "seed", "level", "out_sample_rate")


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="batch",
        summary="clean a folder or a list of recordings; run it again to go on",
        example=(
            "voxhop batch calls/ -o clean/ --cross\n"
            "  voxhop batch meetings/ -o clean/ --pair _mic=_system --align\n"
            "  voxhop batch list.csv -o clean/ --format flac --pass-through\n"
            "  find calls -name '*.wav' -newer last | voxhop batch - -o clean/"
        ),
    )
    parser.add_argument(
        "source",
        metavar="FOLDER_OR_LIST",
        help="a folder, with all below it; or a file with one recording per line and, behind a "
        "comma or tab, its reference; - for such a list on standard input",
    )
    parser.add_argument(
        "--restart", action="store_true", help="do everything anew, also what is done"
    )
    parser.add_argument(
        "--ray",
        action="store_true",
        help="run on a Ray cluster: the one of RAY_ADDRESS, or a new one on this machine",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 also when a result is doubtful, or a recording ends before its header "
        "says",
    )
    add_recipe(parser)


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add what is done with each recording, and where the results go."""
    parser.add_argument("-o", "--out", required=True, help="folder for the results")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one per core)"
    )
    parser.add_argument(
        "--pair",
        metavar="MIC=REF",
        help="a recording with MIC in its name has the one with REF there as its reference",
    )
    parser.add_argument(
        "--pass-through",
        action="store_true",
        help="where the result is doubtful, keep the recording as it is",
    )
    parser.add_argument(
        "--format",
        dest="suffix",
        metavar="SUFFIX",
        help="format of the results, such as flac (default: as each recording)",
    )
    parser.add_argument("--subtype", help="encoding, such as PCM_24 (default: as each recording)")
    parser.add_argument(
        "--mic-channel", type=int, metavar="N", help="enhance this channel only; the first is 0"
    )
    parser.add_argument(
        "--ref-channel",
        type=int,
        metavar="N",
        help="the reference is this channel of it; without references, of each recording",
    )
    parser.add_argument(
        "--cross", action="store_true", help="calls, one party per channel: clean both sides"
    )
    parser.add_argument("--model", help="name or GGUF file (default: the bundled one)")
    add_model_options(parser)
    add_alignment(parser)
    add_taste(parser)
    _add_restoring(parser)
    add_session_options(parser)


def _add_restoring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("restoring models, as for voxhop restore")
    group.add_argument("--task", metavar="TASK", help="takes the model that is installed for it")
    group.add_argument("--steps", type=int, metavar="N", help="calls of the network per hop")
    group.add_argument("--solver", metavar="NAME", help="solver by its name")
    group.add_argument("--seed", type=int, metavar="S", help="of the model's noise")
    group.add_argument(
        "--level", choices=["peak", "follow", "off"], help="how the model gets speech at its level"
    )
    group.add_argument(
        "--rate", dest="out_sample_rate", type=int, metavar="HZ", help="of the results"
    )


def recipe_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_recipe` read, as keywords of `voxhop.batch`."""
    from voxhop import SessionOptions  # noqa: PLC0415 - the parser needs none of it

    own = {name: getattr(args, name) for name in _OWN}
    settings = stream_settings(args)
    for name in _RESTORING:
        if getattr(args, name) is not None:
            settings[name] = getattr(args, name)
    options = SessionOptions(**session_options(args))
    model = args.model
    if args.task is not None:
        if model is not None:
            raise ArgumentError("--task: finds the model itself; expected no --model with it")
        from voxhop.files.restorers import find_restorer  # noqa: PLC0415 - only where it is asked for

        model = find_restorer(args.task)
    return {**own, "model": model, "workers": args.workers, "options": options, **settings}


def run(args: argparse.Namespace) -> int:
    """Do what is not done yet, and say what came of it."""
    from voxhop import batch  # noqa: PLC0415 - the parser needs none of it

    source = sys.stdin if args.source == STANDARD else args.source
    try:
        with quiet_decoders(), ProgressBar("cleaning") as bar:  # Ray's core talks, too
            report = batch(
                source,
                args.out,
                restart=args.restart,
                ray=args.ray,
                progress=bar.update,
                **recipe_of(args),
            )
    except KeyboardInterrupt:
        sys.stderr.write("voxhop batch: the same command goes on from here\n")
        raise
    complain_batch(report)
    if args.json:
        print_json(report)
    else:
        tell_batch(report)
    doubtful = bool(report.flagged) or report.noted > 0
    return 1 if report.failed or (args.strict and doubtful) else 0


def tell_batch(report: BatchReport) -> None:
    """Say on stdout what was done."""
    before = f", {report.already_done} before" if report.already_done else ""
    say(
        f"{report.out}: {report.done} of {report.recordings} recordings done{before}, "
        f"{len(report.failed)} failed, {len(report.flagged)} doubtful"
    )
    if report.done:
        say(f"{_length(report.seconds)} of audio, at {report.speed:.1f} times real time")
    if report.passed_through:
        say(f"passed through as they are: {report.passed_through}")
    say(f"figures of each: {report.manifest}")


def _length(seconds: float) -> str:
    return f"{seconds:.1f} seconds" if seconds < _HOUR_S else f"{seconds / _HOUR_S:.1f} hours"


def complain_batch(report: BatchReport) -> None:
    """Name on stderr what people should look at, a screen full at most."""
    lines = [f"failed: {error}" for _, error in report.failed]
    lines += [f"doubtful: {name}: {', '.join(flags)}" for name, flags in report.flagged]
    if report.left_out:
        lines.append(
            f"left out: {len(report.left_out)} recordings that no pair has, such as "
            f"{report.left_out[0]}"
        )
    for line in lines[:_SHOWN]:
        sys.stderr.write(f"voxhop batch: {line}\n")
    if len(lines) > _SHOWN:
        sys.stderr.write(f"voxhop batch: and {len(lines) - _SHOWN} more; see the manifest\n")
