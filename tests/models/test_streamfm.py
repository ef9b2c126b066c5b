"""Stream.FM in the engine against its float64 reference, whose golden set is independent."""

import dataclasses
from pathlib import Path

import gguf
import numpy as np
import pytest

import tolerances
import voxhop

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ModelFileError
from voxhop.export.streamfm import read_streamfm, streamfm_metadata, write_streamfm
from voxhop.reference.streamfm import random_streamfm
from voxhop.reference.streamfm.config import StreamFMConfig

GOLDEN = Path(__file__).parent.parent / "golden" / "streamfm-random"
HOPS = 12
CASES = {
    "predictor": {"task": "se", "predictor": True},
    "mel": {"task": "melvoc", "window": "hann_periodic", "n_mels": 20},
    "bands": {"task": "bwe", "n_fft": 160, "sigma_x": 0.002},
    "post-filter at 640": {"task": "codec_pf", "n_fft": 640, "default_solver": "euler1"},
    "reverb at 256": {"task": "derev", "n_fft": 256, "default_solver": "midpoint2"},
    "decoupled": {"task": "stft_pr", "decoupled_rank": 2, "default_solver": "rk4_38"},
    "other sizes": {"nf": 12, "ch_mult": (1, 3), "num_res_blocks": 1, "time_dilation": 3},
    "told spread": {"task": "bwe", "spread_bands": 8, "spread_frames": 3, "spread_hidden": 9},
    "told spread, one frame": {"spread_bands": 64, "spread_frames": 1, "spread_hidden": 5},
    "power law": {"compress_exponent": 0.3, "compress_scale": 0.5, "input_gain_db": 0.0},
}


def speech_like(samples, seed=0):
    """Noise whose level moves over 60 dB, with digital silence inside."""
    rng = np.random.default_rng(seed)
    level = 10 ** (-3 * np.abs(np.sin(np.arange(samples) / 997)))
    audio = 0.3 * level * rng.standard_normal(samples)
    audio[samples // 3 : samples // 2] = 0
    return audio.astype(np.float32)


def run(session, audio):
    hop = session.hop_length
    return np.concatenate([session.process_hop(x) for x in audio.reshape(-1, hop)])


def reference(model, audio, **options):
    with torch.no_grad():
        out, _ = model.double()(torch.from_numpy(audio).double()[None], **options)
    return out[0].numpy()


def assert_close(out, expected):
    error = out - expected
    assert np.abs(expected).max() > 1e-3
    assert np.abs(error).max() <= tolerances.ENGINE_ABSOLUTE
    assert np.linalg.norm(error) <= tolerances.ENGINE_RELATIVE_RMS * np.linalg.norm(expected)


@pytest.mark.parametrize("solver", ["euler5", "ralston3+2"])
def test_golden_model_with_the_generator_s_noise(tmp_path, solver):
    model = read_streamfm(GOLDEN / "model-f32.gguf")
    model.config = dataclasses.replace(model.config, default_solver=solver)
    write_streamfm(model, tmp_path / "m.gguf")
    audio = np.fromfile(GOLDEN / "in.f32", "<f4")
    with voxhop.Session(voxhop.load(tmp_path / "m.gguf")) as session:
        assert_close(run(session, audio), reference(model, audio))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kernels", ["stock", "fused"])
def test_parity(tmp_path, case, kernels):
    config = StreamFMConfig(**{"nf": 4, "n_fft": 128, "default_solver": "ralston2", **CASES[case]})
    model = random_streamfm(config, 1)
    if case == "bands":
        model.sigma_y.copy_(torch.linspace(0.05, 0.4, config.bins))
    write_streamfm(model, tmp_path / "m.gguf")
    audio = speech_like(HOPS * config.hop_length)
    loaded = voxhop.load(tmp_path / "m.gguf")
    assert loaded.info.hop_samples == config.hop_length
    assert loaded.info.latency_samples == config.hop_length
    with voxhop.Session(loaded, kernels=kernels) as session:
        assert_close(run(session, audio), reference(model, audio))


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A model whose widths fill no vector, what goes in, and what the stock graph makes of it."""
    config = StreamFMConfig(nf=12, n_fft=160, predictor=True, task="se", default_solver="ralston2")
    path = tmp_path_factory.mktemp("odd") / "m.gguf"
    write_streamfm(random_streamfm(config, 5), path)
    model, audio = voxhop.load(path), speech_like(HOPS * 80)
    with voxhop.Session(model, kernels="stock") as stock:
        return model, audio, run(stock, audio)


def nmse(out, expected):
    return np.square(out - expected).sum() / np.square(expected).sum()


@pytest.mark.parametrize("precision", tolerances.STREAMFM_NMSE)
@pytest.mark.parametrize("isa", voxhop.cpu_isas())
def test_fused_is_stock(odd, isa, precision):
    model, audio, expected = odd
    with (
        voxhop.Session(model, isa=isa, precision=precision) as fused,
        voxhop.Session(model, isa=isa, precision=precision, threads=2) as threads,
    ):
        out = run(fused, audio)
        assert np.array_equal(run(threads, audio), out)
    lowest, highest = tolerances.STREAMFM_NMSE[precision]
    assert lowest < nmse(out, expected) <= highest


@pytest.mark.parametrize("options", [{"kernels": "direct"}, {"history_first": True}], ids=str)
def test_direct_and_prepared_are_stock(odd, options):
    model, audio, expected = odd
    with voxhop.Session(model, **options) as session:
        out = run(session, audio)
    assert nmse(out, expected) <= tolerances.STREAMFM_NMSE["f32"][1]


def test_input_gain_is_applied(tmp_path):
    config = StreamFMConfig(nf=4, n_fft=128, default_solver="euler1", input_gain_db=6.0)
    model = random_streamfm(config, 2)
    write_streamfm(model, tmp_path / "m.gguf")
    audio = speech_like(HOPS * 64)
    with voxhop.Session(voxhop.load(tmp_path / "m.gguf")) as session:
        louder = (audio.astype(np.float64) * 10 ** (6 / 20)).astype(np.float32)
        assert_close(run(session, audio), reference(model, louder))


@pytest.fixture(scope="module")
def loaded():
    return voxhop.load(GOLDEN / "model-f32.gguf")


def test_streams_of_one_model(loaded):
    """Reset, save, load and fork: the same bits, the noise included."""
    audio = speech_like(16 * 256)
    with voxhop.Session(loaded) as session:
        expected = run(session, audio)
        session.reset()
        assert np.array_equal(run(session, audio), expected)
        session.reset()
        run(session, audio[: 5 * 256])
        blob, twin = session.state(), session.fork()
        rest = expected[5 * 256 :]
        assert np.array_equal(run(twin, audio[5 * 256 :]), rest)
        assert np.array_equal(run(session, audio[5 * 256 :]), rest)
        session.load_state(blob)
        assert np.array_equal(run(session, audio[5 * 256 :]), rest)
    with voxhop.SessionGroup(loaded, 2) as group:
        hops = audio.reshape(-1, 256)
        both = [group.process(np.stack((hop, hop[::-1]))).copy() for hop in hops]
        assert np.array_equal(np.concatenate([x[0] for x in both]), expected)


def test_what_tells_the_spread_is_part_of_the_state(tmp_path):
    config = StreamFMConfig(nf=4, n_fft=128, spread_bands=16, default_solver="euler1")
    write_streamfm(random_streamfm(config, 4), tmp_path / "m.gguf")
    audio = speech_like(20 * 64)
    model = voxhop.load(tmp_path / "m.gguf")
    with voxhop.Session(model, seed=1) as session:
        expected = run(session, audio)
        session.reset()
        assert np.array_equal(run(session, audio[: 12 * 64]), expected[: 12 * 64])
        blob = session.state()
        with voxhop.Session(model, seed=1) as other:
            other.load_state(blob)
            assert np.array_equal(run(other, audio[12 * 64 :]), expected[12 * 64 :])


def test_latency_by_sweep(loaded):
    audio = speech_like(8 * 256)
    audio[3 * 256 + 255] = np.nan  # times the window's first sample, 0, it is still NaN
    with voxhop.Session(loaded) as session:
        touched = np.flatnonzero(np.isnan(run(session, audio)))
    # Output from the start of hop 3 stands for the input of one hop before.
    assert (3 * 256 + 255) - (touched[0] - loaded.info.latency_samples) == 511


def damaged(path, key, value):
    """Write the golden model with one metadata value replaced, or removed when None."""
    model = read_streamfm(GOLDEN / "model-f32.gguf")
    values = streamfm_metadata(model) | {key: value}
    writer = gguf.GGUFWriter(path, "streamfm")
    for name, found in values.items():
        if isinstance(found, bool):
            writer.add_bool(name, found)
        elif isinstance(found, int):
            writer.add_uint32(name, found)
        elif isinstance(found, float):
            writer.add_float32(name, found)
        elif isinstance(found, str):
            writer.add_string(name, found)
        elif found is not None:
            writer.add_array(name, found)
    for name, tensor in model.state_dict().items():
        if name != "sigma_y":
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "version"),
        ("task", "sing", "task"),
        ("task", None, "task: missing"),
        ("n_fft", 500, "n_fft"),
        ("window", "kaiser", "window"),
        ("in_channels", 6, "in_channels"),
        ("sigma_y", None, "sigma_y: missing"),
        ("spread_bands", 7, "spread_bands: 7, expected a divisor of"),
        ("spread_bands", 8, "spread_frames: missing"),
        ("ch_mult", [1, 2, 2, 4], "shape"),
        ("decoupled_rank", 2, r"dw\.weight: missing|dw\.weight"),
        ("freq_groups", 8, "freq_groups"),
        ("fir_kernel", [1.0, 2.0, 2.0, 1.0], "fir_kernel"),
        ("solver.default", "heun", "solver.default"),
        ("solver.names", ["euler1", "heun"], r"solver\.heun\.b: missing"),
        ("solver.names", [1, 2], "expected strings"),
        ("solver.euler4.b", [0.25, 0.25, 0.25, 0.5], r"euler4\.b: sum 1\.25"),
        ("solver.euler4.c", [0.0, 0.25, 0.5], "euler4"),
        ("solver.euler4.a", [0.25] * 16, "diagonal"),
        ("solver.euler4.c", [0.0, 0.25, 0.5, 1.5], "element 3 is 1.5"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, key, value, message):
    path = tmp_path / "bad.gguf"
    damaged(path, f"streamfm.{key}", value)
    with pytest.raises(ModelFileError, match=message):
        voxhop.load(path)


def test_the_file_as_written_by_the_damager_is_good(tmp_path):
    damaged(tmp_path / "good.gguf", "general.name", "x")
    voxhop.load(tmp_path / "good.gguf")


def test_work_of_the_full_size(tmp_path):
    """2.2511 G multiply-accumulates in convolutions at nf 128; they grow with nf squared."""
    config = StreamFMConfig(nf=8, default_solver="euler1")
    write_streamfm(random_streamfm(config, 0), tmp_path / "m.gguf")
    macs = voxhop.load(tmp_path / "m.gguf").info.macs_per_hop
    ends = 9 * 256 * 4 + 4 * (256 // 2 + 256 // 4 * 2 + 256 // 8 * 2)  # of the input, per nf
    heads = 2 * 9 * (256 + 128 * 2 + 64 * 2 + 32 * 2)
    full = (macs - 8 * (ends + heads)) * 256 + 128 * (ends + heads)
    assert full == pytest.approx(2.2511e9, rel=1e-4)
