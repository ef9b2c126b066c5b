"""``voxhop info``: what a model file or a coded file is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxhop.cli.verb import new_verb, print_json, say

if TYPE_CHECKING:
    import argparse

    from voxhop.cli.verb import Subparsers
    from voxhop.codec import Container
    from voxhop.engine.ports import PortInfo
    from voxhop.models import Model

_LONGEST_VALUE = 72


def add_parser(subparsers: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = new_verb(
        subparsers,
        run,
        name="info",
        summary="show what a model is: figures, metadata and tensors; or a coded file",
        example="voxhop info --tensors",
    )
    parser.add_argument(
        "model", nargs="?", help="name, GGUF or coded file (default: the bundled one)"
    )
    parser.add_argument("--tensors", action="store_true", help="list the tensors too")


def run(args: argparse.Namespace) -> int:
    """Load the model and describe it."""
    from voxhop import DEFAULT_MODEL, load  # noqa: PLC0415 - the parser needs none of it
    from voxhop.codec import is_coded, read_container  # noqa: PLC0415 - the same

    if args.model and is_coded(args.model):
        _tell_coded(args.model, read_container(args.model, damaged=True), as_json=args.json)
        return 0
    with load(args.model or DEFAULT_MODEL) as model:
        if args.json:
            value = {
                "source": model.source,
                "info": model.info,
                "inputs": model.inputs,
                "outputs": model.outputs,
                "options": model.options,
                "metadata": model.metadata,
            }
            print_json(value | ({"tensors": model.tensors} if args.tensors else {}))
        else:
            _tell(model, tensors=args.tensors)
    return 0


def _tell(model: Model, *, tensors: bool) -> None:
    info = model.info
    kind = f"{info.purpose}, {info.architecture} version {info.version}"
    say(f"{info.name or model.source}: {kind}")
    say(f"  file        {model.source}")
    say(f"  audio       {info.sample_rate} Hz, hops of {info.hop_samples} samples")
    say(f"  takes       {_ports(model.inputs)}")
    say(f"  gives       {_ports(model.outputs)}")
    hop_ms = 1000.0 * info.hop_samples / info.sample_rate
    lag_ms = 1000.0 * info.latency_samples / info.sample_rate
    say(f"  latency     {hop_ms:g} ms to gather a hop and {lag_ms:g} ms of window")
    if info.d_max:
        say(f"  echo delay  up to {info.window_ms:g} ms ({info.d_max} hops)")
    size = Path(model.source).stat().st_size
    say(f"  size        {info.parameter_count:,} parameters, {size:,} bytes in the file")
    say(f"  cost        {info.macs_per_hop:,} multiply-accumulates per hop")
    say(f"  precision   {info.precision} in streams and recordings that say none")
    if model.options:
        say("options of a session")
    for option in model.options:
        values = ", ".join(option.choices) or f"{option.lowest} to {option.highest}"
        running = "; may change while running" if option.while_running else ""
        say(f"  {option.name} = {option.default}  {option.help} ({values}{running})")
    say("metadata")
    for key, value in model.metadata.items():
        line = " ".join(value.split())
        short = line if len(line) <= _LONGEST_VALUE else line[: _LONGEST_VALUE - 3] + "..."
        say(f"  {key} = {short}")
    if tensors:
        say("tensors")
        for tensor in model.tensors:
            say(f"  {tensor.name} {tensor.type} {tensor.shape}")


def _ports(ports: tuple[PortInfo, ...]) -> str:
    return ", ".join(
        f"{port.name}: {port.count} {port.type} a hop{' (optional)' if port.optional else ''}"
        for port in ports
    )


def _tell_coded(path: str, container: Container, *, as_json: bool) -> None:
    modes = {kbps: int((container.modes() == kbps).sum()) for kbps in (1, 6)}
    if as_json:
        names = ("version", "sample_rate", "samples", "seconds", "frames", "kbps", "enhanced")
        value = {name: getattr(container, name) for name in (*names, "payload_bytes", "problem")}
        print_json({"source": path, **value, "frames_by_kbps": modes})
        return
    say(f"{path}: coded speech, version {container.version}")
    say(f"  original    {container.samples:,} samples at {container.sample_rate} Hz")
    say(f"  length      {container.seconds:.3f} s")
    frames = ", ".join(f"{count:,} of {kbps} kbit/s" for kbps, count in modes.items() if count)
    say(f"  frames      {frames or 'none'}, in {container.payload_bytes:,} bytes")
    if container.enhanced:
        say("  enhanced    noise and reverberation were taken away")
    say(f"  state       {container.problem or 'whole'}")
