"""The model that a recording gets when nobody names one: what was measured is what is taken."""

import json
from pathlib import Path

import numpy as np
import pytest

import signals
import voxhop
from voxhop.files import choice
from voxhop.models import DEFAULT_MODEL, bundled_models

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "choice.json"


def test_what_was_measured_is_what_is_taken():
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))["best"]
    assert {int(rate): name for rate, name in measured.items()} == dict(choice.BEST_ALONE[1:])
    assert {name for _, name in choice.BEST_ALONE} <= set(bundled_models())


@pytest.mark.parametrize(
    ("rate", "name"),
    [(8000, "low"), (23_999, "low"), (24_000, "mid"), (47_999, "mid"), (192_000, "high")],
)
def test_a_rate_gets_the_model_from_there_on(monkeypatch, rate, name):
    rows = ((0, "low"), (24_000, "mid"), (48_000, "high"))
    monkeypatch.setattr(choice, "BEST_ALONE", rows)
    usual = {"delay_ms": 0.0, "auto_bypass": False, "strength": 0.5}
    assert choice.best_model(rate, has_ref=False, settings=usual) == name
    assert choice.best_model(rate, has_ref=True, settings=usual) == DEFAULT_MODEL
    for wanted in ({"delay_ms": 20.0}, {"delay_ms": "auto"}, {"lookahead_ms": 5.0}):
        asked = usual | wanted
        assert choice.best_model(rate, has_ref=False, settings=asked) == DEFAULT_MODEL


@pytest.mark.parametrize("wanted", [{"delay_ms": 20.0}, {"delay_ms": "auto"}, {"lookahead_ms": 5}])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_settings_for_references_do_no_harm_without_one(rate, wanted):
    mic = signals.speech_like(rate // 2, 3).astype(np.float32)
    assert voxhop.enhance(mic, sample_rate=rate, **wanted).shape == mic.shape


def test_enhance_takes_it_without_a_reference_only(monkeypatch, tmp_path, capsys):
    rows = ((0, DEFAULT_MODEL), (24_000, "voxhop-localvqe-small"))
    monkeypatch.setattr(choice, "BEST_ALONE", rows)
    mic = signals.speech_like(12_000, 3).astype(np.float32)

    def enhanced(**given):
        return voxhop.enhance(mic, sample_rate=24_000, **given)

    small = enhanced(model="voxhop-localvqe-small")
    default = enhanced(model=DEFAULT_MODEL)
    assert np.array_equal(enhanced(), small)
    assert not np.array_equal(small, default)
    cancelled = enhanced(ref=np.zeros_like(mic))
    assert np.array_equal(cancelled, enhanced(ref=np.zeros_like(mic), model=DEFAULT_MODEL))
    import soundfile  # noqa: PLC0415 - only here

    from voxhop.cli import main  # noqa: PLC0415 - the same

    soundfile.write(tmp_path / "mic.wav", mic, 24_000)
    line = ["enhance", str(tmp_path / "mic.wav"), "-o", str(tmp_path / "out.wav")]
    assert main(line) == 0
    assert "only, by voxhop-localvqe-small" in capsys.readouterr().out
