"""The C interface misused: only codes and messages come back."""

import numpy as np
import pytest

from gguf_bytes import tiny_localvqe
from streams import GOLDEN
from voxhop._bindings import native

N = native()
FFI, LIB, NULL = N.ffi, N.lib, N.ffi.NULL
HOP = 32


@pytest.fixture(scope="module")
def data():
    return tiny_localvqe(d_max=3).encode()


@pytest.fixture(scope="module")
def model(data):
    out, err = FFI.new("vh_model **"), FFI.new("vh_error *")
    assert LIB.vh_model_open_memory(data, len(data), out, err) == LIB.VH_OK, N.text(err.message)
    yield out[0]
    LIB.vh_model_close(out[0])


@pytest.fixture
def session(model):
    out, err = FFI.new("vh_session **"), FFI.new("vh_error *")
    assert LIB.vh_session_open(model, NULL, out, err) == LIB.VH_OK, N.text(err.message)
    yield out[0]
    LIB.vh_session_close(out[0])


@pytest.fixture
def group(model):
    out, err = FFI.new("vh_group **"), FFI.new("vh_error *")
    assert LIB.vh_group_open(model, NULL, 2, out, err) == LIB.VH_OK, N.text(err.message)
    yield out[0]
    LIB.vh_group_close(out[0])


def refused(code, message, function, *args):
    """Call a function with and without an error struct; both must give the code."""
    err = FFI.new("vh_error *")
    assert function(*args, err) == code
    assert err.code == code
    assert message in N.text(err.message)
    assert function(*args, NULL) == code


def hop_buffers(kind="float"):
    return [FFI.new(f"{kind}[]", HOP) for _ in range(3)]


def test_null_handles_and_pointers(model, session, group, data):
    a, b, c = hop_buffers()
    s, e = hop_buffers("int16_t")[:2]
    blob = FFI.new("char[]", 8)
    text = FFI.new("char[]", b"x")
    cases = [
        (LIB.vh_model_open, NULL, FFI.new("vh_model **")),
        (LIB.vh_model_open, text, NULL),
        (LIB.vh_model_open_memory, NULL, 10, FFI.new("vh_model **")),
        (LIB.vh_model_open_memory, data, len(data), NULL),
        (LIB.vh_model_get_info, NULL, FFI.new("vh_model_info *")),
        (LIB.vh_model_get_info, model, NULL),
        (LIB.vh_model_get_tensor, NULL, 0, FFI.new("vh_tensor_info *")),
        (LIB.vh_model_get_tensor, model, 0, NULL),
        (LIB.vh_session_open, NULL, NULL, FFI.new("vh_session **")),
        (LIB.vh_session_open, model, NULL, NULL),
        (LIB.vh_session_process_f32, NULL, a, b, c, HOP),
        (LIB.vh_session_process_f32, session, NULL, b, c, HOP),
        (LIB.vh_session_process_f32, session, a, b, NULL, HOP),
        (LIB.vh_session_process_s16, NULL, s, s, e, HOP),
        (LIB.vh_session_process_s16, session, NULL, s, e, HOP),
        (LIB.vh_session_process_s16, session, s, s, NULL, HOP),
        (LIB.vh_session_prepare, NULL),
        (LIB.vh_session_skim, NULL, FFI.new("void *[2]"), 0),
        (LIB.vh_session_skim, session, NULL, 0),
        (LIB.vh_session_reset, NULL),
        (LIB.vh_session_state_save, NULL, blob, 8),
        (LIB.vh_session_state_save, session, NULL, 8),
        (LIB.vh_session_state_load, NULL, blob, 8),
        (LIB.vh_session_state_load, session, NULL, 8),
        (LIB.vh_session_get_tap, NULL, 0, FFI.new("vh_tap_info *")),
        (LIB.vh_session_get_tap, session, 0, NULL),
        (LIB.vh_session_read_tap, NULL, text, a, 3),
        (LIB.vh_session_read_tap, session, NULL, a, 3),
        (LIB.vh_session_read_tap, session, text, NULL, 3),
        (LIB.vh_session_get_info, NULL, FFI.new("vh_session_info *")),
        (LIB.vh_session_get_info, session, NULL),
        (LIB.vh_session_build, NULL, NULL, 0, FFI.new("vh_alternative **")),
        (LIB.vh_session_build, session, NULL, 0, NULL),
        (LIB.vh_session_build, session, NULL, 1, FFI.new("vh_alternative **")),
        (LIB.vh_session_switch, session, NULL),
        (LIB.vh_session_switch, NULL, NULL),
        (LIB.vh_alternative_get_figures, NULL, FFI.new("vh_session_figures *")),
        (LIB.vh_stream_process_lost_f32, NULL, NULL, c, HOP),
        (LIB.vh_stream_process_lost_s16, NULL, NULL, e, HOP),
        (LIB.vh_group_open, NULL, NULL, 2, FFI.new("vh_group **")),
        (LIB.vh_group_open, model, NULL, 2, NULL),
        (LIB.vh_group_process_f32, NULL, a, b, NULL, c, HOP),
        (LIB.vh_group_process_f32, group, NULL, b, NULL, c, HOP),
        (LIB.vh_group_process_f32, group, a, b, NULL, NULL, HOP),
        (LIB.vh_group_prepare, NULL, NULL),
        (LIB.vh_group_reset, NULL, 0),
        (LIB.vh_session_set_comfort_noise, NULL, 1),
        (LIB.vh_group_set_comfort_noise, NULL, 1),
        (LIB.vh_group_state_save, NULL, 0, blob, 8),
        (LIB.vh_group_state_save, group, 0, NULL, 8),
        (LIB.vh_group_state_load, NULL, 0, blob, 8),
        (LIB.vh_group_state_load, group, 0, NULL, 8),
        (LIB.vh_group_fork, NULL, 0, 1),
        (LIB.vh_group_get_info, NULL, FFI.new("vh_session_info *")),
        (LIB.vh_group_get_info, group, NULL),
    ]
    for function, *args in cases:
        refused(LIB.VH_E_ARGUMENT, "NULL", function, *args)


def test_kind_of_samples(session):
    inputs, outputs = FFI.new("void *[2]"), FFI.new("void *[1]", [hop_buffers()[2]])
    told = (LIB.VH_E_ARGUMENT, "sample_type 7, expected VH_SAMPLES_F32 or VH_SAMPLES_S16")
    refused(*told, LIB.vh_session_skim, session, inputs, 7)
    refused(*told, LIB.vh_session_process, session, inputs, outputs, 7)


def functions():
    """Yield every function of the library that takes arguments, with its type."""
    for name in sorted(dir(LIB)):
        if name.startswith("vh_"):
            kind = FFI.typeof(FFI.addressof(LIB, name))
            if kind.args:
                yield pytest.param(name, kind, id=name)


@pytest.mark.parametrize(("name", "kind"), list(functions()))
def test_nothing_but_nulls_and_zeros(name, kind):
    """Also the functions that nobody thought of here: a code, zero or nothing, no crash."""
    args = [NULL if arg.kind == "pointer" else 0 for arg in kind.args]
    result = getattr(LIB, name)(*args)
    takes_error = kind.args[-1] == FFI.typeof("vh_error *")
    if takes_error and kind.result.cname == "int32_t":
        assert result == LIB.VH_E_ARGUMENT
    elif kind.result.kind == "primitive":
        assert result <= 0
    elif kind.result.kind == "pointer":
        assert result == NULL


def test_functions_without_an_error_accept_null():
    LIB.vh_model_close(NULL)
    LIB.vh_session_close(NULL)
    LIB.vh_session_options_init(NULL)
    LIB.vh_group_close(NULL)
    assert LIB.vh_group_state_size(NULL) == 0
    assert LIB.vh_model_metadata_count(NULL) == 0
    assert LIB.vh_model_metadata_key(NULL, 0) == NULL
    assert LIB.vh_model_metadata_value(NULL, 0) == NULL
    assert LIB.vh_model_tensor_count(NULL) == 0
    assert LIB.vh_session_tap_count(NULL) == 0
    assert LIB.vh_session_state_size(NULL) == 0


def test_indices_out_of_range(model, session):
    count = LIB.vh_model_metadata_count(model)
    assert LIB.vh_model_metadata_key(model, count - 1) != NULL
    for i in (count, 2**64 - 1):
        assert LIB.vh_model_metadata_key(model, i) == NULL
        assert LIB.vh_model_metadata_value(model, i) == NULL
    tensors = LIB.vh_model_tensor_count(model)
    info = FFI.new("vh_tensor_info *")
    refused(LIB.VH_E_ARGUMENT, "tensor", LIB.vh_model_get_tensor, model, tensors, info)
    refused(LIB.VH_E_ARGUMENT, "tap", LIB.vh_session_get_tap, session, 99, FFI.new("vh_tap_info *"))


def test_failed_open_leaves_no_handle(data):
    out, err = FFI.new("vh_model **"), FFI.new("vh_error *")
    out[0] = FFI.cast("vh_model *", 1)
    assert LIB.vh_model_open_memory(data, len(data) // 2, out, err) == LIB.VH_E_MODEL
    assert out[0] == NULL
    out[0] = FFI.cast("vh_model *", 1)
    assert LIB.vh_model_open(b"/no/such/file.gguf", out, err) == LIB.VH_E_FILE
    assert out[0] == NULL


@pytest.mark.parametrize("n", [0, 1, HOP - 1, HOP + 1, -HOP, 2**62])
def test_wrong_hop_lengths(session, n):
    args = (session, *hop_buffers(), n)
    refused(LIB.VH_E_SHAPE, f"{n} samples, expected one hop of {HOP}",
            LIB.vh_session_process_f32, *args)  # fmt: skip
    args = (session, *hop_buffers("int16_t"), n)
    refused(LIB.VH_E_SHAPE, str(HOP), LIB.vh_session_process_s16, *args)


@pytest.mark.parametrize(
    ("field", "value", "code", "message"),
    [
        ("kernels", b"quick", "VH_E_ARGUMENT", 'kernels: "quick"'),
        ("kernels", b"\xff\n", "VH_E_ARGUMENT", 'kernels: "??"'),
        ("kernels", None, "VH_E_ARGUMENT", "kernels: NULL"),
        ("isa", None, "VH_E_ARGUMENT", "isa: NULL"),
        ("precision", None, "VH_E_ARGUMENT", "precision: NULL"),
        ("precision", b"f8", "VH_E_ARGUMENT", 'precision: "f8"'),
        ("n_threads", 0, "VH_E_ARGUMENT", "n_threads 0"),
        ("n_threads", -1, "VH_E_ARGUMENT", "n_threads -1"),
        ("n_threads", 65, "VH_E_ARGUMENT", "n_threads 65"),
        ("history_first", 2, "VH_E_ARGUMENT", "history_first 2"),
        ("struct_size", 0, "VH_E_ARGUMENT", "struct_size 0"),
        ("struct_size", 8, "VH_E_ARGUMENT", "struct_size 8"),
    ],
)
def test_bad_options(model, field, value, code, message):
    options = FFI.new("vh_session_options *")
    LIB.vh_session_options_init(options)
    keep = FFI.new("char[]", value) if isinstance(value, bytes) else value
    setattr(options, field, NULL if value is None else keep)
    refused(getattr(LIB, code), message, LIB.vh_session_open, model, options,
            FFI.new("vh_session **"))  # fmt: skip


def test_comfort_noise_is_on_or_off(session, group):
    for value in (-1, 2):
        message = f"comfort noise {value}, expected 0 or 1"
        refused(LIB.VH_E_ARGUMENT, message, LIB.vh_session_set_comfort_noise, session, value)
        refused(LIB.VH_E_ARGUMENT, message, LIB.vh_group_set_comfort_noise, group, value)


@pytest.mark.parametrize("field", ["isa", "precision", "history_first"])
def test_what_stock_kernels_cannot_do_is_unsupported(model, field):
    options = FFI.new("vh_session_options *")
    LIB.vh_session_options_init(options)
    values = {"kernels": b"stock", "isa": b"avx2", "precision": b"f16", "history_first": 1}
    keep = {k: FFI.new("char[]", v) if isinstance(v, bytes) else v for k, v in values.items()}
    options.kernels = keep["kernels"]
    setattr(options, field, keep[field])
    refused(LIB.VH_E_UNSUPPORTED, "stock", LIB.vh_session_open, model, options,
            FFI.new("vh_session **"))  # fmt: skip


@pytest.mark.parametrize("stream", [-2, -1, 2, 2**62])
def test_streams_out_of_range(group, stream):
    size = LIB.vh_group_state_size(group)
    blob = FFI.new("char[]", size)
    words = f"stream {stream}, expected 0 to 1"
    cases = [
        (LIB.vh_group_state_save, group, stream, blob, size),
        (LIB.vh_group_state_load, group, stream, blob, size),
        (LIB.vh_group_fork, group, stream, 0),
        (LIB.vh_group_fork, group, 0, stream),
    ]
    if stream != -1:  # all of them
        cases.append((LIB.vh_group_reset, group, stream))
    for function, *args in cases:
        refused(LIB.VH_E_ARGUMENT, words, function, *args)


@pytest.mark.parametrize("streams", [-1, 0, 65537, 2**62])
def test_groups_of_impossible_sizes(model, streams):
    refused(LIB.VH_E_ARGUMENT, f"n_streams {streams}, expected 1 to 65536", LIB.vh_group_open,
            model, NULL, streams, FFI.new("vh_group **"))  # fmt: skip


def test_taps(session):
    values = FFI.new("float[]", 3)
    refused(LIB.VH_E_ARGUMENT, "align.weights", LIB.vh_session_read_tap, session, b"nope",
            values, 3)  # fmt: skip
    for count in (0, 2, 4, -3):
        refused(LIB.VH_E_SHAPE, "expected 3", LIB.vh_session_read_tap, session,
                b"align.weights", values, count)  # fmt: skip


class TestState:
    def save(self, session):
        size = LIB.vh_session_state_size(session)
        blob = FFI.new("char[]", size)
        assert LIB.vh_session_state_save(session, blob, size, NULL) == LIB.VH_OK
        return bytes(FFI.buffer(blob, size))

    def advance(self, session, value=0.5):
        a, b, c = hop_buffers()
        a[3] = value
        assert LIB.vh_session_process_f32(session, a, b, c, HOP, NULL) == LIB.VH_OK
        return list(c)

    @pytest.mark.parametrize("delta", [-1, 1])
    def test_sizes(self, session, delta):
        size = LIB.vh_session_state_size(session) + delta
        blob = FFI.new("char[]", size)
        for function in (LIB.vh_session_state_save, LIB.vh_session_state_load):
            refused(LIB.VH_E_SHAPE, f"{size} bytes", function, session, blob, size)

    @pytest.mark.parametrize("at", [0, 9, 17, 25, 40, -1])
    def test_a_damaged_blob_changes_nothing(self, session, at):
        self.advance(session)
        good = self.save(session)
        damaged = bytearray(good)
        damaged[at] ^= 4
        refused(LIB.VH_E_STATE, "state", LIB.vh_session_state_load, session, bytes(damaged),
                len(damaged))  # fmt: skip
        assert self.save(session) == good

    def test_another_model_of_the_same_shape_is_refused(self, session):
        other = tiny_localvqe(d_max=3, seed=1).encode()
        model, twin = FFI.new("vh_model **"), FFI.new("vh_session **")
        assert LIB.vh_model_open_memory(other, len(other), model, NULL) == LIB.VH_OK
        assert LIB.vh_session_open(model[0], NULL, twin, NULL) == LIB.VH_OK
        blob = self.save(twin[0])
        assert len(blob) == LIB.vh_session_state_size(session)
        refused(LIB.VH_E_STATE, "another model", LIB.vh_session_state_load, session, blob,
                len(blob))  # fmt: skip
        LIB.vh_session_close(twin[0])
        LIB.vh_model_close(model[0])

    def test_a_new_stream_starts_from_zeros(self, session):
        first = self.save(session)
        output = self.advance(session)
        assert self.save(session) != first
        assert LIB.vh_session_reset(session, NULL) == LIB.VH_OK
        assert self.save(session) == first
        assert self.advance(session) == output


def test_the_model_may_close_before_nothing_else_uses_it(data):
    """Open and close many times; the sanitizer build watches for leaks and late uses."""
    for _ in range(20):
        model, session = FFI.new("vh_model **"), FFI.new("vh_session **")
        assert LIB.vh_model_open_memory(data, len(data), model, NULL) == LIB.VH_OK
        for _ in range(3):
            assert LIB.vh_session_open(model[0], NULL, session, NULL) == LIB.VH_OK
            LIB.vh_session_close(session[0])
        LIB.vh_model_close(model[0])


def test_long_messages_are_cut_and_terminated():
    path = b"/" + "ü".encode() * 600
    err = FFI.new("vh_error *")
    assert LIB.vh_model_open(path, FFI.new("vh_model **"), err) < 0
    message = FFI.string(err.message)
    assert len(message) < LIB.VH_MESSAGE_SIZE
    assert message.decode("utf-8")


def test_weight_bytes_count_shared_packed_copies():
    data = (GOLDEN / "model-f32.gguf").read_bytes()
    model, session = FFI.new("vh_model **"), FFI.new("vh_session **")
    info = FFI.new("vh_model_info *")
    assert LIB.vh_model_open_memory(data, len(data), model, NULL) == LIB.VH_OK
    sizes = []
    for _ in range(3):
        assert LIB.vh_model_get_info(model[0], info, NULL) == LIB.VH_OK
        sizes.append(info.weight_bytes)
        assert LIB.vh_session_open(model[0], NULL, session, NULL) == LIB.VH_OK
        LIB.vh_session_close(session[0])
    assert sizes[0] >= 4 * info.parameter_count
    assert sizes[0] < sizes[1] == sizes[2]  # packed once, found again
    LIB.vh_model_close(model[0])


def test_int16_extremes(session):
    mic = np.array([32767, -32768] * (HOP // 2), "i2")
    out = np.zeros(HOP, "i2")
    for _ in range(4):
        code = LIB.vh_session_process_s16(
            session, FFI.from_buffer("int16_t[]", mic), NULL, FFI.from_buffer("int16_t[]", out),
            HOP, NULL,
        )  # fmt: skip
        assert code == LIB.VH_OK
