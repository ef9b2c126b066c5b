"""GGUF files as bytes, made and taken apart without the code under test."""

import struct
from dataclasses import dataclass, field

import numpy as np

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_FORMATS = {
    U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?",
    U64: "Q", I64: "q", F64: "d",
}  # fmt: skip
TYPE_F32, TYPE_F16, TYPE_Q8_0, TYPE_BF16 = 0, 1, 8, 30
ALIGNMENT = 32


@dataclass
class Tensor:
    """One tensor record: `ne` fastest dimension first, `data` its bytes."""

    ne: tuple[int, ...]
    type: int
    data: bytes


@dataclass
class GgufBytes:
    """A file: metadata as key -> (type, value), arrays as (ARRAY, (type, values))."""

    metadata: dict = field(default_factory=dict)
    tensors: dict = field(default_factory=dict)

    def encode(self, *, version=3, magic=b"GGUF"):
        """Return the file's bytes."""
        out = [magic, struct.pack("<IQQ", version, len(self.tensors), len(self.metadata))]
        for key, (kind, value) in self.metadata.items():
            out += [_text(key), struct.pack("<I", kind), _value(kind, value)]
        offset, data = 0, []
        for name, tensor in self.tensors.items():
            out.append(_text(name) + struct.pack("<I", len(tensor.ne)))
            out.append(struct.pack(f"<{len(tensor.ne)}q", *tensor.ne))
            out.append(struct.pack("<IQ", tensor.type, offset))
            padded = tensor.data + bytes(-len(tensor.data) % ALIGNMENT)
            offset += len(padded)
            data.append(padded)
        head = b"".join(out)
        return head + bytes(-len(head) % ALIGNMENT) + b"".join(data)

    def header_size(self):
        """Return how many bytes come before the tensor data."""
        return len(self.encode()) - sum(
            len(t.data) + (-len(t.data) % ALIGNMENT) for t in self.tensors.values()
        )

    def put(self, name, values):
        """Store an f32 array whose shape is slowest dimension first, as in PyTorch."""
        values = np.ascontiguousarray(values, "<f4")
        self.tensors[name] = Tensor(values.shape[::-1], TYPE_F32, values.tobytes())

    def get(self, name):
        """Return an f32 tensor as an array, slowest dimension first."""
        tensor = self.tensors[name]
        assert tensor.type == TYPE_F32
        return np.frombuffer(tensor.data, "<f4").reshape(tensor.ne[::-1]).copy()


def decode(data):
    """Return the GgufBytes of a well-formed file of f32 tensors."""
    at = 4

    def read(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def text():
        nonlocal at
        length = read("Q")
        at += length
        return data[at - length : at].decode()

    def value(kind):
        if kind == STRING:
            return text()
        if kind == ARRAY:
            inner, count = read("I"), read("Q")
            return inner, [value(inner) for _ in range(count)]
        return read(_FORMATS[kind])

    _, tensor_count, entry_count = read("IQQ")
    found = GgufBytes()
    for _ in range(entry_count):
        key, kind = text(), read("I")
        found.metadata[key] = (kind, value(kind))
    records = []
    for _ in range(tensor_count):
        name, dims = text(), read("I")
        ne = tuple(read("q") for _ in range(dims))
        records.append((name, ne, *read("IQ")))
    start = at + -at % ALIGNMENT
    for name, ne, kind, offset in records:
        assert kind == TYPE_F32
        size = 4 * int(np.prod(ne))
        found.tensors[name] = Tensor(ne, kind, data[start + offset : start + offset + size])
    return found


TINY_BINS, TINY_HEADS, TINY_HIDDEN = 32, 2, 5
TINY_MIC, TINY_FAR = (2, 3, 2, 3, 1, 2), (2, 1, 3)


def tiny_localvqe(version=2, *, d_max=3, seed=0, arrays=False):
    """Return a LocalVQE of 32 bins and one to three channels: a few kilobytes.

    It has every tensor and key of a real one, so that tests of the reader are fast.
    Random weights; with `arrays` the channel lists are GGUF arrays instead of key pairs.
    """
    file = GgufBytes()
    _tiny_metadata(file, version, d_max, arrays=arrays)
    rng = np.random.default_rng(seed)

    def put(name, *shape, scale=0.3):
        file.put(name, scale * rng.standard_normal(shape))

    def conv(name, c_out, c_in, kernel=(4, 4)):
        put(name + ".weight", c_out, c_in, *kernel)
        put(name + ".bias", c_out)

    def norm(name, channels):
        if version > 1:
            put(name + ".weight", channels, scale=1.0)
            put(name + ".bias", channels)

    put("encoder.conv.weight", 2 * TINY_BINS, 1, 2 * TINY_BINS, scale=0.1)
    put("decoder.linear.weight", 2 * TINY_BINS, 2 * TINY_BINS, scale=0.1)
    _tiny_encoders(conv, norm)
    conv("align.pconv_mic", TINY_HEADS, TINY_MIC[2], (1, 1))
    conv("align.pconv_ref", TINY_HEADS, TINY_FAR[2], (1, 1))
    conv("align.conv.1", 1, TINY_HEADS, (5, 3))
    _tiny_bottleneck(put)
    _tiny_decoders(put, conv, norm, version)
    return file


def _tiny_metadata(file, version, d_max, *, arrays):
    file.metadata["general.architecture"] = (STRING, "localvqe")
    file.metadata["general.name"] = (STRING, "tiny")
    scalars = {
        "version": version,
        "n_fft": 2 * TINY_BINS,
        "hop_length": TINY_BINS,
        "n_freq_bins": TINY_BINS,
        "sample_rate": 16000,
        "dmax": d_max,
        "align_hidden": TINY_HEADS,
        "bottleneck_hidden": TINY_HIDDEN,
        "kernel_size_h": 4,
        "kernel_size_w": 4,
    }
    for key, number in scalars.items():
        file.metadata["localvqe." + key] = (U32, number)
    file.metadata["localvqe.power_law_c"] = (F32, 0.3)
    for key, widths in (("mic_channels", TINY_MIC), ("far_channels", TINY_FAR)):
        if arrays:
            file.metadata["localvqe." + key] = (ARRAY, (I32, list(widths)))
            continue
        file.metadata[f"localvqe.{key}.count"] = (U32, len(widths))
        for i, width in enumerate(widths):
            file.metadata[f"localvqe.{key}.{i}"] = (U32, width)


def _tiny_encoders(conv, norm):
    mic = [(f"mic_enc{i}", TINY_MIC[i - 1], TINY_MIC[i]) for i in range(1, 6)]
    mic[2] = ("mic_enc3", TINY_MIC[2] + TINY_FAR[2], TINY_MIC[3])
    far = [(f"far_enc{i}", TINY_FAR[i - 1], TINY_FAR[i]) for i in (1, 2)]
    for name, c_in, c_out in mic + far:
        conv(name + ".conv", c_out, c_in)
        norm(name + ".norm", c_in)
        conv(name + ".resblock.conv", c_out, c_out)
        norm(name + ".resblock.norm", c_out)


def _tiny_bottleneck(put):
    flat = TINY_MIC[5] * TINY_BINS // 32
    for name, rows, columns in (
        ("input_proj", TINY_HIDDEN, flat),
        ("output_proj", flat, TINY_HIDDEN),
    ):
        put(f"bottleneck.{name}.weight", rows, columns)
        put(f"bottleneck.{name}.bias", rows)
    for name in ("a_real", "a_imag", "B_real", "B_imag", "C_real", "C_imag"):
        put(f"bottleneck.{name}", TINY_HIDDEN)
    put("bottleneck.D", flat)


def _tiny_decoders(put, conv, norm, version):
    for i in range(5, 0, -1):
        c_in, c_out = TINY_MIC[i], TINY_MIC[i - 1] if i > 1 else 27
        conv(f"dec{i}.skip_conv", c_in, c_in, (1, 1))
        norm(f"dec{i}.skip_norm", c_in)
        conv(f"dec{i}.resblock.conv", c_in, c_in)
        norm(f"dec{i}.resblock.norm", c_in)
        conv(f"dec{i}.deconv.conv", 2 * c_out, c_in)
        norm(f"dec{i}.deconv.norm", c_in)
        if version == 1 and i > 1:
            put(f"dec{i}.bn.scale", c_out, scale=1.0)
            put(f"dec{i}.bn.bias", c_out)


def _text(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(kind, value):
    if kind == STRING:
        return _text(value)
    if kind == ARRAY:
        inner, values = value
        head = struct.pack("<IQ", inner, len(values))
        return head + b"".join(_value(inner, v) for v in values)
    return struct.pack("<" + _FORMATS[kind], value)
