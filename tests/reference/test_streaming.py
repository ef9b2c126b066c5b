"""Whole clips, hops and any split are one computation, and it never looks ahead."""

import numpy as np
import pytest

import tolerances
from signals import HOP, echo_pair

torch = pytest.importorskip("torch", reason="needs the torch extra")

from shapes import SHAPES

from voxhop.errors import ShapeError
from voxhop.reference import random_model

FRAMES = 40


@pytest.fixture(params=list(SHAPES), scope="module")
def model(request):
    return random_model(SHAPES[request.param], seed=3).double()


@pytest.fixture(scope="module")
def pair():
    mic, ref = echo_pair(FRAMES * HOP, 5)
    return torch.from_numpy(np.stack((mic, mic[::-1]))), torch.from_numpy(np.stack((ref, -ref)))


def run_split(model, mic, ref, frames):
    state, pieces, start = None, [], 0
    for count in frames:
        stop = start + count * HOP
        out, state = model(mic[:, start:stop], ref[:, start:stop], state)
        pieces.append(out)
        start = stop
    return pieces


def worst(found, expected):
    return (found - expected).abs().max() / expected.abs().max()


@pytest.mark.parametrize(
    "split", [[1] * FRAMES, [7, 1, 12, 2, 9, 9], [20, 20]], ids=["hops", "mixed", "halves"]
)
@torch.no_grad()
def test_any_split_gives_the_same_output(model, pair, split):
    whole, _ = model(*pair)
    pieces = run_split(model, *pair, split)
    for field in ("audio", "spectrum", "align_logits", "align"):
        joined = torch.cat([getattr(piece, field) for piece in pieces], dim=1)
        assert worst(joined, getattr(whole, field)) < tolerances.F64_REORDERED, field


@torch.no_grad()
def test_state_is_independent_of_the_split(model, pair):
    _, whole = model(*pair)
    state = None
    for start in range(0, FRAMES * HOP, 4 * HOP):
        _, state = model(*(x[:, start : start + 4 * HOP] for x in pair), state)
    for found, expected in zip(flat(state), flat(whole), strict=True):
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= tolerances.F64_FFT if found.numel() else True


def flat(state):
    if isinstance(state, torch.Tensor):
        return [state]
    if not isinstance(state, tuple):  # a count, or the absence of comfort noise
        return [torch.tensor(float(state or 0))]
    return [tensor for part in state for tensor in flat(part)]


@torch.no_grad()
def test_batch_entries_do_not_mix(model, pair):
    whole, _ = model(*pair)
    alone, _ = model(pair[0][1:], pair[1][1:])
    assert worst(alone.audio[0], whole.audio[1]) < tolerances.F64_REORDERED


@torch.no_grad()
def test_the_future_changes_nothing_before_it(model, pair):
    mic, ref = (x.clone() for x in pair)
    before, _ = model(mic, ref)
    # The first changed sample belongs to frame 25, whose first audio is output hop 25.
    mic[:, 25 * HOP + 17 :] *= -0.5
    ref[:, 25 * HOP + 17 :] += 0.05
    after, _ = model(mic, ref)
    change = (after.audio - before.audio).abs() / before.audio.abs().max()
    # Not bit-equal: the bottleneck's transform rounds every frame with the others.
    assert change[:, : 25 * HOP].max() < tolerances.F64_REORDERED
    assert change[:, 25 * HOP : 26 * HOP].max() > 1e-4


@torch.no_grad()
def test_encoders_alone_give_the_same_delays(model, pair):
    whole, _ = model(*pair)
    half = 15 * HOP
    first, state = model.encode_and_align(pair[0][:, :half], pair[1][:, :half])
    second, _ = model.encode_and_align(pair[0][:, half:], pair[1][:, half:], state)
    joined = torch.cat((first.align.logits, second.align.logits), dim=1)
    assert worst(joined, whole.align_logits) < tolerances.F64_REORDERED


@torch.no_grad()
def test_skipping_the_synthesis_changes_only_the_audio(model, pair):
    whole, _ = model(*pair)
    short, _ = model(*pair, synthesize=False)
    assert short.audio is None
    assert torch.equal(short.spectrum, whole.spectrum)


@pytest.mark.parametrize(
    ("mic", "ref", "names"),
    [
        ((1, 255), (1, 255), "mic"),
        ((1, 0), (1, 0), "mic"),
        ((256,), (256,), "mic"),
        ((2, 512), (1, 512), "ref"),
        ((1, 512), (1, 256), "ref"),
    ],
)
def test_shapes_that_do_not_fit_are_named(mic, ref, names):
    model = random_model(SHAPES["v2"], seed=0)
    with pytest.raises(ShapeError, match=rf"^{names}: shape"):
        model(torch.zeros(mic), torch.zeros(ref))
