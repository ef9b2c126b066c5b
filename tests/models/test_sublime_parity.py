"""Sublime in the engine against its float64 reference, at shapes that nothing divides."""

import dataclasses

import numpy as np
import pytest

import tolerances
import voxhop

torch = pytest.importorskip("torch", reason="needs the torch extra")

from models.sublime_streams import decode, encode, low_rate
from models.test_sublime_golden import KERNELS, how
from reference.sublime_shapes import SHAPES
from streams import relative_rms
from voxhop.export.sublime import write_sublime
from voxhop.reference.sublime import random_sublime

FRAMES = 14
# 255 is the code that was not sent.
CASES = {
    name: dataclasses.replace(shape, codebook_size=min(shape.codebook_size, 255))
    for name, shape in SHAPES.items()
}


def speech_like(samples):
    rng = np.random.default_rng(0)
    level = 10 ** (-3 * np.abs(np.sin(np.arange(samples) / 997)))
    audio = 0.3 * level * rng.standard_normal(samples)
    audio[samples // 3 : samples // 2] = 0
    return audio.astype("f4")


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    model = random_sublime(CASES[request.param], 3)
    path = tmp_path_factory.mktemp("sublime") / "m.gguf"
    write_sublime(model, path)
    return model.double(), path


@pytest.mark.parametrize("isa", KERNELS)
@pytest.mark.parametrize("part", ["encoder", "front-end"])
def test_codes(case, part, isa):
    model, path = case
    name = part.replace("-", "")
    if name not in model.config.parts:
        pytest.skip("this shape has no front-end")
    pcm = speech_like(FRAMES * model.config.hop_length)
    with torch.no_grad():
        scores, _ = model.scores(torch.from_numpy(pcm).double()[None], part=name)
    best = scores[0].topk(2, dim=-1)
    expected = best.indices[..., 0].numpy()
    clear = (best.values[..., 0] - best.values[..., 1]).numpy() > tolerances.SUBLIME_MARGIN
    with voxhop.load(path).session(part=part, **how(isa)) as session:
        tap = "queries" if part == "encoder" else "logits"
        codes, values = encode(session, pcm, [tap], hop=model.config.hop_length)
        late = session.latency_samples // model.config.hop_length
    assert late == (0 if part == "encoder" else model.config.lookahead_frames)
    assert codes[late:].shape == expected.shape
    assert clear.mean() > 0.9
    assert np.array_equal(codes[late:][clear], expected[clear])
    with torch.no_grad():
        exact = (
            scores
            if part == "front-end"
            else model.queries(torch.from_numpy(pcm).double()[None])[0]
        )
    error = relative_rms(values[late:], exact.reshape(len(expected), -1).numpy())
    assert error <= tolerances.SUBLIME_RELATIVE_RMS


@pytest.mark.parametrize("isa", KERNELS)
def test_samples(case, isa):
    model, path = case
    c = model.config
    codes = np.random.default_rng(1).integers(0, c.codebook_size, (FRAMES, c.n_groups)).astype("u1")
    with voxhop.load(path).session(part="decoder", **how(isa)) as session:
        for sent in (codes, low_rate(codes, c.n_groups_a)):
            session.reset()
            kept = codes if sent is codes else codes[:, : c.n_groups_a]
            with torch.no_grad():
                expected = model.decode(torch.from_numpy(kept.astype("i8"))[None])[0][0].numpy()
            found = decode(session, sent)
            assert np.abs(expected).max() > 1e-3
            assert relative_rms(found, expected) <= tolerances.SUBLIME_RELATIVE_RMS


def test_a_file_of_one_part_is_that_part(case, tmp_path):
    model, path = case
    pcm = speech_like(FRAMES * model.config.hop_length)
    whole = voxhop.load(path)
    for name in model.config.parts:
        part = "front-end" if name == "frontend" else name
        write_sublime(model.float(), tmp_path / f"{name}.gguf", parts=[name])
        alone = voxhop.load(tmp_path / f"{name}.gguf")
        assert alone.options[0].choices == (part,)
        with alone.session() as session, whole.session(part=part) as other:
            if name == "decoder":
                codes = np.zeros((FRAMES, model.config.n_groups), "u1")
                found, expected = decode(session, codes), decode(other, codes)
            else:
                hop = model.config.hop_length
                (found,), (expected,) = encode(session, pcm, hop=hop), encode(other, pcm, hop=hop)
            assert np.array_equal(found, expected)
