"""The comparison of codecs: alignment, kept scores, word errors, and what its page says."""

from __future__ import annotations

import ctypes.util
import importlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import voxhop
from voxhop.errors import ArgumentError

pytest.importorskip("torch", reason="needs the torch extra")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GOLDEN = Path(__file__).parents[1] / "golden" / "sublime-random"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def clip():
    return np.fromfile(GOLDEN / "in.f32", "<f4")[:24_100]


def test_the_package_codec_is_coded_frame_by_frame_and_aligned(benchmark, clip):
    systems = benchmark("parts.codec_systems")
    with voxhop.load(GOLDEN / "model-f32.gguf") as model:
        for kbps in (6, 1):
            codec = systems.Sublime(model, kbps)
            data = voxhop.encode(clip, sample_rate=24000, model=model, kbps=kbps)
            expected, _ = voxhop.decode(data, model=model)
            found = codec.run(clip)
            assert np.array_equal(found.sound, expected)
            assert found.bits == kbps * 20 * 52
            assert codec.delay_ms == 30.0
        lossy = codec.run(clip, [False] * 10 + [True] + [False] * 41).sound
    # Frame 10 gives the samples before its own time.
    assert np.array_equal(lossy[: 9 * 480], expected[: 9 * 480])
    assert not np.array_equal(lossy[9 * 480 :], expected[9 * 480 :])


def test_opus_is_aligned_and_conceals(benchmark):
    if ctypes.util.find_library("opus") is None:
        pytest.skip("libopus is not on this machine")
    systems = benchmark("parts.codec_systems")
    time_s = np.arange(24_000) / 24_000
    rising = 2 * np.pi * (200 * time_s + 400 * time_s**2)
    tone = (0.3 * np.sin(rising) * np.hanning(24_000)).astype(np.float32)
    codec = systems.Opus(24_000)
    found = codec.run(tone)
    assert len(found.sound) == len(tone)
    middle = slice(6000, 18_000)
    lags = range(-60, 61)
    match = [np.dot(np.roll(found.sound, lag)[middle], tone[middle]) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 2
    assert codec.delay_ms == pytest.approx(26.5)
    assert 10_000 < found.bits < 40_000
    lost = codec.run(tone, [i in (20, 21) for i in range(50)]).sound
    assert np.abs(lost - found.sound)[20 * 480 : 22 * 480].max() > 1e-3


def test_lyra_is_given_frames_and_as_many_quantisers_as_its_rate(benchmark, monkeypatch, tmp_path):
    asked = []

    class Interpreter:
        def __init__(self, path, num_threads):
            assert num_threads == 1
            self._name = Path(path).stem

        def get_signature_runner(self, name="serving_default"):
            def run(**given):
                asked.append((self._name, name, given))
                if self._name == "soundstream_encoder":
                    assert given["input_audio"].shape == (1, 320)
                    return {"output_0": given["input_audio"][:, None, :64]}
                if name == "encode":
                    return {"output_0": np.arange(46, dtype=np.int32)[:, None, None] % 16}
                if name == "decode":
                    sent = np.count_nonzero(given["encoding_indices"] >= 0)
                    return {"output_0": np.full((1, 1, 64), sent, np.float32)}
                return {"output_0": np.full((1, 320), given["input_audio"][0, 0, 0] / 100)}

            return run

    fake = types.ModuleType("ai_edge_litert.interpreter")
    fake.Interpreter = Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", fake)
    systems = benchmark("parts.codec_systems")
    with pytest.raises(OSError, match=r"Lyra: .*quantizer\.tflite: not found"):
        systems.Lyra(6000, str(tmp_path))
    for name in ("soundstream_encoder", "quantizer", "lyragan"):
        (tmp_path / f"{name}.tflite").touch()
    codec = systems.Lyra(6000, str(tmp_path))
    found = codec.run(np.zeros(24000, np.float32))
    assert found.sound.shape == (24000,)
    assert found.sound[1000:-1000] == pytest.approx(0.3, abs=1e-3)  # 30 quantisers of 4 bits
    assert found.bits == 120 * 51
    assert {int(g["num_quantizers"]) for _, name, g in asked if name == "encode"} == {30}
    with pytest.raises(ValueError, match="conceals nothing"):
        codec.run(np.zeros(24000, np.float32), [True])


def test_word_errors(benchmark):
    edits = benchmark("parts.codec_measures").edits
    said = ["the", "cat", "sat", "on", "the", "mat"]
    assert edits(said, said) == 0
    assert edits(said, ["the", "cat", "sat", "on", "mat"]) == 1
    assert edits(said, ["a", "cat", "sat", "on", "the", "the", "mat"]) == 2
    assert edits(said, []) == 6
    assert edits([], said) == 6


def test_scores_are_kept_by_what_was_scored(benchmark, tmp_path):
    measures = benchmark("parts.codec_measures")
    asked = []

    def find(out, target):
        asked.append(len(out))
        return None if len(out) > 3 else float(out.sum() - target.sum())

    measure = measures.Measure("sum", "Sum", (), find)
    other = measures.Measure("absent", "Absent", ("voxhop_no_such_package",), find)
    assert measure.missing == ""
    assert other.missing == "voxhop_no_such_package"
    kept = measures.KeptScores(tmp_path / "kept" / "scores.json")
    one, two = np.ones(3, np.float32), np.full(3, 2, np.float32)
    assert kept.find(measure, one, two) == -3
    assert kept.find(measure, two, one) == 3
    assert np.isnan(kept.find(measure, np.ones(4, np.float32), one))
    kept.save()
    again = measures.KeptScores(tmp_path / "kept" / "scores.json")
    assert again.find(measure, one, two) == -3
    assert np.isnan(again.find(measure, np.ones(4, np.float32), one))
    assert asked == [3, 3, 4]


def comparison(module, **changes):
    """Return one in which exactly what must be reached is reached, but for the changes."""
    clean = {"pesq": 2.0, "estoi": 0.8, "distillmos": 3.0, "speaker": 0.8}
    figures = {
        ("voxhop, 6 kbit/s", "clean"): clean,
        ("voxhop, 1 kbit/s", "clean"): {"pesq": 1.4, "estoi": 0.6, "distillmos": 2.5},
        ("Opus 6 kbit/s", "clean"): {"pesq": 2.1, "estoi": 0.81, "distillmos": 3.0},
        ("Codec2 3200", "clean"): {"pesq": 1.7, "estoi": 0.71, "distillmos": 2.5},
        ("Codec2 1300", "clean"): {"pesq": 1.4, "estoi": 0.6, "distillmos": 2.4},
        ("Opus 6 kbit/s", "noisy"): {"ovrl": 2.0},
        ("voxhop, 6 kbit/s", "noisy"): {"ovrl": 2.5},
        ("voxhop, 6 kbit/s", "10% lost"): {"estoi": 0.75},
    }
    for (system, condition, key), value in changes.pop("figures", {}).items():
        figures[system, condition][key] = value
    rows = [module.Row(system, at, 4, means) for (system, at), means in figures.items()]
    rows[0].delay_ms, rows[0].kbps, rows[0].encode_ms, rows[0].decode_ms = 30.0, 6.0, 0.3, 0.2
    usage = {"mean": 0.95, "least": 0.9}
    found = {"rows": rows, "code_usage": usage, "missing": ["PESQ: needs pesq"], **changes}
    return module.Comparison("a codec", "f16", 6.0, **found)


def test_what_is_just_reached_is_met_and_no_more(benchmark):
    module, tables = benchmark("codec_comparison"), benchmark("parts.codec_tables")
    found = tables.targets(comparison(module))
    assert [target.must_met for target in found] == [True] * 8
    assert [t.goal_met for t in found if t.goal] == [False, True, True, True]
    for key, value, what in (
        (("voxhop, 6 kbit/s", "clean", "pesq"), 1.99, "6 kbit/s, clean: PESQ"),
        (("voxhop, 1 kbit/s", "clean", "distillmos"), 2.49, "1 kbit/s, clean: DistillMOS"),
        (("voxhop, 6 kbit/s", "noisy", "ovrl"), 2.49, "noisy: OVRL"),
        (("voxhop, 6 kbit/s", "10% lost", "estoi"), 0.71, "10 % of frames lost"),
        (("voxhop, 6 kbit/s", "clean", "speaker"), 0.79, "speaker similarity"),
    ):
        found = tables.targets(comparison(module, figures={key: value}))
        missed = [target.what for target in found if target.must_met is False]
        assert len(missed) == 1
        assert what in missed[0]
    found = tables.targets(comparison(module, code_usage={"least": 0.89}))
    assert [t.what for t in found if not t.must_met] == ["codes in use, worst group"]


def test_the_page_has_every_condition_and_names_what_is_missing(benchmark):
    module, tables = benchmark("codec_comparison"), benchmark("parts.codec_tables")
    text = tables.page(comparison(module), "python benchmarks/x.py")
    assert "Not compared: PESQ: needs pesq." in text
    for heading in ("## Targets", "## Clean, 4 clips", "## Noisy", "## 10% lost", "## Delay"):
        assert heading in text
    assert "| voxhop, 6 kbit/s | 6.00 | 30.0 | 0.300 | 0.200 |" in text
    assert "| Opus 6 kbit/s | 2.10 | 0.810 | 3.00 | - |" in text
    nothing = tables.targets(module.Comparison("a codec", "f16", 6.0))
    assert [target.must_met for target in nothing] == [None] * 8


def test_rows_of_other_codecs_come_from_a_page_on_the_same_clips(benchmark, tmp_path):
    module, tables = benchmark("codec_comparison"), benchmark("parts.codec_tables")
    measured = benchmark("parts.codec_measures")
    first = comparison(module)
    first.rows.append(module.Row("not coded", "clean", 4, {"estoi": 0.9}))
    page = tmp_path / "page.md"
    benchmark("parts.kept_page").write_study(page, tables.page(first, "x"), first)
    earlier = module._earlier(str(page.with_suffix(".json")))
    assert {row.system for row in earlier} == {
        row.system for row in first.rows if not row.system.startswith("voxhop")
    }
    assert module._earlier(None) == []
    score = measured.Measure("estoi", "ESTOI", (), lambda out, _: float(np.median(out)))
    kept = measured.KeptScores(tmp_path / "kept.json")
    same = np.full((4, 24_000), 0.9, np.float32)
    module._check_clips(earlier, "clean", (same, same), {"estoi": score}, kept)
    for other in (same - 0.1, same[1:]):
        with pytest.raises(ArgumentError, match=r"others: 4 clips, clean, ESTOI 0\.9"):
            module._check_clips(earlier, "clean", (other, other), {"estoi": score}, kept)
    with pytest.raises(ArgumentError, match=r"others: no row of clips .* noisy"):
        module._check_clips(earlier, "noisy", (same, same), {"estoi": score}, kept)
    text = tables.page(comparison(module, others_kept=True), "x")
    assert "Rows of other codecs are of an earlier run" in text
