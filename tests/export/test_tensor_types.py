"""Readers take f32 and f16 alone: other types would be numbers of another meaning."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ModelFileError
from voxhop.export.model_file import write_model_file
from voxhop.export.streamfm import read_streamfm, streamfm_metadata, streamfm_tensors
from voxhop.export.sublime import read_sublime, sublime_metadata, sublime_tensors

GOLDEN = Path(__file__).parent.parent / "golden"


def parts_of(architecture):
    if architecture == "sublime":
        model = read_sublime(GOLDEN / "sublime-random" / "model-f32.gguf")
        tensors = sublime_tensors(model, parts=model.config.parts, dtype="f32")
        return read_sublime, sublime_metadata(model.config), tensors
    model = read_streamfm(GOLDEN / "streamfm-random" / "model-f32.gguf")
    return read_streamfm, streamfm_metadata(model), streamfm_tensors(model, dtype="f32")


@pytest.mark.parametrize("architecture", ["sublime", "streamfm"])
def test_a_tensor_of_another_type_is_refused(tmp_path, architecture):
    read, values, tensors = parts_of(architecture)
    write_model_file(tmp_path / "good.gguf", architecture, values, tensors, None)
    read(tmp_path / "good.gguf")
    name = next(iter(tensors))
    whole = {**tensors, name: np.round(tensors[name]).astype(np.int32)}
    write_model_file(tmp_path / "bad.gguf", architecture, values, whole, None)
    with pytest.raises(ModelFileError, match=f"{name}: type I32, expected F32 or F16"):
        read(tmp_path / "bad.gguf")
