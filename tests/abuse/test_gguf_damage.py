"""Model files that are damaged or not what they claim: a code and a message, never a crash."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import voxhop
from gguf_bytes import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I32,
    STRING,
    TYPE_BF16,
    TYPE_F16,
    TYPE_Q8_0,
    U8,
    U32,
    U64,
    Tensor,
    tiny_localvqe,
)
from streams import run

HERE = Path(__file__).parent


def edited(edit, version=2):
    file = tiny_localvqe(version)
    edit(file)
    return file.encode()


def set_key(key, kind, value):
    return lambda file: file.metadata.__setitem__(key, (kind, value))


def drop_key(key):
    return lambda file: file.metadata.pop(key)


def drop_tensor(name):
    return lambda file: file.tensors.pop(name)


def reshape(name, *shape):
    return lambda file: file.put(name, np.zeros(shape))


def retype(name, kind, ne=None):
    def edit(file):
        old = file.tensors[name]
        file.tensors[name] = Tensor(ne or old.ne, kind, old.data)

    return edit


def quantise(name):
    def edit(file):
        old = file.tensors[name]
        blocks = int(np.prod(old.ne)) // 32
        file.tensors[name] = Tensor(old.ne, TYPE_Q8_0, bytes(34 * blocks))

    return edit


def poison(name):
    def edit(file):
        values = file.get(name)
        values.flat[-1] = np.nan
        file.put(name, values)

    return edit


V = "localvqe."
# What is wrong, and what the message must name.
DAMAGES = {
    "no architecture": (drop_key("general.architecture"), r"general\.architecture: missing"),
    "other architecture": (
        set_key("general.architecture", STRING, "gtcrn"),
        r'general\.architecture: "gtcrn", expected one of: localvqe',
    ),
    "architecture number": (set_key("general.architecture", U32, 3), "expected a string"),
    "version 0": (set_key(V + "version", U32, 0), r"localvqe\.version: 0"),
    "version 4": (set_key(V + "version", U32, 4), r"localvqe\.version: 4"),
    "version 99": (set_key(V + "version", U32, 99), r"localvqe\.version: 99"),
    "version huge": (set_key(V + "version", U64, 2**64 - 1), r"localvqe\.version"),
    "version text": (set_key(V + "version", STRING, "2"), r"localvqe\.version: type str"),
    "version list": (set_key(V + "version", ARRAY, (U32, [2])), r"version: type array of u32"),
    "no n_fft": (drop_key(V + "n_fft"), r"localvqe\.n_fft: missing"),
    "no dmax": (drop_key(V + "dmax"), r"localvqe\.dmax: missing"),
    "dmax 0": (set_key(V + "dmax", U32, 0), r"localvqe\.dmax: 0"),
    "dmax huge": (set_key(V + "dmax", U32, 2**32 - 1), r"localvqe\.dmax: 4294967295"),
    "dmax real": (set_key(V + "dmax", F32, 3.0), r"localvqe\.dmax: type f32"),
    "hop 0": (set_key(V + "hop_length", U32, 0), r"hop_length: 0"),
    "bins": (set_key(V + "n_freq_bins", U32, 33), r"n_freq_bins 33"),
    "no channel count": (drop_key(V + "mic_channels.count"), r"mic_channels\.count: missing"),
    "count huge": (set_key(V + "mic_channels.count", U32, 2**31), r"mic_channels\.count"),
    "count short": (set_key(V + "far_channels.count", U32, 2), r"far_channels: 2 widths"),
    "no channel": (drop_key(V + "mic_channels.4"), r"mic_channels\.4: missing"),
    "channel 0": (set_key(V + "mic_channels.4", U32, 0), r"mic_channels\.4: 0"),
    "channel list of text": (
        set_key(V + "mic_channels", ARRAY, (STRING, ["2"] * 6)),
        r"mic_channels: array of str",
    ),
    "first channel": (set_key(V + "mic_channels.0", U32, 3), "expected 2"),
    "kernel 3": (set_key(V + "kernel_size_w", U32, 3), r"kernel 4 x 3 .* expected 4 x 4"),
    "kernel tensors": (reshape("mic_enc1.conv.weight", 3, 2, 4, 3), "expected 4 x 4"),
    "power law": (set_key(V + "power_law_c", F64, float("nan")), r"power_law_c"),
    "shuffle": (set_key(V + "shuffle", STRING, "zigzag"), r'shuffle: "zigzag"'),
    "comfort noise": (set_key(V + "comfort_noise_db", F32, 1.0), r"comfort_noise_db: 1, .*-60"),
    "comfort noise text": (set_key(V + "comfort_noise_db", STRING, "on"), "type str"),
    "adaptive filter": (set_key(V + "daf.standalone", BOOL, value=True), r"daf\.standalone"),
    "alignment": (set_key("general.alignment", U32, 24), r"general\.alignment: 24"),
    "missing tensor": (drop_tensor("dec3.skip_conv.bias"), r"dec3\.skip_conv\.bias: .*missing"),
    "extra tensor": (reshape("daf.gru.weight", 2, 2), r"daf\.gru\.weight: .*expected no tensor"),
    "shape": (
        reshape("align.conv.1.weight", 1, 2, 3, 5),
        r"align\.conv\.1\.weight: shape \(5, 3, 2, 1\), expected \(3, 5, 2, 1\)",
    ),
    "far width": (set_key(V + "far_channels.2", U32, 4), r"shape .* expected"),
    "quantised": (
        quantise("decoder.linear.weight"),
        r"decoder\.linear\.weight: type q8_0, expected f32, f16 or bf16",
    ),
    "unknown type": (retype("bottleneck.D", 77), r"bottleneck\.D: tensor type number 77"),
    "removed type": (retype("bottleneck.D", 4), r"bottleneck\.D: tensor type number 4"),
    "short data": (
        retype("encoder.conv.weight", TYPE_F16),
        "data offset",
    ),
    "dimension 0": (retype("bottleneck.D", 0, (0,)), r"bottleneck\.D: dimension 0 is 0"),
    "dimension overflow": (
        retype("bottleneck.D", 0, (2**62, 2**62)),
        r"bottleneck\.D: dimension 0",
    ),
    "dimension negative": (retype("bottleneck.D", 0, (-1,)), r"bottleneck\.D: dimension 0"),
    "five dimensions": (retype("bottleneck.D", 0, (1,) * 5), "5 dimensions"),
    "not a number": (poison("bottleneck.D"), r"bottleneck\.D: element 1 is not a finite"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_refused_by_name(damage):
    edit, message = DAMAGES[damage]
    with pytest.raises(voxhop.ModelFileError, match=message):
        voxhop.load(edited(edit))


def test_generation_one_needs_its_own_tensors():
    with pytest.raises(voxhop.ModelFileError, match=r"dec[2-5]\.bn\.scale: tensor missing"):
        voxhop.load(edited(drop_tensor("dec4.bn.scale"), version=1))
    with pytest.raises(voxhop.ModelFileError, match="bn_folded: false"):
        voxhop.load(edited(set_key(V + "bn_folded", BOOL, value=False), version=1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "bytes"),
        (b"GGUF", "4 bytes, expected at least 24"),
        (b"RIFF" + bytes(40), '"RIFF"'),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "GGUF version 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF version 1"),
        (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "GGUF version 4"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "ends inside tensor name"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**64 - 1), "ends inside metadata key"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "ends inside metadata key"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 0), "expected 1 to 1024 printable bytes"),
    ],
)
def test_no_model_at_all(data, message):
    with pytest.raises((voxhop.ModelFileError, voxhop.ArgumentError), match=re.escape(message)):
        voxhop.load(data)


def test_arrays_that_claim_more_than_the_file_holds():
    for kind, count in ((U8, 2**63), (U64, 2**61 + 1), (STRING, 2**60)):
        entry = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", ARRAY, kind, count)
        data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry + bytes(64)
        with pytest.raises(voxhop.ModelFileError):
            voxhop.load(data)


def test_paths(tmp_path):
    with pytest.raises(voxhop.ModelFileError, match="no such file"):
        voxhop.load(tmp_path / "absent.gguf")
    with pytest.raises(voxhop.ModelFileError, match=r"not a regular file|a folder"):
        voxhop.load(tmp_path)
    empty = tmp_path / "empty.gguf"
    empty.touch()
    with pytest.raises(voxhop.ModelFileError, match=r"empty\.gguf"):
        voxhop.load(empty)
    named = tmp_path / "größe-模型.gguf"
    named.write_bytes(tiny_localvqe().encode())
    assert voxhop.load(named).info.version == 2


def test_metadata_as_text():
    file = tiny_localvqe()
    values = {
        "a.list": (ARRAY, (I32, list(range(100)))),
        "b.names": (ARRAY, (STRING, ["x", "y"])),
        "c.flag": (BOOL, True),
        "d.bytes": (STRING, b"caf\xc3\xa9 \xff\x00\x1b end"),
        "e.real": (F64, 0.25),
    }
    file.metadata.update(values)
    found = voxhop.load(file.encode()).metadata
    assert found["a.list"].startswith("[0, 1, 2,")
    assert found["a.list"].endswith("63, ... 100 in all]")
    assert found["b.names"] == "[x, y]"
    assert found["c.flag"] == "true"
    assert found["d.bytes"] == "café ??? end"
    assert found["e.real"] == "0.25"


def test_lists_as_arrays_are_the_same_model():
    rng = np.random.default_rng(0)
    mic = rng.standard_normal(320).astype("f4")
    outputs = []
    for arrays in (False, True):
        with voxhop.Session(voxhop.load(tiny_localvqe(arrays=arrays).encode())) as session:
            outputs.append(run(session, mic))
    assert np.array_equal(*outputs)


def test_half_types_are_expanded_exactly():
    def as_type(kind, convert):
        file = tiny_localvqe(3)
        name = "bottleneck.input_proj.weight"
        values = file.get(name)
        exact = values.view("u4") & 0xFFFF0000 if kind == TYPE_BF16 else values.astype("f2")
        if convert:
            bits = exact >> 16 if kind == TYPE_BF16 else exact
            data = bits.astype("u2" if kind == TYPE_BF16 else "f2").tobytes()
            file.tensors[name] = Tensor(file.tensors[name].ne, kind, data)
        else:
            file.put(name, exact.view("f4") if kind == TYPE_BF16 else exact)
        return file.encode()

    mic = np.random.default_rng(1).standard_normal(640).astype("f4")
    for kind in (TYPE_F16, TYPE_BF16):
        outputs = []
        for convert in (False, True):
            with voxhop.Session(voxhop.load(as_type(kind, convert))) as session:
                outputs.append(run(session, mic))
        assert np.array_equal(*outputs)


@pytest.mark.parametrize("mode", ["truncate", "flip", "overwrite"])
def test_fuzz(mode):
    """A process of its own with little memory: a crash or a huge allocation shows as exit."""
    script = HERE / "fuzz_gguf.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(script), mode],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, (
        f"exit {done.returncode}\n{done.stdout[-300:]}{done.stderr[-2000:]}"
    )
    opened, refused = (int(word) for word in done.stdout.split()[-2:])
    assert refused > 1000
    # Changed names and weights still make models; every one of them must run.
    assert opened > 0 or mode == "truncate"
