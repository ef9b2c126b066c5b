"""A codec that is let sharpen its levels: the same weights, and what its file and card say."""

import numpy as np
import pytest

import voxhop
from scripts import run_tool
from streams import GOLDEN

pytestmark = pytest.mark.torch

CODEC = GOLDEN.parent / "sublime-random" / "model-f32.gguf"


def sharpened(model, out, *sharpness):
    flags = ("--sharpness", *sharpness, "--dtype", "f32")
    done = run_tool("sharpen_codec.py", model, out, *flags)
    assert done.returncode == 0, done.stderr
    return out


def test_there_and_back_changes_no_weight(tmp_path):
    from voxhop.export.sublime import read_sublime  # noqa: PLC0415 - of the mark

    there = sharpened(CODEC, tmp_path / "there.gguf", 0.3, 0.1)
    back = sharpened(there, tmp_path / "back.gguf", 0, 0)
    models = [read_sublime(path) for path in (CODEC, there, back)]
    assert [model.config.sharpness for model in models] == [(0, 0), (0.3, 0.1), (0, 0)]
    for name, tensor in models[0].state_dict().items():
        for other in models[1:]:
            assert np.array_equal(other.state_dict()[name], tensor), name
    codes = np.random.default_rng(0).integers(0, 32, (20, 24), np.uint8)
    sounds = []
    for path in (CODEC, there, back):
        with voxhop.CodecDecoder(voxhop.load(path)) as decoder:
            sounds.append(decoder.push(codes))
    assert np.array_equal(sounds[0], sounds[2])
    assert np.abs(sounds[1] - sounds[0]).max() > 0.01 * np.abs(sounds[0]).max()
    # Frames overlap, so energy is kept but for their phases.
    assert np.std(sounds[1]) == pytest.approx(np.std(sounds[0]), rel=0.1)


def test_the_card_says_it_once(tmp_path):
    from voxhop.export.sublime import read_sublime, write_sublime  # noqa: PLC0415 - of the mark

    card = {"voxhop.model_card": "# A codec\n\nOf random weights."}
    write_sublime(read_sublime(CODEC), tmp_path / "known.gguf", metadata=card)
    once = sharpened(tmp_path / "known.gguf", tmp_path / "once.gguf", 0.2, 0)
    twice = sharpened(once, tmp_path / "twice.gguf", 0, 0.25)
    plain = sharpened(twice, tmp_path / "plain.gguf", 0, 0)
    cards = [voxhop.load(path).metadata["voxhop.model_card"] for path in (once, twice, plain)]
    assert "by\n0.2 (1 kbit/s) and 0 (6 kbit/s) of their distance" in cards[0]
    assert "by\n0 (1 kbit/s) and 0.25 (6 kbit/s) of their distance" in cards[1]
    assert [card.count("## Sharpness") for card in cards] == [1, 1, 0]
    assert cards[2] == card["voxhop.model_card"]


def test_too_much_is_refused(tmp_path):
    done = run_tool("sharpen_codec.py", CODEC, tmp_path / "out.gguf", "--sharpness", 0, 1.5)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "voc.sharpness: (0.0, 1.5), expected 0 to 1" in done.stderr
