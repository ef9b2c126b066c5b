"""``voxhop models``: list, download, check and locate the published model files."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from voxhop import registry
from voxhop.cli.verb import ProgressBar, new_verb, print_json, say

if TYPE_CHECKING:
    from voxhop.cli.verb import Subparsers

_EXAMPLE: Final = (
    "voxhop models get localvqe-v1.2 && voxhop enhance mic.wav --model localvqe-v1.2 -o clean.wav"
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb and its four actions."""
    parser = new_verb(
        subparsers,
        run,
        name="models",
        summary="list, download, check and locate the published model files",
        example=_EXAMPLE,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _add_action(actions, "list", "published models, and which of them are here")
    get = _add_action(actions, "get", "download models that are not here yet")
    get.add_argument("names", nargs="+", metavar="NAME")
    get.add_argument(
        "--offline", action="store_true", default=None, help="fail rather than touch the network"
    )
    get.add_argument("--mirror", metavar="URL", help=f"address that stands in for {registry.HUB}")
    get.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="longest silence; 30 s"
    )
    verify = _add_action(actions, "verify", "hash downloaded models; all of them when none named")
    verify.add_argument("names", nargs="*", metavar="NAME")
    path = _add_action(
        actions, "path", "print where a model of the package or a downloaded one lies"
    )
    path.add_argument("names", nargs=1, metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Do the action; what fails raises."""
    return {"list": _list, "get": _get, "verify": _verify, "path": _path}[args.action](args)


def _add_action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse's private type
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary)
    # SUPPRESS keeps the action from overwriting a --json that stood before it.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON object on stdout",
    )
    return parser


def _list(args: argparse.Namespace) -> int:
    from voxhop.models import bundled_models  # noqa: PLC0415 - loads numpy and cffi

    rows = [_row(model) for model in registry.PUBLISHED]
    bundled = [_bundled_row(name) for name in bundled_models()]
    if args.json:
        print_json({"folder": registry.cache_dir(), "bundled": bundled, "models": rows})
        return 0
    width = max(len(row["name"]) for row in (*bundled, *rows))
    for row in bundled:
        cost = f"{row['macs_per_hop'] / 1e6:.1f} M multiply-accumulates per hop"
        say(
            f"{row['name']:{width}}  {_size_text(row['size_bytes']):>8}  here  "
            f"in the package; {cost}; {row['licence']}"
        )
    for row in rows:
        here = "here" if row["path"] else "-"
        foreign = "" if row["loads"] else " (another kind of network, not run here)"
        size = _size_text(row["size_bytes"])
        say(f"{row['name']:{width}}  {size:>8}  {here:4}  {row['summary']}{foreign}")
    say(f"\nfolder: {registry.cache_dir()}; licence of the files: {registry.LICENCE}")
    return 0


def _size_text(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "?"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"  # noqa: PLR2004


def _bundled_row(name: str) -> dict[str, Any]:
    from voxhop.models import find_model, load  # noqa: PLC0415 - loads numpy and cffi

    path = find_model(name)
    with load(path) as model:
        return {
            "name": name,
            "path": str(path),
            "size_bytes": path.stat().st_size,
            "licence": model.metadata.get("general.license", "?"),
            "parameters": model.info.parameter_count,
            "macs_per_hop": model.info.macs_per_hop,
        }


def _row(model: registry.PublishedModel) -> dict[str, Any]:
    path = registry.cache_dir() / model.file
    return {
        "name": model.name,
        "file": model.file,
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
        "revision": registry.REVISION,
        "licence": registry.LICENCE,
        "summary": model.summary,
        "loads": model.loads,
        "path": str(path) if path.is_file() else None,
    }


def _get(args: argparse.Namespace) -> int:
    models = [registry.find(name) for name in args.names]  # all names before the first byte
    paths = []
    for model in models:
        with ProgressBar(model.name) as bar:
            paths.append(
                registry.fetch(
                    model.name,
                    offline=args.offline,
                    mirror=args.mirror,
                    progress=bar.update,
                    timeout_s=args.timeout,
                )
            )
        if not model.loads:
            sys.stderr.write(
                f"{model.name}: another kind of network: this engine does not run it\n"
            )
    return _report(args, "downloaded", paths)


def _verify(args: argparse.Namespace) -> int:
    names = args.names or [row["name"] for row in map(_row, registry.PUBLISHED) if row["path"]]
    if not names and not args.json:
        say(f"nothing downloaded in {registry.cache_dir()}")
        return 0
    return _report(args, "verified", [registry.verify(name) for name in names])


def _path(args: argparse.Namespace) -> int:
    from voxhop.models import bundled_models, find_model  # noqa: PLC0415 - loads numpy and cffi

    (name,) = args.names
    path = find_model(name) if name in bundled_models() else registry.model_path(name)
    if args.json:
        print_json({"path": path})
    else:
        say(str(path))
    return 0


def _report(args: argparse.Namespace, key: str, paths: list[Any]) -> int:
    if args.json:
        print_json({key: paths})
    else:
        for path in paths:
            say(f"{key}: {path}")
    return 0
