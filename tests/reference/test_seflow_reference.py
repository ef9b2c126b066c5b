"""SEFlow's reference: published counts, slices, streams; and the engine on odd shapes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import tolerances
import voxhop
from streams import relative_rms, run

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ArgumentError, ModelFileError, ShapeError
from voxhop.export.seflow import read_seflow, seflow_tensors, write_seflow
from voxhop.reference.seflow import SEFlow, analysis, random_seflow, synthesis
from voxhop.reference.seflow.bands import rms_norm
from voxhop.reference.seflow.config import RATES, SEFlowConfig, published_edges, rate_hop

GOLDEN = Path(__file__).parent.parent / "golden" / "seflow-random"


@pytest.fixture(scope="module")
def golden():
    return read_seflow(GOLDEN / "model-f32.gguf").double()


def clip_at(rate):
    x = np.fromfile(GOLDEN / f"in.{rate}.f32", "<f4")
    return torch.from_numpy(x[: len(x) // rate_hop(rate) * rate_hop(rate)]).double()[None]


def small(seed=1, **changes):
    sizes = {"depth": 2, "n_heads": 2, "head_dim": 6, "sample_rates": (8000,), "time_window": 5}
    return random_seflow(SEFlowConfig(**sizes | changes), seed)


def audio(rate, hops, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, hops * rate_hop(rate), dtype=torch.float64, generator=generator)


def test_golden_files_are_the_published_ones():
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("network", [(3, 2), (2, 1)])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_golden_output(golden, rate, network):
    depth, heads = network
    expected = np.fromfile(GOLDEN / f"out.{rate}.{depth}-{heads}.f64", "<f8")
    voice = np.fromfile(GOLDEN / f"vad.{rate}.{depth}-{heads}.f64", "<f8")
    with torch.no_grad():
        out, _ = golden(clip_at(rate), sample_rate=rate, depth=depth, heads=heads)
    assert np.abs(out.audio[0].numpy() - expected).max() <= tolerances.GOLDEN_F64_SEFLOW
    assert np.abs(out.voice[0].numpy() - voice).max() <= tolerances.GOLDEN_F64_SEFLOW


def test_published_bands():
    widths = "2 2 3 2 3 3 4 3 4 5 5 5 6 6 7 7 8 9 10 10 12 13 13 15 16 18 20 22 24 28 32 37 31 38"
    widths += " 42 48 42 46 50 56 62"
    config = SEFlowConfig()
    assert config.band_widths == tuple(map(int, widths.split()))
    bands = {8000: 22, 16000: 29, 22050: 32, 24000: 33, 32000: 36, 44100: 40, 48000: 41}
    assert {rate: config.bands_at(rate) for rate in RATES} == bands
    hops = {8000: 128, 16000: 256, 22050: 353, 24000: 384, 32000: 512, 44100: 706, 48000: 768}
    assert {rate: rate_hop(rate) for rate in RATES} == hops
    assert all(published_edges(rate)[-1] == hop + 1 for rate, hop in hops.items())


# Millions to the printed digit at 41 bands, and exactly where the specification counts.
@pytest.mark.parametrize(
    ("depth", "heads", "size", "rate", "count"),
    [
        (12, 4, 64, 48000, 27_194_887),
        (1, 1, 64, 48000, 1_694_663),
        (9, 3, 64, 48000, 14_243_143),
        (6, 2, 64, 48000, 6_180_743),
        (12, 4, 64, 16000, 21_536_775),
        (1, 1, 64, 16000, 867_271),
        (1, 1, 64, 8000, 593_351),
        (6, 4, 48, 48000, 12.46),
        (5, 3, 48, 48000, 7.22),
        (6, 1, 48, 48000, 1.32),
    ],
)
def test_published_parameter_counts(depth, heads, size, rate, count):
    config = SEFlowConfig(
        depth=depth, n_heads=heads, head_dim=size, sample_rates=(rate,), vad=False
    )
    found = sum(t.size for t in seflow_tensors(random_seflow(config, 0)).values())
    assert found == count if isinstance(count, int) else round(found / 1e6, 2) == count


@pytest.mark.parametrize("splits", [[1] * 12, [1, 3, 10], [9, 1, 4]])
def test_any_split_of_a_clip_is_the_clip(splits):
    model = small(sample_rates=(8000, 22050)).double()
    for rate, options in ((8000, {}), (22050, {"depth": 1, "heads": 1, "window": 3})):
        x, H = audio(rate, sum(splits)), rate_hop(rate)
        with torch.no_grad():
            whole, _ = model(x, sample_rate=rate, **options)
            parts, state, at = [], None, 0
            for hops in splits:
                piece = x[:, at * H : (at + hops) * H]
                out, state = model(piece, state, sample_rate=rate, **options)
                parts.append(out)
                at += hops
        for i in range(2):
            joined = torch.cat([part[i] for part in parts], 1)
            assert (joined - whole[i]).abs().max() <= tolerances.F64_REORDERED


def test_the_past_is_forgotten_at_any_position():
    """After b (C - 1) + 2 equal hops nothing is left of what came before, nor of when."""
    model, hops = small().double(), 2 * 4 + 2
    H = rate_hop(8000)
    with torch.no_grad():
        _, state = model(audio(8000, 20, 1))
        tail = audio(8000, hops + 6, 2)
        fresh, _ = model(tail)
        late, _ = model(tail, state._replace(frame=20_000_000))
    assert (late.audio - fresh.audio)[:, : H * hops // 2].abs().max() > 1e-3
    remains = (late.audio - fresh.audio)[:, H * hops :].abs().max()
    assert remains <= tolerances.F64_FAR_POSITION


def test_a_window_ends_where_it_says():
    model = small(depth=1, time_window=4).double()
    H, x = rate_hop(8000), audio(8000, 12)
    changed = x.clone()
    changed[:, :H] += 0.1
    with torch.no_grad():
        a, b = model(x)[0].audio, model(changed)[0].audio
    # Hop 0 is in frames 0 and 1, which frames to 1 + 3 attend to; their second halves follow.
    difference = (a - b).abs().view(-1, H).amax(1)
    assert difference[5] > 0
    assert (difference[6:] == 0).all()


def test_a_sub_network_is_a_prefix_of_every_matrix():
    """Values beyond the prefix are noise to it; every value inside matters."""
    model = small().double()
    x = audio(8000, 6)
    with torch.no_grad():
        before = model(x, depth=1, heads=1)[0]
        d = model.config.head_dim
        for i, block in enumerate(model.blk):
            for part in (block.time, block.freq):
                for layer in (part.q, part.k, part.v, part.o):
                    layer.weight[d:], layer.weight[:, d:], layer.bias[d:] = 9, 9, 9
                part.ffn1.weight[2 * d :], part.ffn1.weight[:, d:] = 9, 9
                part.ffn2.weight[d:], part.ffn2.weight[:, 2 * d :] = 9, 9
                part.norm1.weight[d:], part.norm2.weight[d:] = 9, 9
            if i:
                block.time.q.weight.fill_(9)
        model.enc.weight[:, d:], model.enc.bias[:, d:] = 9, 9
        model.dec.norm[:, d:], model.dec.fc1_weight[:, :, d:] = 9, 9
        model.dec.fc1_weight[:, 4 * d :], model.dec.fc2_weight[..., 4 * d :] = 9, 9
        model.vad.out.weight[:, d:] = 9
        after = model(x, depth=1, heads=1)[0]
        wide = model(x, depth=1, heads=2)[0]
    assert torch.equal(before.audio, after.audio)
    assert torch.equal(before.voice, after.voice)
    assert not torch.equal(wide.audio, after.audio)


@pytest.mark.parametrize("rate", RATES)
def test_analysis_and_synthesis_give_the_clip_back_one_hop_later(rate):
    x, H = audio(rate, 9), rate_hop(rate)
    spectrum, history = analysis(x, rate)
    back, _ = synthesis(spectrum, rate)
    assert torch.equal(history, x[:, -H:])
    assert (back[:, H:] - x[:, :-H]).abs().max() <= tolerances.F64_REORDERED


@pytest.mark.parametrize("seed", range(6))
def test_engine_on_random_shapes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rates = tuple(sorted(rng.choice(RATES, 3, replace=False).tolist()))
    config = SEFlowConfig(
        depth=int(rng.integers(1, 4)),
        n_heads=int(rng.integers(1, 4)),
        head_dim=2 * int(rng.integers(1, 14)),
        ffn_mult=int(rng.integers(1, 4)),
        dec_mult=int(rng.integers(1, 5)),
        sample_rates=rates,
        time_window=int(rng.integers(1, 12)),
        rope_base=float(rng.choice([100.0, 10000.0])),
        vad=bool(rng.random() < 0.7),
        encoder_rms_eps=float(rng.choice([0.0, 400.0])),
    )
    path = tmp_path / "odd.gguf"
    model = random_seflow(config, seed)
    write_seflow(model, path)
    exact = model.double()
    with voxhop.load(path) as loaded:
        for rate in rates:
            b, h = (int(rng.integers(1, most + 1)) for most in (config.depth, config.n_heads))
            C = int(rng.integers(1, config.time_window + 1))
            x = audio(rate, 15, seed).float()
            with torch.no_grad():
                out, _ = exact(x.double(), sample_rate=rate, depth=b, heads=h, window=C)
            tap = "vad" if config.vad else None
            with loaded.session(sample_rate=rate, depth=b, heads=h, window=C) as session:
                found = run(session, x[0].numpy(), tap=tap)
            if config.vad:
                found, voice = found
                assert np.abs(voice[:, 0] - out.voice[0].numpy()).max() <= tolerances.SEFLOW_VOICE
            expected = out.audio[0].numpy()
            assert relative_rms(found, expected) <= tolerances.SEFLOW_RELATIVE_RMS


@pytest.mark.parametrize("rates", [(8000,), (16000, 24000)])
def test_files_both_ways(tmp_path, rates):
    model = small(sample_rates=rates, encoder_rms_eps=25.0)
    model.dec.scale.copy_(torch.linspace(2, 0.1, model.config.n_bands))
    path = tmp_path / "m.gguf"
    write_seflow(model, path, metadata={"general.name": "x"}, subnets=((2, 2), (1, 1)))
    back = read_seflow(path)
    assert back.config == model.config
    x = audio(rates[0], 5).float()
    with torch.no_grad():
        a, b = (m(x, sample_rate=rates[0])[0].audio for m in (model, back))
    assert (a - b).norm() <= tolerances.F32_MODEL_RELATIVE_RMS * a.norm()
    again = seflow_tensors(back)
    for name, tensor in seflow_tensors(model).items():
        assert np.array_equal(again[name], tensor), name
    write_seflow(model, path, dtype="f16")
    half = seflow_tensors(read_seflow(path))
    assert np.array_equal(half["blk.0.time.q.bias"], again["blk.0.time.q.bias"])
    error = np.abs(half["blk.0.time.q.weight"] - again["blk.0.time.q.weight"]).max()
    assert 0 < error < 1e-3
    with pytest.raises(ArgumentError, match=r"seflow\.depth"):
        write_seflow(model, path, metadata={"seflow.depth": 1})


def test_gradients_of_the_norm():
    x = torch.randn(3, 5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rms_norm(x, 0.1), x)
    expected = torch.nn.functional.rms_norm(x, (7,), None, 0.1)
    assert (rms_norm(x, 0.1) - expected).abs().max() <= tolerances.F64_REORDERED


def test_bad_files_say_what_is_wrong(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(ModelFileError):
        read_seflow(path)
    with pytest.raises(ModelFileError, match=r"general\.architecture: 'streamfm'"):
        read_seflow(GOLDEN.parent / "streamfm-random" / "model-f32.gguf")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head_dim": 5}, "head_dim: 5"),
        ({"depth": 0}, "depth: 0"),
        ({"sample_rates": (8000, 12345)}, "12345"),
        ({"sample_rates": ()}, "sample_rates"),
        ({"band_edges": (0, 3, 3, 129)}, "band_edges"),
        ({"band_edges": (0, 3, 100)}, "8000 Hz"),
        ({"log_eps": 0.0}, "log_eps"),
        ({"encoder_rms_eps": -1.0}, "encoder_rms_eps: -1.0"),
        ({"encoder_rms_eps": 2e6}, "encoder_rms_eps: 2"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(ArgumentError, match=message):
        SEFlowConfig(**{"sample_rates": (8000,)} | changes)


def test_bad_calls():
    model = SEFlow(SEFlowConfig(depth=1, n_heads=1, head_dim=2, sample_rates=(8000,)))
    x = torch.zeros(1, 128)
    with pytest.raises(ArgumentError, match="sample_rate: 16000"):
        model(x, sample_rate=16000)
    with pytest.raises(ArgumentError, match="depth: 2, expected 1 to 1"):
        model(x, depth=2)
    with pytest.raises(ArgumentError, match="heads: 0"):
        model(x, heads=0)
    with pytest.raises(ShapeError, match=r"\(B, T\*128\)"):
        model(torch.zeros(1, 127))
