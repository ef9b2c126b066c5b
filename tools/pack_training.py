#!/usr/bin/env python3
"""Pack a training run into one folder, for a machine far away with a GPU and no network.

    tools/pack_training.py configs/localvqe-canceller.toml data FOLDER --minutes 10
    (there)  bash FOLDER/run.sh BACK

FOLDER gets the sources, the configuration, the weights to start from, the part of the corpus that
fits (tools/subset_corpus.py) and packages that the machine may lack, --megabytes in all. There
`run.sh` trains from it alone with any python3 that has PyTorch, SciPy and matplotlib; the log,
the curves, the model files and the checkpoint come back in BACK, in parts of at most --part
megabytes (`cat NAME.part-* > NAME`). Progress counts from zero there; `initial` of the next run
is the f32 model.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from voxhop.training.config import load_config, to_toml
from voxhop.training.sounds.bank import DataConfig

ROOT = Path(__file__).parents[1]
PACKAGES = ("cffi", "gguf", "pycparser", "pyroomacoustics", "soundfile", "soxr")
PLATFORMS = [f"manylinux{v}_x86_64" for v in ("_2_28", "_2_27", "_2_24", "_2_17", "2014", "1")]
LEAST_CORPUS = 2.0  # MB
RUN = """\
#!/usr/bin/env bash
# Trains here and brings everything back to the folder that is named: bash run.sh BACK
set -euo pipefail
back=$(realpath -m "${{1:?usage: bash run.sh BACK}}")
cd "$(dirname "$0")"
python=${{PYTHON:-python3}}
if [ -d wheels ]; then
  "$python" -m pip install -q --no-index --no-deps --upgrade --target site wheels/*.whl
fi
export PYTHONPATH=$PWD/src:$PWD/site PYTHONUNBUFFERED=1
mkdir -p "$back"
"$python" -m voxhop train config.toml --device "${{DEVICE:-auto}}" 2>&1 | tee "$back/train.log"
for file in run/*.gguf run/log.jsonl run/curves.png run/last.pt; do
  [ -f "$file" ] || continue
  if [ "$(stat -c %s "$file")" -gt {part} ]; then
    split -b {part} -d "$file" "$back/$(basename "$file").part-"
  else
    cp "$file" "$back/"
  fi
done
"""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--initial", type=Path, help="weights, instead of the configuration's")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training there [10]")
    parser.add_argument("--clips", type=float, default=1.0, help="times as many in a batch [1]")
    parser.add_argument("--rate", type=float, help="of learning, instead of the configuration's")
    parser.add_argument("--megabytes", type=float, default=60.0, help="of the whole folder [60]")
    parser.add_argument(
        "--part", type=float, default=15.0, help="MB of a file that comes back [15]"
    )
    parser.add_argument("--python", help="version there, as 3.12: packs wheels for it (x86-64)")
    args = parser.parse_args()
    if args.output.exists():
        parser.error(f"{args.output}: exists, expected a new folder")
    for name in ("minutes", "clips", "rate", "megabytes", "part"):
        value = getattr(args, name)
        if value is not None and value <= 0:
            parser.error(f"--{name}: {value:g}, expected more than 0")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.output.parent) as partial:
        folder = Path(partial) / "training"
        folder.mkdir()
        try:
            pack(folder, args)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        except subprocess.CalledProcessError as error:
            parser.error(f"{' '.join(map(str, error.cmd[:4]))} ...: exit {error.returncode}")
        folder.rename(args.output)
    size = size_mb(args.output)
    print(f"{args.output}: {size:.1f} MB; there: bash {args.output.name}/run.sh BACK")


def pack(folder: Path, args: argparse.Namespace) -> None:
    """Fill a folder."""
    config = load_config(args.config)
    initial = args.initial or (config.initial and found(Path(config.initial)))
    if initial:
        initial = Path(shutil.copy(initial, folder / f"initial{initial.suffix}"))
    config = replace(
        config,
        output="run",
        initial=initial.name if initial else "",
        minutes=args.minutes,
        audio_seconds=0.0,
        data=DataConfig(folder="data", workers=config.data.workers),
        optimizer=replace(config.optimizer, rate=args.rate or config.optimizer.rate),
        phases=tuple(
            replace(phase, clips=max(1, round(phase.clips * args.clips))) for phase in config.phases
        ),
    )
    (folder / "config.toml").write_text(to_toml(config), encoding="utf-8")
    left = shutil.ignore_patterns("weights", "__pycache__", "demo", "*.so")
    shutil.copytree(ROOT / "src" / "voxhop", folder / "src" / "voxhop", ignore=left)
    if args.python:
        platforms = [word for name in PLATFORMS for word in ("--platform", name)]
        subprocess.run(  # noqa: S603 - pip of this Python
            [
                sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
                "--python-version", args.python, *platforms, "-d", folder / "wheels", *PACKAGES,
            ],
            check=True,
        )  # fmt: skip
    run = RUN.format(part=round(args.part * 1e6))
    (folder / "run.sh").write_text(run, encoding="utf-8")
    room = args.megabytes - size_mb(folder)
    if room < LEAST_CORPUS:
        raise ValueError(
            f"--megabytes: {args.megabytes:g}, of which everything but the corpus takes "
            f"{args.megabytes - room:.1f}; expected {LEAST_CORPUS:g} more"
        )
    subset = [sys.executable, ROOT / "tools" / "subset_corpus.py", args.corpus, folder / "data"]
    subprocess.run([*subset, "--megabytes", f"{room:.3f}"], check=True)  # noqa: S603 - our own tool


def found(path: Path) -> Path:
    """Return where a configuration's weights lie, which may be told from the checkout."""
    return path if path.exists() else ROOT / path


def size_mb(folder: Path) -> float:
    """Return what the files of a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
