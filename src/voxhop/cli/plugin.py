"""``voxhop plugin``: the plug-ins for Linux desktops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxhop.cli.verb import new_verb, print_json, say

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="plugin",
        summary="install the LADSPA plug-in and the echo canceller of PipeWire",
        example="voxhop plugin install\n  voxhop plugin status",
    )
    parser.add_argument("action", choices=["install", "uninstall", "status"])
    parser.add_argument(
        "--prefix", metavar="FOLDER", help="install below it (default: in the user's own folders)"
    )
    parser.add_argument("--model", help="install: name or GGUF file (default: the bundled one)")


def run(args: argparse.Namespace) -> int:
    """Install, remove or list the files; status exits with 1 when some are missing."""
    from voxhop import plugins  # noqa: PLC0415 - the parser needs none of it

    places = plugins.plugin_places(args.prefix)
    if args.action == "install":
        files = plugins.install_plugins(places, args.model)
        state = dict.fromkeys(files, "installed")
    elif args.action == "uninstall":
        state = dict.fromkeys(plugins.uninstall_plugins(places), "removed")
    else:
        state = {file: "there" if file.is_file() else "missing" for file in places.files}
    if args.json:
        print_json({str(file): word for file, word in state.items()})
    else:
        for file, word in state.items():
            say(f"{word}: {file}")
        _advise(args.action, changed=bool(state))
    return 1 if "missing" in state.values() else 0


def _advise(action: str, *, changed: bool) -> None:
    if action == "install":
        say("to use them now: systemctl --user restart pipewire wireplumber")
    elif action == "uninstall":
        say("PipeWire lets go of them when it is restarted" if changed else "nothing was installed")
