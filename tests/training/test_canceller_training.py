"""Training behind the canceller: where it starts, what clips begin with, and that it learns."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("pyroomacoustics", reason="training needs the [train] extra")
import torch

from voxhop.errors import ArgumentError
from voxhop.export import write_gguf
from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.reference.canceller import Canceller
from voxhop.reference.filterbank import Analysis, stft_basis
from voxhop.reference.tone_canceller import cancel_tones
from voxhop.training.config import load_config
from voxhop.training.draw import Draw
from voxhop.training.loop import LAST, LOG, train
from voxhop.training.recipes import recipe_of
from voxhop.training.simulate import Scenario, SimulationConfig, simulate
from voxhop.training.start import initial_model
from voxhop.training.warm import WarmConfig, cancelled, warmed

LEAD = 63 * 256
SECONDS = LEAD / 16000
STILL = SimulationConfig(
    snr_db=(60, 60), quiet_snr_db=(60, 60), clipping=0, altered_reference=0, path_change=0,
    drift=0, near_gate=0, far_gate=0, delay_s=(0.0, 0.1), music=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(bank):
    which = torch.full((6,), int(Scenario.FAR_END))
    return simulate(bank, STILL, Draw(4), samples=LEAD + 32 * 256, scenario=which)


def left(batch):
    """Residual over microphone of the first half second, dB per clip."""
    analysis = Analysis(stft_basis()[0])
    mic, ref = batch.clips.mic, batch.clips.ref
    heard = analysis(mic)[0]
    output, _ = Canceller(16).cancel(mic, ref, analysis, heard, batch.echo)
    powers = [x.square().sum((1, 2, 3)) for x in (output.residual, heard)]
    return 10 * torch.log10(powers[0] / powers[1])


def test_warm_cancellers_know_the_path_and_others_do_not(clips):
    shares = {"warm": (0.0, 0.0), "fresh": (1.0, 0.0), "disturbed": (0.0, 1.0)}
    found = {
        name: left(warmed(Canceller(16), WarmConfig(SECONDS, *share), Draw(5), clips)).mean()
        for name, share in shares.items()
    }
    assert found["warm"] < found["fresh"] - 3
    assert found["warm"] < found["disturbed"] - 3


def test_clips_keep_what_is_behind_the_lead(clips):
    batch = warmed(Canceller(16), WarmConfig(SECONDS), Draw(5), clips)
    assert torch.equal(batch.clips.mic, clips.mic[:, LEAD:])
    assert torch.equal(batch.clips.target, clips.target[:, LEAD:])
    assert torch.equal(batch.clips.delay_frames, clips.delay_frames[:, 63:])


def test_shares_are_clips_of_one_batch(clips):
    half = WarmConfig(SECONDS, fresh=0.5, disturbed=0.0)
    batch = warmed(Canceller(16), half, Draw(6), clips)
    empty = batch.echo.steady.weights.abs().sum((1, 2)) == 0
    assert 0 < int(empty.sum()) < len(empty)


def test_the_network_hears_what_was_cancelled_with_the_batch(clips):
    canceller = Canceller(16)
    known = warmed(canceller, WarmConfig(SECONDS), Draw(5), clips)
    config = LocalVQEConfig(
        mic_channels=(4, 4, 4, 4, 4, 4), far_channels=(2, 4, 4), align_hidden=4,
        bottleneck_hidden=6, shuffle="interleave", echo_partitions=16,
    )  # fmt: skip
    torch.manual_seed(3)
    model, pair = LocalVQE(config).eval(), (known.clips.mic, known.clips.ref)
    with torch.no_grad():
        expected, _ = model(*pair, echo=known.echo)
        found, _ = model(*pair, echo=cancelled(canceller, known).echo)
        from_nothing, _ = model(*pair)
        fresh, _ = model(*pair, echo=cancelled(canceller, known.clips).echo)
    assert torch.equal(found.audio, expected.audio)
    assert torch.equal(fresh.audio, from_nothing.audio)
    assert not torch.equal(found.audio, fresh.audio)


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


def test_tones_are_taken_before_the_canceller_hears_a_clip(tmp_path, bank, toml):
    toml = toml.replace("hum = 0.5\nmoving_path = 0.5", "hum = 1.0").replace("seconds = 0.2", "")
    both = {
        name: recipe_of(config_of(tmp_path, text, 4, name)).draw(
            bank, Draw(2), step=0, clips=3, seconds=2.5
        )
        for name, text in (
            ("without", toml),
            ("with", toml.replace("echo_partitions", "cancel_tones = true\necho_partitions")),
        )
    }
    heard = both["without"].clips.mic
    taken, _ = cancel_tones(heard)
    assert not torch.equal(taken, heard)
    assert torch.equal(both["with"].clips.mic, taken)
    assert torch.equal(both["with"].clips.target, both["without"].clips.target)


def finished(config):
    return torch.load(Path(config.output) / LAST, weights_only=True)


def test_warmth_needs_a_canceller(tmp_path, tiny_toml):
    with pytest.raises(ArgumentError, match=r"warm\.seconds: expected 0 without"):
        config_of(tmp_path, tiny_toml + "[warm]\nseconds = 1.0\n", 4)
