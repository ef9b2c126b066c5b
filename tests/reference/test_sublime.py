"""Sublime's reference: counts, clocks, latency, splits, modes, odd shapes."""

import dataclasses
import math

import pytest
from sublime_shapes import SHAPES, SMALL

import tolerances

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ArgumentError, ShapeError
from voxhop.reference.memory import Memory
from voxhop.reference.sublime import (
    Sublime,
    offset_rows,
    phase_offsets,
    random_sublime,
    sharpened,
    sharpness_of,
)
from voxhop.reference.sublime.blocks import shuffle_bins
from voxhop.reference.sublime.config import FRONTEND, BandShape, BlockShape, SublimeConfig


@pytest.fixture(scope="module")
def full():
    """The published sizes without their numbers."""
    with torch.device("meta"):
        return Sublime(SublimeConfig(fe=FRONTEND))


@pytest.fixture(scope="module")
def small():
    return random_sublime(SMALL, 1).double()


def noise(samples, seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, samples, dtype=torch.float64, generator=generator)


def test_parameter_counts(full):
    counts = [sum(p.numel() for p in part.parameters()) for part in (full.enc, full.voc, full.fe)]
    assert counts == [3_805_208, 2_524_322, 20_632_576]
    assert (full.vq.key.numel(), full.vq.value.numel()) == (12_288, 147_456)


@pytest.mark.parametrize(
    ("part", "scores", "flops"),
    [("enc", True, 398.6e6), ("fe", False, 2285.6e6), ("voc", False, 294.2e6)],
)
def test_operations_per_second(full, part, scores, flops):
    """Two per multiplication and addition, of one second of audio."""
    found = []

    def count(module, _inputs, output):
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d)):
            found.append(2 * output.numel() * module.weight[0].numel())

    hooks = [module.register_forward_hook(count) for module in getattr(full, part).modules()]
    with torch.device("meta"):
        if part == "voc":
            full.voc(torch.zeros(1, 50, 192))
        else:
            full.scores(torch.zeros(1, 24000), part="encoder" if part == "enc" else "frontend")
    for hook in hooks:
        hook.remove()
    total = sum(found) + (2 * 50 * full.vq.key.numel() if scores else 0)
    assert abs(total - flops) <= 0.05e6


def test_a_code_is_ready_with_half_of_its_frame(small):
    with torch.no_grad():
        for samples, frames in [(0, 0), (239, 0), (240, 1), (719, 1), (720, 2), (24000, 50)]:
            codes, _ = small.encode(noise(samples), part="encoder")
            late, _ = small.encode(noise(samples), part="frontend")
            assert codes.shape == (1, frames, 24)
            assert late.shape == (1, max(frames - 1, 0), 24)


def test_the_front_end_says_later_what_its_network_says(small):
    audio = noise(4800)
    with torch.no_grad():
        mel, _ = small.mel(audio)
        logits, _ = small.fe(mel)
        codes, _ = small.encode(audio, part="frontend")
    expected = logits.view(1, 10, 24, 32).argmax(-1)
    assert torch.equal(codes.long(), expected[:, 1:])


@pytest.mark.parametrize(("part", "latency"), [("encoder", 719), ("frontend", 1199)])
def test_latency_by_sweep(small, part, latency):
    """From the first output sample that an input sample changes to that input sample."""
    phases = torch.tensor([0, 1, 238, 239, 240, 241, 478, 479, *range(30, 480, 45)])
    at = 960 + phases
    audio = noise(6 * 480).repeat(len(at), 1)
    audio[torch.arange(len(at)), at] = torch.nan
    with torch.no_grad():
        scores, _ = small.scores(audio, part=part)
        # The maximum of NaN is some code: the probe goes through soft weights instead.
        z = scores.softmax(-1).flatten(2) @ small.vq.value
        out, _ = small.voc(z)
    touched = torch.isnan(out)
    assert touched.any(1).all()
    first = touched.int().argmax(1) - 480  # the first samples carry negative times
    delays = at - first
    assert (int(delays.min()), int(delays.max())) == (latency - 479, latency)


def test_the_half_before_the_first_frame_is_zero_after_its_block(small):
    """Not what the block makes of zeros: its biases would enter."""
    audio = noise(240)
    with torch.no_grad():
        mel, _ = small.mel(audio)
        half = small.enc.get_submodule("0")(mel, Memory(None))
        x = torch.cat((torch.zeros_like(half), half), dim=1)
        for name in "12":
            x = small.enc.get_submodule(name)(x, Memory(None))
        expected = small.enc.query(small.enc.norm(x.transpose(1, 2)))
        queries, _ = small.queries(audio)
    assert (queries.flatten() - expected.flatten()).abs().max() <= tolerances.F64_REORDERED


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_any_split_is_the_whole(name, seed):
    config = SHAPES[name]
    model = random_sublime(config, 3).double()
    audio = noise(20 * config.hop_length + 7, seed, batch=2)
    generator = torch.Generator().manual_seed(seed)
    parts = [p for p in ("encoder", "frontend") if p in config.parts]
    with torch.no_grad():
        for part in parts:
            whole, _ = model.scores(audio, part=part)
            state, at, rows = None, 0, []
            while at < audio.shape[1]:
                step = int(torch.randint(0, 2 * config.hop_length, (), generator=generator))
                row, state = model.scores(audio[:, at : at + step], state, part=part)
                rows.append(row)
                at += step
            late = config.lookahead_frames if part == "frontend" else 0
            assert whole.shape[1] == 20 - late
            assert (torch.cat(rows, 1) - whole).abs().max() <= tolerances.F64_REORDERED
        codes = whole.argmax(-1)
        expected, _ = model.decode(codes)
        state, at, rows = None, 0, []
        while at < codes.shape[1]:
            step = int(torch.randint(0, 4, (), generator=generator))
            row, state = model.decode(codes[:, at : at + step], state)
            rows.append(row)
            at += step
    assert expected.shape == (2, codes.shape[1] * config.hop_length)
    error = (torch.cat(rows, 1) - expected).abs().max()
    assert error <= tolerances.F64_REORDERED * expected.abs().max()


def test_streams_in_a_batch_do_not_mix(small):
    audio = noise(4800, batch=2)
    with torch.no_grad():
        both, _ = small.scores(audio)
        one, _ = small.scores(audio[1:])
    assert (both[1:] - one).abs().max() <= tolerances.F64_REORDERED


def test_mode_a_reads_the_first_codes_alone(small):
    codes = torch.randint(0, 32, (1, 12, 24), generator=torch.Generator().manual_seed(5))
    other = codes.clone()
    other[..., 4:] = (other[..., 4:] + 1) % 32
    with torch.no_grad():
        low, _ = small.decode(codes[..., :4])
        low_of_other, _ = small.decode(other[..., :4])
        high, _ = small.decode(codes)
        value = small.vq.value.view(24, 32, -1)
        z = sum(value[g, codes[0, :, g]] for g in range(4))
        by_hand, _ = small.voc(z[None])
    assert torch.equal(low, low_of_other)
    assert (low - by_hand).abs().max() <= tolerances.F64_REORDERED * low.abs().max()
    assert (low - high).abs().max() > 1e-3 * high.abs().max()


def test_a_magnitude_out_of_range_stays_finite(small):
    spectrum = torch.zeros(1, 2, 480, 3, dtype=torch.float64)
    spectrum[0, 0, 7, 1] = 1000
    with torch.no_grad():
        audio, _ = small.voc.synthesis(spectrum, None)
    assert torch.isfinite(audio).all()
    # A sine of exp(7), orthonormal, in the middle of its window.
    expected = 2 * math.exp(7) / math.sqrt(960)
    assert float(audio.abs().max()) == pytest.approx(expected, rel=0.01)


def test_bins_of_a_shuffle():
    x = torch.arange(2 * 3 * 4).view(1, 6, 4, 1)
    y = shuffle_bins(x, 3)
    assert y.shape == (1, 2, 12, 1)
    for c in range(2):
        for q in range(4):
            for j in range(3):
                assert y[0, c, q * 3 + j, 0] == x[0, c * 3 + j, q, 0]


def test_parts_alone_compute_the_same(small):
    audio = noise(4800)
    with torch.no_grad():
        codes, _ = small.encode(audio)
        expected, _ = small.decode(codes)
        for parts in (("encoder",), ("decoder",), ("frontend", "decoder")):
            model = Sublime(SMALL.only(*parts)).double()
            names = model.state_dict().keys()
            model.load_state_dict({k: v for k, v in small.state_dict().items() if k in names})
            if "encoder" in parts:
                assert torch.equal(model.encode(audio)[0], codes)
                with pytest.raises(ArgumentError, match="'decoder', expected one of encoder"):
                    model.decode(codes)
            else:
                assert torch.equal(model.decode(codes)[0], expected)
                with pytest.raises(ArgumentError, match="part 'encoder'"):
                    model.encode(audio, part="encoder")


def test_bad_calls(small):
    with pytest.raises(ShapeError, match=r"audio: shape \(3,\)"):
        small.encode(torch.zeros(3))
    with pytest.raises(ShapeError, match=r"codes: shape \(1, 2, 5\)"):
        small.decode(torch.zeros(1, 2, 5))
    with pytest.raises(ArgumentError, match="values 0 to 32, expected 0 to 31"):
        small.decode(torch.tensor([[[0, 32, 0, 0]]]))
    with pytest.raises(ArgumentError, match="values -1 to 0"):
        small.decode(torch.tensor([[[0, -1, 0, 0]]]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enc": (BlockShape(160, 8, 8, 8), BlockShape(8, 8, 8, 8))}, r"enc\.blocks\.1.*16"),
        ({"enc": (BlockShape(150, 8, 8, 8),)}, r"enc\.blocks\.0.*160 inputs"),
        ({"voc": (BlockShape(11, 0, 8, 8),)}, r"voc\.blocks\.0"),
        ({"fe_stack_after": 4}, r"fe\.stack_after: 4"),
        ({"bands": (BandShape(20, 80, 5, 3, (2, 2)),)}, "80 bins, expected 480"),
        ({"bands": (BandShape(20, 480, 5, 3, (2, 2)),)}, r"voc\.bands\.0"),
        ({"bands": (BandShape(120, 480, 4, 3, (2, 2)),)}, r"voc\.bands\.0"),
        ({"mel_hop": 200}, "hop_length"),
        ({"mel_n_fft": (480, 100)}, r"mel\.n_fft"),
        ({"n_groups_a": 0}, "n_groups"),
        ({"codebook_size": 257}, "codebook_size"),
        ({"sharpness": (0.0, -0.1)}, r"voc\.sharpness: .*-0\.1\), expected 0 to 1"),
        ({"sharpness": (1.1, 0.0)}, r"voc\.sharpness: \(1\.1"),
        ({"sharpness_bins": 0}, r"voc\.sharpness_bins: 0"),
        ({"enc": (), "fe": (), "voc": ()}, "no blocks"),
    ],
)
def test_bad_configurations(changes, message):
    fields = {name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__}
    with pytest.raises(ArgumentError, match=message):
        SublimeConfig(**(fields | changes))


def test_codes_choose_what_phases_are_turned_by():
    config = dataclasses.replace(SMALL, phase_offsets=37)
    codes = torch.randint(0, 32, (2, 50, 24), generator=torch.Generator().manual_seed(1))
    rows = offset_rows(codes, config)
    assert rows.tolist() == [
        [sum((g + 1) * code for g, code in enumerate(frame)) % 37 for frame in clip]
        for clip in codes.tolist()
    ]
    for g in range(24):  # one other code, another row
        other = codes.clone()
        other[..., g] = (codes[..., g] + 1 + g) % 32
        assert not (offset_rows(other, config) == rows).any()
    unheard = torch.full_like(codes, 255)
    unheard[..., :4] = codes[..., :4]
    assert torch.equal(offset_rows(unheard, config), offset_rows(codes[..., :4], config))
    assert offset_rows(codes, SMALL) is None


def test_phases_are_turned_where_pitch_pulses_are_not_told(small):
    config = dataclasses.replace(SMALL, phase_offsets=37)
    turned = Sublime(config).double()
    turned.load_state_dict(small.state_dict(), strict=False)
    table = turned.voc.phase_offsets
    assert table.shape == (37, 480)
    assert not table[:, :61].any()  # 1500 Hz
    assert table[:, 100:].abs().max() <= math.pi
    assert table[:, 100:].std() == pytest.approx(math.pi / 3**0.5, rel=0.02)
    assert torch.equal(table, phase_offsets(config).double())
    codes = torch.randint(0, 32, (1, 20, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, _ = small.decode(codes)
        out, _ = turned.decode(codes)
        z = small.vq.lookup(codes)
        spectrum = small.voc.spectrum(z, Memory(None))
        spectrum[:, 1] += table[offset_rows(codes, config)].transpose(1, 2)
        expected, _ = small.voc.synthesis(spectrum, None)
    assert torch.equal(out, expected)
    assert (out - plain).abs().max() > 0.1 * plain.abs().max()


def test_levels_are_moved_away_from_those_around_them():
    levels = torch.randn(2, 40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    w = 4
    a = torch.tensor([[0.3, 0.0, 0.1], [1.0, 0.2, 0.6]], dtype=torch.float64)
    moved = sharpened(levels, a, w)
    assert torch.allclose((2 * moved).exp().sum(1), (2 * levels).exp().sum(1))
    for clip, frame in ((0, 0), (1, 2)):
        m = levels[clip, :, frame].tolist()
        around = [m[max(0, k - w) : k + w + 1] for k in range(40)]
        wanted = [
            x + float(a[clip, frame]) * (x - sum(near) / len(near))
            for x, near in zip(m, around, strict=True)
        ]
        shift = moved[clip, :, frame] - torch.tensor(wanted, dtype=torch.float64)
        assert shift.max() - shift.min() < 1e-12
    assert torch.equal(moved[0, :, 1], levels[0, :, 1])
    even = torch.full((1, 40, 1), -2.0, dtype=torch.float64)
    assert torch.allclose(sharpened(even, torch.ones(1, 1), 40), even)


def test_each_mode_has_its_sharpness():
    config = dataclasses.replace(SMALL, sharpness=(0.3, 0.1))
    model = random_sublime(config, 3).double()
    codes = torch.randint(0, 32, (1, 6, 24), generator=torch.Generator().manual_seed(1))
    sent = codes.clone()
    sent[0, 2, 4:] = 255  # mode A
    sent[0, 4] = 255  # lost
    assert sharpness_of(sent, config).tolist() == [[0.1, 0.1, 0.3, 0.1, 0.3, 0.1]]
    assert sharpness_of(sent, SMALL) is None
    for heard, a in ((codes, 0.1), (codes[..., :4], 0.3)):
        with torch.no_grad():
            found, _ = model.decode(heard)
            spectrum = model.voc.spectrum(model.vq.lookup(heard), Memory(None))
            plain, _ = model.voc.synthesis(spectrum, None)
            strength = torch.full((1, 6), a, dtype=torch.float64)
            spectrum[:, 0] = sharpened(spectrum[:, 0], strength, config.sharpness_bins)
            expected, _ = model.voc.synthesis(spectrum, None)
        assert torch.equal(found, expected)
        assert (found - plain).abs().max() > 0.02 * plain.abs().max()
