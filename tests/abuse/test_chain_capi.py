"""The C interface of chains and levels misused: only codes and messages come back."""

import pytest

from gguf_bytes import tiny_localvqe
from voxhop._bindings import native

N = native()
FFI, LIB, NULL = N.ffi, N.lib, N.ffi.NULL


@pytest.fixture(scope="module")
def model():
    data = tiny_localvqe().encode()
    out, err = FFI.new("vh_model **"), FFI.new("vh_error *")
    assert LIB.vh_model_open_memory(data, len(data), out, err) == LIB.VH_OK, N.text(err.message)
    yield out[0]
    LIB.vh_model_close(out[0])


def described(model, **fields):
    link = FFI.new("vh_chain_link *")
    LIB.vh_chain_link_init(link)
    link.model = model
    for name, value in fields.items():
        setattr(link, name, value)
    return link


@pytest.fixture
def chain(model):
    out, err = FFI.new("vh_chain **"), FFI.new("vh_error *")
    code = LIB.vh_chain_open(described(model), 1, 16000, 8000, out, err)
    assert code == LIB.VH_OK, N.text(err.message)
    yield out[0]
    LIB.vh_chain_close(out[0])


@pytest.fixture
def level():
    out = FFI.new("vh_level **")
    assert LIB.vh_level_open(32, 16000, 7, out, NULL) == LIB.VH_OK
    yield out[0]
    LIB.vh_level_close(out[0])


def refused(code, message, function, *args):
    """Call a function with and without an error struct; both must give the code."""
    err = FFI.new("vh_error *")
    assert function(*args, err) == code
    assert err.code == code
    assert message in N.text(err.message)
    assert function(*args, NULL) == code


def test_null_handles_and_pointers(model, chain, level):
    a, b, s = FFI.new("float[]", 32), FFI.new("float[]", 32), FFI.new("int16_t[]", 32)
    written, blob, link = FFI.new("int64_t *"), FFI.new("char[]", 64), described(model)
    chain_out = FFI.new("vh_chain **")
    figures, of_link = FFI.new("vh_chain_metrics *"), FFI.new("vh_chain_link_metrics *")
    option = FFI.new("vh_option *")
    cases = [
        (LIB.vh_chain_check_link, NULL),
        (LIB.vh_chain_open, NULL, 1, 16000, 16000, chain_out),
        (LIB.vh_chain_open, link, 1, 16000, 16000, NULL),
        (LIB.vh_chain_process_f32, NULL, a, NULL, 32, b, 32, written),
        (LIB.vh_chain_process_f32, chain, NULL, NULL, 32, b, 32, written),
        (LIB.vh_chain_process_f32, chain, a, NULL, 32, NULL, 32, written),
        (LIB.vh_chain_process_f32, chain, a, NULL, 32, b, 32, NULL),
        (LIB.vh_chain_process_s16, chain, NULL, NULL, 32, s, 32, written),
        (LIB.vh_chain_flush_f32, NULL, a, 32),
        (LIB.vh_chain_flush_s16, chain, NULL, LIB.vh_chain_latency(chain)),
        (LIB.vh_chain_reset, NULL),
        (LIB.vh_chain_set, NULL, 0, LIB.VH_CONTROL_BYPASS, 1.0),
        (LIB.vh_chain_set_options, NULL, 0, option, 0),
        (LIB.vh_chain_set_options, chain, 0, NULL, 1),
        (LIB.vh_chain_set_options, chain, 0, option, 1),
        (LIB.vh_chain_get_metrics, NULL, figures),
        (LIB.vh_chain_get_metrics, chain, NULL),
        (LIB.vh_chain_get_link_metrics, NULL, 0, of_link),
        (LIB.vh_chain_get_link_metrics, chain, 0, NULL),
        (LIB.vh_chain_state_save, NULL, blob, 64),
        (LIB.vh_chain_state_save, chain, NULL, 64),
        (LIB.vh_chain_state_load, NULL, blob, 64),
        (LIB.vh_chain_state_load, chain, NULL, 64),
        (LIB.vh_level_open, 32, 16000, 0, NULL),
        (LIB.vh_level_lift, NULL, a, b, 32),
        (LIB.vh_level_lift, level, NULL, b, 32),
        (LIB.vh_level_lower, level, a, NULL, 32),
        (LIB.vh_level_reset, NULL),
        (LIB.vh_level_state_save, NULL, blob, 64),
        (LIB.vh_level_state_load, level, NULL, 64),
    ]
    for case in cases:
        refused(LIB.VH_E_ARGUMENT, "NULL, expected a pointer", *case)
    LIB.vh_chain_close(NULL)
    LIB.vh_chain_link_init(NULL)
    LIB.vh_level_close(NULL)
    assert LIB.vh_chain_latency(NULL) == LIB.vh_chain_output_frames(NULL, 9) == 0
    assert LIB.vh_chain_takes_ref(NULL) == 0
    assert LIB.vh_chain_state_size(NULL) == LIB.vh_level_state_size(NULL) == 0
    assert LIB.vh_level_gain_db(NULL) == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"struct_size": 8}, "struct_size 8"),
        ({"kind": 2}, "kind 2, expected 0 to 1"),
        ({"level": -1}, "level -1"),
        ({"bypass": 2}, "bypass 2"),
        ({"comfort_noise": 3}, "comfort_noise 3"),
        ({"front_end": 7}, "front_end 7"),
        ({"strength": float("nan")}, "strength nan"),
        ({"seed": -4}, "seed -4"),
        ({"kbps": 2}, "kbps: 2"),
        ({"loss": float("nan")}, "loss: nan"),
        ({"burst": float("nan")}, "burst: nan"),
    ],
)
def test_descriptions_that_make_no_sense(model, fields, words):
    link = described(model, **fields)
    refused(LIB.VH_E_ARGUMENT, words, LIB.vh_chain_check_link, link)
    out = FFI.new("vh_chain **")
    refused(LIB.VH_E_ARGUMENT, words, LIB.vh_chain_open, link, 1, 16000, 16000, out)
    assert out[0] == NULL


def test_values_out_of_range(model, chain, level):
    a, b, written = FFI.new("float[]", 32), FFI.new("float[]", 32), FFI.new("int64_t *")
    opened = FFI.new("vh_chain **")
    argument, shape = LIB.VH_E_ARGUMENT, LIB.VH_E_SHAPE
    figures = FFI.new("vh_chain_metrics *")
    bypass = LIB.VH_CONTROL_BYPASS
    cases = [
        (argument, "links: none", LIB.vh_chain_open, described(model), 0, 16000, 16000, opened),
        (argument, "model NULL", LIB.vh_chain_open, described(NULL), 1, 16000, 16000, opened),
        (LIB.VH_E_UNSUPPORTED, "999 Hz", LIB.vh_chain_open, described(model), 1, 999, 999, opened),
        (argument, "frames: -1", LIB.vh_chain_process_f32, chain, a, NULL, -1, b, 32, written),
        (shape, "room for 15", LIB.vh_chain_process_f32, chain, a, NULL, 32, b, 15, written),
        (shape, "out: 1 frames", LIB.vh_chain_flush_f32, chain, a, 1),
        (argument, "link 1", LIB.vh_chain_set, chain, 1, bypass, 1.0),
        (argument, "bypass 0.5", LIB.vh_chain_set, chain, 0, bypass, 0.5),
        (argument, "strength 2", LIB.vh_chain_set, chain, 0, LIB.VH_CONTROL_STRENGTH, 2.0),
        (argument, "control 1", LIB.vh_chain_set, chain, 0, LIB.VH_CONTROL_FLOOR_DB, 1.0),
        (argument, "link 1", LIB.vh_chain_set_options, chain, 1, NULL, 0),
        (argument, "struct_size 0", LIB.vh_chain_get_metrics, chain, figures),
        (shape, "64 bytes", LIB.vh_chain_state_save, chain, FFI.new("char[]", 64), 64),
        (LIB.VH_E_STATE, "no chain", LIB.vh_chain_state_load, chain, FFI.new("char[]", 64), 64),
        (argument, "hop_length 0", LIB.vh_level_open, 0, 16000, 0, FFI.new("vh_level **")),
        (shape, "31 samples", LIB.vh_level_lift, level, a, b, 31),
        (LIB.VH_E_STATE, "without a lift", LIB.vh_level_lower, level, a, b, 32),
        (LIB.VH_E_STATE, "64 bytes", LIB.vh_level_state_save, level, FFI.new("char[]", 64), 64),
    ]
    for case in cases:
        refused(*case)
    assert LIB.vh_chain_process_f32(chain, NULL, NULL, 0, NULL, 0, written, NULL) == LIB.VH_OK
    assert written[0] == 0


def test_a_level_whose_queue_cannot_be_is_refused(level):
    size = LIB.vh_level_state_size(level)
    blob = FFI.new("char[]", size)
    assert LIB.vh_level_state_save(level, blob, size, NULL) == LIB.VH_OK
    saved = bytes(FFI.buffer(blob))
    FFI.buffer(blob)[16:24] = (1 << 40).to_bytes(8, "little")
    refused(LIB.VH_E_STATE, "more than fits", LIB.vh_level_state_load, level, blob, size)
    assert LIB.vh_level_state_save(level, blob, size, NULL) == LIB.VH_OK
    assert bytes(FFI.buffer(blob)) == saved
