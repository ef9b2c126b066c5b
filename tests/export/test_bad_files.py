"""Reading refuses what it does not understand, by name."""

import gguf
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the torch extra")

from voxhop.errors import ModelFileError
from voxhop.export import gguf_metadata, gguf_tensors, read_gguf, write_gguf
from voxhop.reference import LocalVQEConfig, random_model

CONFIG = LocalVQEConfig(
    mic_channels=(2, 4, 4, 4, 4, 4), far_channels=(2, 4, 4), align_hidden=4, bottleneck_hidden=4
)


def write(path, metadata, tensors, architecture="localvqe"):
    """Write a file whose content need not make sense."""
    writer = gguf.GGUFWriter(path, architecture)
    add = {
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
    }
    for key, value in metadata.items():
        add[type(value)](key, value)
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def content():
    return gguf_metadata(CONFIG), gguf_tensors(random_model(CONFIG, seed=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"localvqe.version": 4}, "version: 4, expected 1, 2 or 3"),
        ({"localvqe.dmax": None}, r"localvqe\.dmax: missing"),
        ({"localvqe.dmax": "32"}, r"localvqe\.dmax: str, expected int"),
        ({"localvqe.dmax": 0}, "d_max: 0, expected 1 to 65536"),
        ({"localvqe.kernel_size_w": None}, r"localvqe\.kernel_size_w: 3, expected 4"),
        ({"localvqe.mic_channels.5": None}, r"localvqe\.mic_channels\.5: missing"),
        ({"localvqe.bottleneck_hidden": 2**31}, "bottleneck_hidden: 2147483648, expected 1 to"),
        ({"localvqe.mic_channels.4": 60000}, r"shape .*, expected .*60000"),
        ({"localvqe.n_fft": 320}, "n_fft: 320, expected 512"),
        ({"localvqe.shuffle": "weave"}, "shuffle: 'weave'"),
        ({"localvqe.comfort_noise_db": 3.0}, "comfort_noise_db: 3.0"),
        ({"localvqe.comfort_noise_db": "some"}, "comfort_noise_db: str"),
        ({"localvqe.align_hidden": 5}, r"align\.\S+: shape .*, expected"),
        ({"localvqe.mic_channels.3": 6}, r"shape .*, expected"),
    ],
    ids=str,
)
def test_bad_metadata(tmp_path, content, change, message):
    metadata, tensors = content
    for key, value in change.items():
        metadata.pop(key, None)
        if value is not None:
            metadata[key] = value
    path = tmp_path / "bad.gguf"
    write(path, metadata, tensors)
    with pytest.raises(ModelFileError, match=message) as error:
        read_gguf(path)
    assert "bad.gguf" in str(error.value)


def test_a_file_without_version_is_generation_1(tmp_path):
    config = LocalVQEConfig(version=1, mic_channels=CONFIG.mic_channels, far_channels=(2, 4, 4))
    metadata, tensors = gguf_metadata(config), gguf_tensors(random_model(config, seed=2))
    del metadata["localvqe.version"]
    write(tmp_path / "old.gguf", metadata, tensors)
    assert read_gguf(tmp_path / "old.gguf").config == config


def test_another_architecture(tmp_path, content):
    write(tmp_path / "other.gguf", *content, architecture="gtcrn")
    with pytest.raises(
        ModelFileError, match=r"general\.architecture: 'gtcrn', expected 'localvqe'"
    ):
        read_gguf(tmp_path / "other.gguf")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("dec2.resblock.conv.bias", None, r"dec2\.resblock\.conv\.bias: missing"),
        ("bottleneck.a_imag", None, r"bottleneck\.a_imag: missing"),
        ("dec6.x", np.zeros(2, np.float32), r"dec6\.x: unknown to generation 2"),
        ("bottleneck.a_real", np.zeros(5, np.float32), r"a_real: shape \(5,\), expected \(4,\)"),
        ("bottleneck.D", np.zeros(5, np.float32), r"bottleneck\.D: shape \(5,\), expected \(32,\)"),
        ("bottleneck.D", np.zeros(32, np.int32), r"bottleneck\.D: type I32, expected F32 or F16"),
    ],
)
def test_bad_tensors(tmp_path, content, name, array, message):
    metadata, tensors = content
    tensors.pop(name, None)
    if array is not None:
        tensors[name] = array
    write(tmp_path / "bad.gguf", metadata, tensors)
    with pytest.raises(ModelFileError, match=message):
        read_gguf(tmp_path / "bad.gguf")


@pytest.mark.parametrize("keep", [0, 3, 20, 600, 5000, 100_000])
def test_a_truncated_file(tmp_path, keep):
    whole, path = tmp_path / "whole.gguf", tmp_path / "cut.gguf"
    write_gguf(random_model(CONFIG, seed=3), whole)
    data = whole.read_bytes()
    assert len(data) > keep
    path.write_bytes(data[:keep])
    with pytest.raises(ModelFileError, match=r"cut\.gguf"):
        read_gguf(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_gguf(tmp_path / "absent.gguf")
