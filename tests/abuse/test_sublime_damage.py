"""Sublime files that are damaged or not what they claim: a message that names what is wrong."""

import copy

import numpy as np
import pytest

import voxhop
from gguf_bytes import ARRAY, F32, STRING, U32, decode
from models.test_sublime_golden import GOLDEN

S = "sublime."
WHOLE = decode((GOLDEN / "model-f32.gguf").read_bytes())


def without(*starts):
    def edit(file):
        for name in [n for n in file.tensors if n.startswith(starts)]:
            del file.tensors[name]

    return edit


def key(name, kind, value):
    return lambda file: file.metadata.__setitem__(S + name, (kind, value))


def both(*edits):
    return lambda file: [edit(file) for edit in edits]


def no_key(name):
    return lambda file: file.metadata.pop(S + name)


def shape(name, *ne):
    return lambda file: file.put(name, np.zeros(ne))


DAMAGES = {
    "version": (key("version", U32, 2), r"sublime\.version: 2"),
    "no parts": (no_key("parts"), r"sublime\.parts: missing"),
    "unknown part": (key("parts", STRING, "encoder,speaker"), r'parts: "encoder,speaker"'),
    "part twice": (key("parts", STRING, "decoder,decoder"), r"parts: .* each once"),
    "empty part": (key("parts", STRING, "encoder,"), r"sublime\.parts"),
    "a part that is not there": (
        key("parts", STRING, "encoder,frontend,decoder"),
        r"sublime\.fe\.stack_after: missing",
    ),
    "a part nobody claimed": (key("parts", STRING, "encoder"), "expected no tensor"),
    "odd hop": (key("hop_length", U32, 481), r"hop_length: 481, expected an even"),
    "mel hop": (key("mel_hop", U32, 120), r"sublime\.mel_hop: 120"),
    "short window": (key("mel.n_fft", ARRAY, (U32, [200, 720])), r"mel\.n_fft: 200"),
    "one window": (key("mel.n_fft", ARRAY, (U32, [480])), r"1 values of n_fft, 2 of n_mels"),
    "log floor": (key("mel.log_floor", F32, 0.0), r"mel\.log_floor: 0"),
    "transform": (key("istft.n_fft", U32, 1024), r"istft\.n_fft: 1024"),
    "window": (key("istft.window", STRING, "hann"), r'istft\.window: "hann"'),
    "norm": (key("stft_norm", STRING, "backward"), r'stft_norm: "backward"'),
    "no groups": (key("n_groups_a", U32, 0), r"n_groups_a: 0"),
    "256 codes": (key("codebook_size", U32, 256), r"codebook_size: 256"),
    "no blocks": (key("enc.blocks.count", U32, 0), r"enc\.blocks\.count: 0"),
    "more blocks": (key("enc.blocks.count", U32, 4), r"enc\.blocks\.3\.in: missing"),
    "block chain": (key("voc.blocks.1.in", U32, 31), r"voc\.blocks\.1\.in: 31, expected 32"),
    "stacked chain": (key("enc.blocks.1.in", U32, 16), r"enc\.blocks\.1\.in: 16, expected 32"),
    "band growth": (
        key("voc.bands.0.upsample", ARRAY, (U32, [2, 3])),
        r"bands\.0\.end_bins: 80, expected .* 120",
    ),
    "endless growth": (
        key("voc.bands.0.upsample", ARRAY, (U32, [16384] * 8)),
        r"bands\.0\.end_bins: 80",
    ),
    "even kernel": (key("voc.bands.0.kernel_f", U32, 4), r"kernel_f: 4, expected an odd"),
    "long kernel": (key("voc.bands.0.kernel_t", U32, 5), r"kernel_t: 5"),
    "bins": (key("voc.bands.count", U32, 2), r"voc\.bands: 240 bins in all, expected .* 480"),
    "no features": (key("voc.features", U32, 0), r"voc\.features: 0"),
    "expansion": (key("voc.expansion", F32, 0.01), r"voc\.expansion: 0\.08 channels from 8"),
    "phases without a table": (
        key("voc.phase_offsets", U32, 3),
        r"voc\.phase_offsets: .*missing",
    ),
    "rows of phases": (key("voc.phase_offsets", U32, 5000), r"voc\.phase_offsets: 5000"),
    "a table nobody claimed": (
        shape("voc.phase_offsets", 480, 3),
        r"voc\.phase_offsets: .*no tensor",
    ),
    "too sharp": (
        key("voc.sharpness", ARRAY, (F32, [0.0, 1.5])),
        r"voc\.sharpness: element 1 is 1\.5",
    ),
    "one sharpness": (
        key("voc.sharpness", ARRAY, (F32, [0.5])),
        r"sharpness: 1 values, expected 2",
    ),
    "sharp over nothing": (
        both(key("voc.sharpness", ARRAY, (F32, [0.3, 0.0])), key("voc.sharpness_bins", U32, 0)),
        r"voc\.sharpness_bins: 0",
    ),
    "sharp over what": (
        key("voc.sharpness", ARRAY, (F32, [0.3, 0.3])),
        r"voc\.sharpness_bins: missing",
    ),
    "loudest": (key("logmag_max", F32, 1e9), r"logmag_max"),
    "missing keys": (without("vq.key"), r"vq\.key: .*missing"),
    "missing values": (without("vq.value"), r"vq\.value: .*missing"),
    "missing filters": (without("mel.b"), r"mel\.b\.weight: .*missing"),
    "shape of a convolution": (
        shape("enc.0.conv.weight", 48, 160, 5),
        r"enc\.0\.conv\.weight: shape \(5, 160, 48, 1\), expected \(3, 160, 48, 1\)",
    ),
    "shape of a table": (shape("vq.value", 768, 31), r"vq\.value: shape"),
    "another tensor": (shape("voc.3.norm.weight", 32), r"voc\.3\.norm\.weight: .*no tensor"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_refused_by_name(damage):
    edit, message = DAMAGES[damage]
    file = copy.deepcopy(WHOLE)
    edit(file)
    with pytest.raises(voxhop.ModelFileError, match=message):
        voxhop.load(file.encode())


def test_any_broken_byte_of_the_head_is_survived():
    """Loads and runs, or is refused by name: never a crash."""
    data = WHOLE.encode()
    rng = np.random.default_rng(5)
    head = WHOLE.header_size()
    refused = 0
    for at in rng.integers(0, head, 400):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        try:
            with voxhop.load(bytes(broken)) as model:
                for part in model.options[0].choices:
                    with model.session(part=part) as session:
                        count = session.inputs[0].count
                        kind = "u1" if session.inputs[0].type == "codes" else "f4"
                        session.process_hop(np.zeros(count, kind))
        except voxhop.VoxhopError:
            refused += 1
    assert refused > 200
