"""Training behind the canceller: where it starts, what clips begin with, and that it learns."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.errors import ArgumentError, EngineError
from voxhop.export import write_gguf
from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.reference.canceller import Canceller
from voxhop.reference.filterbank import Analysis, stft_basis
from voxhop.training.config import load_config
from voxhop.training.draw import Draw
from voxhop.training.run.loop import LAST, LOG, train
from voxhop.training.run.start import initial_model
from voxhop.training.simulation import hearing
from voxhop.training.simulation.hearing import front_end_of
from voxhop.training.simulation.simulate import Scenario, SimulationConfig, simulate
from voxhop.training.simulation.warm import WarmConfig, cancelled

LEAD = 63 * 256
SECONDS = LEAD / 16000
ANALYSIS = Analysis(stft_basis()[0])
STILL = SimulationConfig(
    snr_db=(60, 60), quiet_snr_db=(60, 60), clipping=0, altered_reference=0, path_change=0,
    drift=0, near_gate=0, far_gate=0, delay_s=(0.0, 0.1), music=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(bank):
    which = torch.full((6,), int(Scenario.FAR_END))
    return simulate(bank, STILL, Draw(4), samples=LEAD + 32 * 256, scenario=which)


@pytest.fixture(scope="module", params=["engine", "PyTorch"])
def front(request):
    """A canceller of 256 ms, as `front_end_of` and in PyTorch."""
    config = LocalVQEConfig(echo_partitions=16)
    if request.param == "engine":
        return front_end_of(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hearing, "_Engine", unavailable)
        return front_end_of(config)


def unavailable(_):
    raise EngineError("not built")


def left(batch):
    """Residual over microphone of the first half second, dB per clip."""
    powers = [x.square().sum((1, 2, 3)) for x in (batch.echo.residual, sum(batch.echo))]
    return 10 * torch.log10(powers[0] / powers[1])


def test_warm_cancellers_know_the_path_and_others_do_not(front, clips):
    shares = {"warm": (0.0, 0.0), "fresh": (1.0, 0.0), "disturbed": (0.0, 1.0)}
    found = {
        name: left(cancelled(front, WarmConfig(SECONDS, *share), Draw(5), clips)).mean()
        for name, share in shares.items()
    }
    assert found["warm"] < found["fresh"] - 3
    assert found["warm"] < found["disturbed"] - 3


def test_clips_keep_what_is_behind_the_lead(front, clips):
    batch = cancelled(front, WarmConfig(SECONDS, 0.0, 0.0), Draw(5), clips)
    assert torch.equal(batch.clips.mic, clips.mic[:, LEAD:])
    assert torch.equal(batch.clips.target, clips.target[:, LEAD:])
    assert torch.equal(batch.clips.delay_frames, clips.delay_frames[:, 63:])
    heard = ANALYSIS(clips.mic)[0][:, 63:]
    assert torch.allclose(sum(batch.echo), heard, atol=1e-4)


def test_shares_are_clips_of_one_batch(front, clips):
    whole = cancelled(front, WarmConfig(SECONDS, 0.0, 0.0), Draw(6), clips)
    half = cancelled(front, WarmConfig(SECONDS, fresh=0.5, disturbed=0.0), Draw(6), clips)
    same = (whole.echo.residual == half.echo.residual).flatten(1).all(1)
    assert 0 < int(same.sum()) < len(same)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"echo_follower": True},
        {"cancel_tones": True},
        {"cancel_tones": True, "echo_partitions": 0},
    ],
)
def test_the_engine_hears_what_the_reference_hears(monkeypatch, clips, options):
    config = LocalVQEConfig(**{"echo_partitions": 16, **options})
    mic = clips.mic + 0.1 * torch.sin(torch.arange(clips.mic.shape[1]) * 0.3)
    mic, ref = (x.repeat(1, 3) for x in (mic, clips.ref))  # long enough for a tone
    fast = front_end_of(config)(mic, ref)
    monkeypatch.setattr(hearing, "_Engine", unavailable)
    slow = front_end_of(config)(mic, ref)
    for a, b in zip(fast, slow, strict=True):
        assert float((a - b).norm() / slow.residual.norm()) < 1e-3
    plain, _ = Canceller(16).cancel(mic, ref, ANALYSIS, ANALYSIS(mic)[0], None)
    changed = float((fast.residual - plain.residual).norm() / plain.residual.norm())
    assert changed > 0.01 if options else changed < 1e-3


def test_the_network_hears_what_its_own_front_end_makes(front, clips):
    config = LocalVQEConfig(
        mic_channels=(4, 4, 4, 4, 4, 4), far_channels=(2, 4, 4), align_hidden=4,
        bottleneck_hidden=6, shuffle="interleave", echo_partitions=16,
    )  # fmt: skip
    torch.manual_seed(3)
    model, pair = LocalVQE(config).eval(), (clips.mic, clips.ref)
    with torch.no_grad():
        by_itself, _ = model(*pair)
        told, _ = model(*pair, echo=cancelled(front, WarmConfig(), Draw(5), clips).echo)
        warm = cancelled(front, WarmConfig(SECONDS), Draw(5), clips)
        late, _ = model(warm.clips.mic, warm.clips.ref, echo=warm.echo)
    assert float((told.audio - by_itself.audio).norm() / by_itself.audio.norm()) < 1e-3
    assert late.audio.shape == warm.clips.mic.shape


@pytest.fixture(scope="module")
def toml(tiny_toml, tmp_path_factory):
    """A run behind a canceller, from weights that know of none."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("start")
    shape = {"far_channels": (2, 4, 4), "align_hidden": 4, "bottleneck_hidden": 6}
    start = LocalVQE(LocalVQEConfig(mic_channels=(2, 4, 4, 4, 4, 4), shuffle="interleave", **shape))
    write_gguf(start, folder / "start.gguf", dtype="f32")
    text = tiny_toml.replace("mic_channels = [2,", "echo_partitions = 16\nmic_channels = [4,")
    text += "[warm]\nseconds = 0.2\n[simulation.conditions]\nhum = 0.5\nmoving_path = 0.5\n"
    text = text.replace("[validation]", "[validation]\nper_condition = 1")
    return f'initial = "{folder / "start.gguf"}"\n' + text


def config_of(folder, toml, seconds, name="out"):
    path = folder / f"{name}.toml"
    head = f'output = "{folder / name}"\nminutes = 0\naudio_seconds = {seconds}\n'
    path.write_text(head + toml)
    return load_config(path)


def test_weights_without_the_inputs_get_them_at_zero(tmp_path, toml):
    model = initial_model(config_of(tmp_path, toml, 4))
    weight = model.mic_enc1.conv.weight
    assert weight.shape[1] == 4
    assert not weight[:, 2:].any()
    assert weight[:, :2].any()


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, toml):
    def stop(record):
        if record["kind"] == "train":
            signal.raise_signal(signal.SIGTERM)

    whole, parts = config_of(tmp_path, toml, 8, "whole"), config_of(tmp_path, toml, 8, "parts")
    train(whole)
    train(parts, report=stop)
    steps = finished(parts)["progress"]["step"]
    assert 0 < steps < finished(whole)["progress"]["step"]
    train(parts)
    one, two = finished(whole)["objective"], finished(parts)["objective"]
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert one["model.mic_enc1.conv.weight"][:, 2:].any()  # the echo is listened to
    log = [json.loads(line) for line in (tmp_path / "whole" / LOG).read_text().splitlines()]
    looks = [record for record in log if record["kind"] == "valid"]
    assert looks
    assert all("hum_si_sdr_gain" in look and "moving_path_si_sdr_gain" in look for look in looks)


def finished(config):
    return torch.load(Path(config.output) / LAST, weights_only=True)


def test_warmth_needs_a_canceller(tmp_path, tiny_toml):
    with pytest.raises(ArgumentError, match=r"warm\.seconds: expected 0 without"):
        config_of(tmp_path, tiny_toml + "[warm]\nseconds = 1.0\n", 4)
