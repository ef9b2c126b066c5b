"""The loop as a process: killed, resumed, and spread over two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.training.config import load_config
from voxhop.training.run.loop import BEST, LAST, LOG, Trainer, learning_rate, train
from voxhop.training.run.start import initial_model, read_weights
from voxhop.training.state import Average, append_log, read_log, trim_log, write_atomically

RUN = "import sys; from voxhop.training.run.loop import main; main(sys.argv[1])"

# Also writes which threads the process has before and after.
COUNTED = """
import os
import sys
from pathlib import Path
from voxhop.training.run import launch
from voxhop.training.run.loop import main

def threads():
    return sorted(p.read_text() for p in Path("/proc/self/task").glob("*/comm"))

def ended(group=None, destroy=launch.distributed.destroy_process_group):
    during.extend(threads())
    destroy(group)

during = []
launch.distributed.destroy_process_group = ended
main(sys.argv[1])
rank = os.environ["RANK"]
Path(sys.argv[2], rank).write_text("".join(during) + "then\\n" + "".join(threads()))
"""


def write(folder: Path, tiny: str, **top: object) -> Path:
    lines = [f"{k} = {v!r}".replace("'", '"') for k, v in top.items()]
    path = folder / "run.toml"
    path.write_text("\n".join([f'output = "{folder / "out"}"', *lines, tiny]))
    return path


def start(*command: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *command], env=environment)


def finished(path: Path) -> dict:
    return torch.load(path / "out" / LAST, weights_only=True)


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path: Path, tiny_toml: str) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    budget = {"minutes": 0.0, "audio_seconds": 160.0}
    train(load_config(write(whole, tiny_toml, **budget)))
    config = write(broken, tiny_toml, checkpoint_minutes=0.0, **budget)
    steps = []
    for _ in range(3):
        process = start("-c", RUN, str(config))
        before = steps[-1] if steps else 0
        while process.poll() is None:
            time.sleep(0.05)
            last = broken / "out" / LAST
            if last.exists() and finished(broken)["progress"]["step"] >= before + 8:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        steps.append(finished(broken)["progress"]["step"])
    assert 0 < steps[0] < steps[1] < 80, "the kills must fall into the run"
    train(load_config(config))
    one, two = finished(whole), finished(broken)
    assert one["progress"]["step"] == two["progress"]["step"] > steps[-1]
    for name, value in one["objective"].items():
        assert torch.equal(value, two["objective"][name]), name
    for name, value in one["average"].items():
        assert torch.equal(value, two["average"][name]), name
    logged = [line["step"] for line in read_log(broken / "out" / LOG) if line["kind"] == "train"]
    assert logged == sorted(set(logged)), "no step may be logged twice"


def test_a_finished_run_that_is_given_more_is_validated_at_its_new_end(
    tmp_path: Path, tiny_toml: str
) -> None:
    for seconds in (8.0, 16.0):
        train(load_config(write(tmp_path, tiny_toml, minutes=0.0, audio_seconds=seconds)))
    log = read_log(tmp_path / "out" / LOG)
    last = max(r["audio_seconds"] for r in log if r["kind"] == "valid")
    assert last == finished(tmp_path)["progress"]["audio_seconds"] >= 16.0


@pytest.mark.slow
def test_sigterm_saves_before_leaving(tmp_path: Path, tiny_toml: str) -> None:
    config = write(tmp_path, tiny_toml, minutes=10.0)
    process = start("-c", RUN, str(config))
    log = tmp_path / "out" / LOG
    while not (log.exists() and any(r["kind"] == "train" for r in read_log(log))):
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    assert process.wait(timeout=60) == 0
    assert finished(tmp_path)["progress"]["step"] >= 1


def test_a_line_cut_by_a_kill_is_dropped_and_written_again(tmp_path: Path) -> None:
    log = tmp_path / LOG
    append_log(log, {"kind": "train", "step": 25, "loss": float("nan")})
    append_log(log, {"kind": "train", "step": 50})
    log.write_text(log.read_text() + '{"kind": "start", "config": {"a": 1}')
    assert [line["step"] for line in read_log(log)] == [25, 50]
    trim_log(log, 25)
    assert read_log(log) == [{"kind": "train", "step": 25, "loss": None}]


@pytest.mark.slow
def test_two_processes_average_their_gradients(tmp_path: Path, tiny_toml: str) -> None:
    text = tiny_toml.replace("clips = 2", "clips = 4")
    config_path = write(tmp_path, text, minutes=0.0, audio_seconds=3.0)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command = [*launcher, "-m", "voxhop", "train", str(config_path)]
    assert start(*command).wait(timeout=300) == 0
    assert (tmp_path / "out" / "voxhop-localvqe.gguf").exists()

    # One optimiser step by hand: the mean of the gradients of both processes' clips.
    config = load_config(write(tmp_path, text, minutes=0.0, audio_seconds=3.0))
    got = finished(tmp_path)
    assert got["progress"]["step"] == 1
    (tmp_path / "out" / LAST).unlink()
    trainers = [Trainer(config, rank=0, world=1) for _ in range(2)]
    for rank, trainer in enumerate(trainers):
        trainer.rank, trainer.world = rank, 2
        trainer.objective(trainer.draw_clips(0, config.phases[0]), 2.0)["loss"].backward()
    first = trainers[0]
    for p, q in zip(first.objective.parameters(), trainers[1].objective.parameters(), strict=True):
        p.grad = (p.grad + q.grad) / 2
    torch.nn.utils.clip_grad_norm_(first.objective.parameters(), config.optimizer.clip_norm)
    for group in first.optimizer.param_groups:
        group["lr"] = learning_rate(config, 0, 0.0)
    first.optimizer.step()
    for name, value in first.objective.named_parameters():
        # AdamW's first step is the sign of the gradient: only where it is nearly zero
        # may the order of additions turn it round.
        close = torch.isclose(got["objective"][name], value.detach(), atol=1e-7)
        assert close.float().mean() > 0.97, name


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="lists threads as Linux does")
def test_no_thread_of_the_process_group_is_left(tmp_path: Path, tiny_toml: str) -> None:
    config = write(tmp_path, tiny_toml, minutes=0.0, audio_seconds=3.0)
    script = tmp_path / "counted.py"
    script.write_text(COUNTED)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    assert start(*launcher, str(script), str(config), str(tmp_path)).wait(timeout=300) == 0
    for rank in ("0", "1"):
        during, after = (tmp_path / rank).read_text().split("then\n")
        assert "gloo" in during
        assert "gloo" not in after


def test_best_weights_can_start_another_run(tmp_path: Path, tiny_toml: str) -> None:
    config = load_config(write(tmp_path, tiny_toml, minutes=0.0, audio_seconds=4.0))
    best = train(config)
    assert best == tmp_path / "out" / BEST
    again = tmp_path / "again"
    again.mkdir()
    skip = ["dec1."]
    path = write(again, tiny_toml, initial=str(best), initial_skip=skip, audio_seconds=1.0)
    model = initial_model(load_config(path)).state_dict()
    source = read_weights(best)
    for name, value in source.items():
        if name.startswith("dec1.") and name.endswith("conv.weight"):
            assert not torch.equal(model[name], value)
        elif not name.startswith("dec1."):
            assert torch.equal(model[name], value), name


def test_rate_warms_up_holds_and_runs_down(tmp_path: Path, tiny_toml: str) -> None:
    config = load_config(write(tmp_path, tiny_toml))
    peak = config.optimizer.rate
    assert learning_rate(config, 0, 0.0) == pytest.approx(peak / 100)
    assert learning_rate(config, 500, 0.5) == peak
    assert learning_rate(config, 500, 1 - 0.35 / 2) == pytest.approx(peak / 2)
    assert learning_rate(config, 500, 1.0) == pytest.approx(peak / 100)


def test_average_swaps_there_and_back() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 3)
    start_weight = layer.weight.detach().clone()
    average = Average(layer, 0.9)
    with torch.no_grad():
        layer.weight.add_(1.0)
    average.update(layer)  # decay ramps from 0.1
    average.swap(layer)
    assert torch.allclose(layer.weight, start_weight + 0.9)
    average.swap(layer)
    assert torch.equal(layer.weight, start_weight + 1.0)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
