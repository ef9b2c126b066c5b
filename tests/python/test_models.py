"""Loading models by name, path and content, and looking inside."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

import voxhop
from voxhop.models import find_model


@pytest.fixture(scope="module")
def content():
    return find_model(voxhop.DEFAULT_MODEL).read_bytes()


def test_default_is_bundled_and_first():
    assert voxhop.bundled_models()[0] == voxhop.DEFAULT_MODEL


def test_name_path_and_content_are_the_same_model(content):
    path = find_model(voxhop.DEFAULT_MODEL)
    infos = set()
    for source in (voxhop.DEFAULT_MODEL, path, str(path), content, bytearray(content)):
        with voxhop.load(source) as model:
            # Content stays in memory; a file is there to be read again.
            infos.add(dataclasses.replace(model.info, weight_bytes=0))
    assert len(infos) == 1


def test_content_may_change_after_loading(content, call):
    mutable = bytearray(content)
    with voxhop.load(mutable) as model:
        mutable[:] = bytes(len(mutable))
        with model.session() as one, voxhop.load(content) as same, same.session() as two:
            hop = call[0][:256], call[1][:256]
            assert (one.process_hop(*hop) == two.process_hop(*hop)).all()


def test_file_may_be_replaced_and_removed_after_loading(tmp_path, content, call):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF, but of no model")
    hop = call[0][:256], call[1][:256]
    with voxhop.load(path) as model, voxhop.load(content) as same:
        other.replace(path)
        with model.session() as one, same.session() as two:
            assert (one.process_hop(*hop) == two.process_hop(*hop)).all()
        path.unlink()
        with model.session(kernels="stock") as one, same.session(kernels="stock") as two:
            assert (one.process_hop(*hop) == two.process_hop(*hop)).all()


@pytest.mark.skipif(sys.platform == "win32", reason="files are read whole there")
def test_file_that_is_written_to_after_loading_is_told_of_and_sessions_go_on(
    tmp_path, content, call
):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    mic, ref = call[0], call[1]
    with (
        voxhop.load(path) as model,
        model.session() as running,
        voxhop.load(content) as same,
        same.session() as untouched,
    ):
        path.write_bytes(content[:1000])
        with pytest.raises(voxhop.ModelFileError, match=r"model\.gguf: (ends|written to)"):
            model.session(kernels="stock")
        with model.session() as another:  # what is packed is there
            for at in range(0, 256 * 8, 256):
                hop = mic[at : at + 256], ref[at : at + 256]
                expected = untouched.process_hop(*hop)
                assert (running.process_hop(*hop) == expected).all()
                assert (another.process_hop(*hop) == expected).all()


def test_tensors_of_a_file_leave_memory_when_they_are_packed(content, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with voxhop.load(path) as model:
        unpacked = model.info.weight_bytes
        assert unpacked < 0.2 * 4 * model.info.parameter_count
        with model.session():
            packed = model.info.weight_bytes
    with voxhop.load(content) as model, model.session():
        # The same packed copy; beside it the content.
        assert 0 <= model.info.weight_bytes - packed - len(content) <= unpacked


def test_path_with_letters_beyond_ascii(tmp_path, content):
    path = tmp_path / "Modell für Größe 模型.gguf"
    path.write_bytes(content)
    with voxhop.load(path) as model:
        assert model.source == str(path)


def test_info_metadata_and_tensors_agree(model):
    info = model.info
    assert info.architecture == model.metadata["general.architecture"] == "localvqe"
    assert str(info.version) == model.metadata["localvqe.version"]
    assert info.window_ms == pytest.approx(info.d_max * 16.0)
    sizes = 0
    for tensor in model.tensors:
        count = 1
        for size in tensor.shape:
            count *= size
        sizes += count
    assert sizes == info.parameter_count > 1_000_000
    names = {tensor.name: tensor for tensor in model.tensors}
    assert names["mic_enc1.conv.weight"].shape[-2:] == (4, 4)


@pytest.mark.parametrize("source", ["no-such-model", "no/such/file.gguf", Path("gone.gguf")])
def test_missing_model_names_itself_and_the_bundled_ones(source):
    words = f"{os.fspath(source)}: no such file.*{voxhop.DEFAULT_MODEL}"
    with pytest.raises(voxhop.ModelFileError, match=words):
        voxhop.load(source)


def test_folder_is_no_model(tmp_path):
    with pytest.raises(voxhop.ModelFileError, match="a folder, expected a GGUF file"):
        voxhop.load(tmp_path)


@pytest.mark.parametrize("source", [None, 3, ["a"]])
def test_other_types_are_no_model(source):
    with pytest.raises(TypeError, match="expected a name, a path or the bytes"):
        voxhop.load(source)


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "bytes"])
@pytest.mark.parametrize("damage", ["empty", "text", "magic", "half", "last byte"])
def test_damaged_model_is_refused(tmp_path, content, damage, as_file):
    bad = {
        "empty": b"",
        "text": b"not a model\n" * 100,
        "magic": b"X" + content[1:],
        "half": content[: len(content) // 2],
        "last byte": content[:-1],
    }[damage]
    source = bad
    if as_file:
        source = tmp_path / "bad.gguf"
        source.write_bytes(bad)
    with pytest.raises(voxhop.ModelFileError):
        voxhop.load(source)


def test_use_after_close():
    model = voxhop.load()
    info = model.info
    model.close()
    model.close()
    assert model.closed
    assert model.info == info
    for use in (lambda: model.tensors, lambda: model.metadata, model.session):
        with pytest.raises(voxhop.StateError, match=r"used after close\(\)"):
            use()


def test_isas_are_names_without_spaces():
    isas = voxhop.cpu_isas()
    assert all(isa == isa.strip() and isa for isa in isas)
    assert len(set(isas)) == len(isas)
