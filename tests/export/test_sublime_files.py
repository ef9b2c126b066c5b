"""Sublime's model files: whole and in parts, both ways, and what is refused."""

from pathlib import Path

import gguf
import numpy as np
import pytest

import tolerances

torch = pytest.importorskip("torch", reason="needs the torch extra")

from sublime_shapes import SHAPES, SMALL

from voxhop.errors import ArgumentError, ModelFileError
from voxhop.export.sublime import read_sublime, sublime_metadata, write_sublime
from voxhop.reference.sublime import Sublime, random_sublime
from voxhop.reference.sublime.config import FRONTEND, SublimeConfig

GOLDEN = Path(__file__).parent.parent / "golden" / "sublime-random" / "model-f32.gguf"


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_gives_the_model_back(tmp_path, name):
    model = random_sublime(SHAPES[name], 2)
    path = tmp_path / "m.gguf"
    write_sublime(model, path, metadata={"general.name": "x"})
    back = read_sublime(path)
    assert back.config == model.config
    state = model.state_dict()
    assert back.state_dict().keys() == state.keys()
    for key, tensor in back.state_dict().items():
        if key != "vq.key":
            assert torch.equal(tensor, state[key]), key
    assert (back.vq.key - state["vq.key"]).abs().max() <= tolerances.F32_TABLE


@pytest.mark.parametrize("parts", [("encoder",), ("decoder",), ("frontend", "decoder")])
def test_a_file_may_hold_parts(tmp_path, parts):
    model = random_sublime(SMALL, 2)
    path = tmp_path / "m.gguf"
    write_sublime(model, path, parts=parts)
    back = read_sublime(path)
    assert back.config.parts == parts
    names = {t.name.split(".")[0] for t in gguf.GGUFReader(path).tensors}
    assert ("enc" in names, "fe" in names, "voc" in names) == tuple(
        part in parts for part in ("encoder", "frontend", "decoder")
    )
    assert ("mel" in names) == (parts != ("decoder",))
    fields = gguf.GGUFReader(path).fields
    assert fields["sublime.parts"].contents() == ",".join(parts)
    assert fields["sublime.track"].contents() == (2 if "frontend" in parts else 1)
    with pytest.raises(ArgumentError, match=r"'piano', expected one of encoder, frontend"):
        write_sublime(model, path, parts=("piano",))


def test_the_golden_file_written_again_holds_the_same(tmp_path):
    """Names, shapes and metadata of a file that was not made here."""
    path = tmp_path / "m.gguf"
    write_sublime(read_sublime(GOLDEN), path)
    ours, theirs = gguf.GGUFReader(path), gguf.GGUFReader(GOLDEN)
    shapes = [{t.name: (t.data.shape, t.tensor_type) for t in r.tensors} for r in (ours, theirs)]
    assert shapes[0] == shapes[1]
    found, expected = (
        {k: (f.types[0], f.contents()) for k, f in r.fields.items() if k.startswith("sublime.")}
        for r in (ours, theirs)
    )
    assert found == expected
    for key in ("mel.n_fft", "mel.n_mels", "voc.bands.0.upsample"):
        assert ours.fields[f"sublime.{key}"].types[1] == gguf.GGUFValueType.UINT32


def test_keys_are_normalised_in_the_file_alone(tmp_path):
    model = random_sublime(SMALL, 2)
    with torch.no_grad():
        model.vq.key.mul_(7)
    before = model.vq.key.clone()
    path = tmp_path / "m.gguf"
    write_sublime(model, path, dtype="f16")
    assert torch.equal(model.vq.key, before)
    tensors = {t.name: t.data for t in gguf.GGUFReader(path).tensors}
    assert tensors["vq.key"].dtype == np.float32
    assert np.abs(np.linalg.norm(tensors["vq.key"], axis=1) - 1).max() < 1e-6
    for name in ("enc.1.conv.weight", "enc.query.weight", "vq.value", "voc.band.0.in.weight"):
        assert tensors[name].dtype == np.float16, name
    for name in ("mel.a.weight", "voc.out.weight", "enc.0.conv.bias", "voc.band.1.ps0.weight"):
        assert tensors[name].dtype == np.float32, name


def test_halved_weights_leave_most_codes(tmp_path):
    model = random_sublime(SMALL, 2)
    path = tmp_path / "m.gguf"
    write_sublime(model, path, dtype="f16")
    audio = 0.1 * torch.randn(1, 48000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        same = model.encode(audio)[0] == read_sublime(path).encode(audio)[0]
    assert 0.98 < same.float().mean() < 1


def test_metadata_of_the_published_front_end():
    values = sublime_metadata(SublimeConfig(fe=FRONTEND))
    assert values["sublime.track"] == 2
    assert values["sublime.lookahead_frames"] == 1
    assert values["sublime.fe.stack_after"] == 3
    assert values["sublime.fe.blocks.count"] == 11
    assert values["sublime.fe.blocks.10.ff"] == 832


def broken(path, *, keys=None, drop=(), tensors=None):
    """Write a valid file again with other keys or tensors."""
    reader = gguf.GGUFReader(path)
    out = path.with_name("broken.gguf")
    writer = gguf.GGUFWriter(out, "sublime")
    fields = {k: f.contents() for k, f in reader.fields.items() if k.startswith("sublime.")}
    for key, value in (fields | (keys or {})).items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        if key not in drop:
            add.get(type(value), writer.add_array)(key, value)
    held = {t.name: t.data for t in reader.tensors} | (tensors or {})
    for name, data in held.items():
        if name not in drop:
            writer.add_tensor(name, np.ascontiguousarray(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": {"sublime.version": 2}}, r"sublime\.version: 2, expected 1"),
        ({"keys": {"sublime.mel.scale": "htk"}}, r"sublime\.mel\.scale"),
        ({"keys": {"sublime.istft.n_fft": 512}}, r"sublime\.istft\.n_fft"),
        ({"keys": {"sublime.parts": "encoder,flute"}}, "'flute'"),
        ({"keys": {"sublime.enc.blocks.1.in": 17}}, r"enc\.blocks\.1"),
        ({"keys": {"sublime.voc.bands.0.upsample": [3]}}, r"voc\.bands\.0"),
        ({"drop": ("sublime.enc.blocks.1.ff",)}, r"sublime\.enc\.blocks\.1\.ff: missing"),
        ({"drop": ("vq.key",)}, r"vq\.key"),
        ({"tensors": {"vq.value": np.zeros((768, 10), np.float32)}}, r"vq\.value"),
        ({"tensors": {"voc.extra": np.zeros(3, np.float32)}}, r"voc\.extra"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, changes, message):
    path = tmp_path / "m.gguf"
    write_sublime(random_sublime(SMALL, 2), path)
    assert isinstance(read_sublime(broken(path)), Sublime)
    with pytest.raises(ModelFileError, match=message):
        read_sublime(broken(path, **changes))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(ModelFileError, match="not a readable"):
        read_sublime(path)
    other = GOLDEN.parent.parent / "localvqe-v1.1-random" / "model-f32.gguf"
    with pytest.raises(ModelFileError, match=r"general\.architecture: 'localvqe'"):
        read_sublime(other)
    model = random_sublime(SMALL, 2)
    with pytest.raises(ArgumentError, match=r"sublime\.track"):
        write_sublime(model, path, metadata={"sublime.track": 1})
    with pytest.raises(ArgumentError, match="dtype"):
        write_sublime(model, path, dtype="f8")
