"""The codec of the C interface: what the package does, its files, and misuse."""

import io

import numpy as np
import pytest

import voxhop
from voxhop import CodecDecoder, CodecEncoder
from voxhop._bindings import native
from voxhop.codec import ContainerWriter, pack_codes, parse_container

N = native()
FFI, LIB, NULL = N.ffi, N.lib, N.ffi.NULL
NOT_SENT = 255


def pointer(array, kind):
    return FFI.cast(f"{kind} *", FFI.from_buffer(array))


def ok(code, err):
    assert code == LIB.VH_OK, N.text(err.message)


def refused(code, message, function, *args):
    err = FFI.new("vh_error *")
    assert function(*args, err) == code
    assert message in N.text(err.message)
    assert function(*args, NULL) == code


@pytest.fixture(scope="module")
def handle(model_path):
    out, err = FFI.new("vh_model **"), FFI.new("vh_error *")
    ok(LIB.vh_model_open(str(model_path).encode(), out, err), err)
    yield out[0]
    LIB.vh_model_close(out[0])


@pytest.fixture
def encoder(handle):
    out, err = FFI.new("vh_codec_encoder **"), FFI.new("vh_error *")
    ok(LIB.vh_codec_encoder_open(handle, 0, NULL, out, err), err)
    yield out[0]
    LIB.vh_codec_encoder_close(out[0])


@pytest.fixture
def decoder(handle):
    out, err = FFI.new("vh_codec_decoder **"), FFI.new("vh_error *")
    ok(LIB.vh_codec_decoder_open(handle, NULL, out, err), err)
    yield out[0]
    LIB.vh_codec_decoder_close(out[0])


def pushed(encoder, sound):
    """Push samples; return the codes, as many as were announced."""
    err, count = FFI.new("vh_error *"), FFI.new("int64_t *")
    room = LIB.vh_codec_encoder_frames(encoder, len(sound))
    codes = np.zeros((room, 24), np.uint8)
    kind = "float" if sound.dtype == np.float32 else "int16_t"
    push = LIB.vh_codec_encoder_push_f32 if kind == "float" else LIB.vh_codec_encoder_push_s16
    ok(push(encoder, pointer(sound, kind), len(sound), pointer(codes, "uint8_t"), room, count, err),
       err)  # fmt: skip
    assert count[0] == room
    return codes


def flushed(encoder):
    err, count = FFI.new("vh_error *"), FFI.new("int64_t *")
    codes = np.zeros((LIB.VH_CODEC_FLUSH_FRAMES, 24), np.uint8)
    ok(LIB.vh_codec_encoder_flush(encoder, pointer(codes, "uint8_t"), 3, count, err), err)
    return codes[: count[0]]


def heard(decoder, codes, kbps=6):
    err, out = FFI.new("vh_error *"), np.zeros(480 * len(codes), np.float32)
    ok(LIB.vh_codec_decoder_push_f32(decoder, pointer(codes, "uint8_t"), len(codes), kbps,
                                     pointer(out, "float"), err), err)  # fmt: skip
    return out


@pytest.mark.parametrize("block", [1, 239, 480, 777, 5000])
@pytest.mark.parametrize("samples", [0, 1, 240, 480, 4801])
def test_any_split_gives_the_codes_of_the_package(encoder, model, pcm, block, samples):
    sound = pcm[:samples].copy()
    parts = [pushed(encoder, sound[at : at + block]) for at in range(0, samples, block)]
    found = np.concatenate([*parts, flushed(encoder)])
    with CodecEncoder(model) as expected:
        codes = np.concatenate([expected.push(sound), expected.flush()])
    assert len(found) == -(-samples // 480) + 1
    assert np.array_equal(found, codes)
    # A flush begins a new stream.
    assert np.array_equal(pushed(encoder, pcm[:2000].copy()), CodecEncoder(model).push(pcm[:2000]))


def test_whole_numbers_and_reset(encoder, model, pcm):
    whole = np.rint(pcm[:3000] * 20000).astype(np.int16)
    with CodecEncoder(model) as other:
        expected = other.push(whole)
    assert np.array_equal(pushed(encoder, whole), expected)
    err = FFI.new("vh_error *")
    ok(LIB.vh_codec_encoder_reset(encoder, err), err)
    assert np.array_equal(pushed(encoder, whole), expected)


def test_sound_is_that_of_the_package(decoder, model, codes):
    low = codes[10:20].copy()
    low[:, 4:] = NOT_SENT
    with CodecDecoder(model) as other:
        assert np.array_equal(heard(decoder, codes[:10]), other.push(codes[:10]))
        expected = other.push(codes[10:20], kbps=1)
        state = other.state()
        assert np.array_equal(heard(decoder, low), expected)
        err, out = FFI.new("vh_error *"), np.zeros(960, np.float32)
        ok(LIB.vh_codec_decoder_conceal_f32(decoder, 2, pointer(out, "float"), err), err)
        assert np.array_equal(out, other.conceal(2))
        # A frame of which nothing was sent is one that was lost.
        other.load_state(state)
        other.conceal(2)
        lost = np.full((3, 24), NOT_SENT, np.uint8)
        assert np.array_equal(heard(decoder, lost), other.conceal(3))
        assert np.array_equal(heard(decoder, codes[20:25], 1), other.push(codes[20:25], kbps=1))
        ints = np.zeros(480, np.int16)
        row = codes[25:26].copy()
        ok(LIB.vh_codec_decoder_push_s16(decoder, pointer(row, "uint8_t"), 1, 6,
                                         pointer(ints, "int16_t"), err), err)  # fmt: skip
        assert np.array_equal(ints, other.push(row, dtype=np.int16))


def saved(coder, noun):
    size = getattr(LIB, f"vh_codec_{noun}_state_size")(coder)
    blob, err = bytearray(size), FFI.new("vh_error *")
    ok(getattr(LIB, f"vh_codec_{noun}_state_save")(coder, FFI.from_buffer(blob), size, err), err)
    return bytes(blob)


@pytest.mark.parametrize("at", [0, 100, 239, 240, 1000, 4801])
def test_an_encoder_goes_on_from_a_state(encoder, pcm, at):
    pushed(encoder, pcm[:at].copy())
    blob, err = saved(encoder, "encoder"), FFI.new("vh_error *")
    expected = np.concatenate([pushed(encoder, pcm[at : at + 3000].copy()), flushed(encoder)])
    pushed(encoder, pcm[:777].copy())  # another stream
    ok(LIB.vh_codec_encoder_state_load(encoder, blob, len(blob), err), err)
    assert saved(encoder, "encoder") == blob
    found = np.concatenate([pushed(encoder, pcm[at : at + 3000].copy()), flushed(encoder)])
    assert np.array_equal(found, expected)


def test_a_decoder_goes_on_from_a_state(decoder, codes):
    heard(decoder, codes[:7].copy())
    blob, err = saved(decoder, "decoder"), FFI.new("vh_error *")
    expected = heard(decoder, codes[7:12].copy())
    ok(LIB.vh_codec_decoder_reset(decoder, err), err)
    ok(LIB.vh_codec_decoder_state_load(decoder, blob, len(blob), err), err)
    assert np.array_equal(heard(decoder, codes[7:12].copy()), expected)


def test_states_that_are_none_change_nothing(encoder, decoder, pcm):
    pushed(encoder, pcm[:1000].copy())
    blob = saved(encoder, "encoder")
    load = LIB.vh_codec_encoder_state_load
    short = len(blob) - 1
    refused(LIB.VH_E_SHAPE, f"{short} bytes, expected {len(blob)}", load, encoder, blob, short)
    refused(LIB.VH_E_STATE, "something else", load, encoder, b"X" + blob[1:], len(blob))
    for at in (8, 16, 24):  # the counts
        damaged = bytearray(blob)
        damaged[at] ^= 1
        refused(LIB.VH_E_STATE, "damaged", load, encoder, bytes(damaged), len(blob))
        damaged[at + 7] ^= 0x80
        refused(LIB.VH_E_STATE, "damaged", load, encoder, bytes(damaged), len(blob))
    assert saved(encoder, "encoder") == blob
    refused(LIB.VH_E_ARGUMENT, "encoder: NULL", load, NULL, blob, len(blob))
    assert LIB.vh_codec_encoder_state_size(NULL) == LIB.vh_codec_decoder_state_size(NULL) == 0
    own = saved(decoder, "decoder")
    load = LIB.vh_codec_decoder_state_load
    refused(LIB.VH_E_SHAPE, "expected", load, decoder, own + b"0", len(own) + 1)
    refused(LIB.VH_E_STATE, "", load, decoder, bytes(len(own)), len(own))
    save = LIB.vh_codec_decoder_state_save
    refused(LIB.VH_E_SHAPE, "expected", save, decoder, FFI.new("char[9]"), 9)


@pytest.mark.parametrize("kbps", [1, 6])
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 11])
def test_bits_are_those_of_the_package(codes, kbps, frames):
    err, rows = FFI.new("vh_error *"), codes[:frames].copy()
    data = bytearray(LIB.vh_codec_packed_size(frames, kbps))
    ok(LIB.vh_codec_pack(pointer(rows, "uint8_t"), frames, kbps, FFI.from_buffer(data), len(data),
                         err), err)  # fmt: skip
    assert bytes(data) == pack_codes(rows, kbps)
    back = np.zeros((frames, 24), np.uint8)
    ok(LIB.vh_codec_unpack(FFI.from_buffer(data), len(data), frames, kbps,
                           pointer(back, "uint8_t"), err), err)  # fmt: skip
    groups = 4 if kbps == 1 else 24
    assert np.array_equal(back[:, :groups], rows[:, :groups])
    assert (back[:, groups:] == NOT_SENT).all()


def written(codes, kbps, samples, rate=16000, enhanced=0):
    err, info = FFI.new("vh_error *"), FFI.new("vh_coded_info *")
    info.kbps, info.enhanced, info.sample_rate = kbps, enhanced, rate
    info.samples, info.frames = samples, len(codes)
    data = bytearray(LIB.vh_coded_size(len(codes), kbps))
    ok(LIB.vh_coded_write(info, pointer(codes, "uint8_t"), FFI.from_buffer(data), len(data), err),
       err)  # fmt: skip
    return bytes(data)


def read(data, damaged=0):
    err, info = FFI.new("vh_error *"), FFI.new("vh_coded_info *")
    code = LIB.vh_coded_read(data, len(data), damaged, info, err)
    if code != LIB.VH_OK:
        assert code == LIB.VH_E_FILE
        return N.text(err.message)
    return info


def frames_of(data, first, frames):
    err, codes = FFI.new("vh_error *"), np.zeros((frames, 24), np.uint8)
    ok(LIB.vh_coded_frames(data, len(data), first, frames, pointer(codes, "uint8_t"), err), err)
    return codes


@pytest.mark.parametrize("kbps", [1, 6])
def test_files_are_those_of_the_package(codes, kbps):
    rows = codes[:11].copy()
    data = written(rows, kbps, 3000, enhanced=1)
    found = parse_container(data)
    assert (found.sample_rate, found.samples, found.frames) == (16000, 3000, 11)
    assert found.enhanced
    file = io.BytesIO()
    writer = ContainerWriter(file, sample_rate=16000, kbps=kbps, enhanced=True)
    writer.write(rows)
    writer.finish(3000)
    assert data == file.getvalue()
    info = read(data)
    assert (info.kbps, info.samples, info.frames, info.enhanced) == (kbps, 3000, 11, 1)
    assert N.text(info.problem) == ""
    groups = 4 if kbps == 1 else 24
    for first, frames in ((0, 11), (3, 5), (10, 1), (11, 0)):
        part = frames_of(data, first, frames)
        assert np.array_equal(part[:, :groups], rows[first : first + frames, :groups])
        assert (part[:, groups:] == NOT_SENT).all()


def test_files_of_changing_rate_are_decoded(decoder, model, codes):
    file = io.BytesIO()
    writer = ContainerWriter(file, sample_rate=24000, kbps=0)
    for i, row in enumerate(codes[:12]):
        writer.write(row[None], 1 if i % 3 else 6)
    writer.finish(11 * 480)
    data = file.getvalue()
    assert read(data).kbps == 0
    sound = heard(decoder, frames_of(data, 0, 12))
    expected, _ = voxhop.decode(data, model=model)
    assert np.array_equal(sound[480:], expected)


def test_damage_is_told_as_the_package_tells_it(codes):
    """Of 3,000 mutations both say whether a file is whole, and what is left of it."""
    rng = np.random.default_rng(7)
    file = io.BytesIO()
    writer = ContainerWriter(file, sample_rate=24000, kbps=0)
    for i, row in enumerate(codes[:9]):
        writer.write(row[None], 1 if i % 2 else 6)
    writer.finish(8 * 480)
    rows = codes[:9].copy()
    files = [written(rows, 6, 2500), written(rows, 1, 2500), file.getvalue()]
    whole = 0
    for i in range(3000):
        data = bytearray(files[i % 3])
        if i % 2:
            del data[int(rng.integers(len(data))) :]
        for at in rng.integers(0, max(1, len(data)), int(rng.integers(0, 3))):
            if data:
                data[at] ^= 1 << int(rng.integers(8))
        data = bytes(data)
        info = read(data, 1)
        try:
            expected = parse_container(data, damaged=True)
        except voxhop.CodecFileError:
            expected = None
        assert isinstance(info, str) == (expected is None)
        if expected is None:
            continue
        assert (info.frames, info.samples) == (expected.frames, expected.samples)
        assert bool(N.text(info.problem)) == (expected.problem is not None)
        assert isinstance(read(data), str) == (expected.problem is not None)
        runs = [part for _, part in expected.runs()]
        found = frames_of(data, 0, info.frames)
        low = np.concatenate([r[:, :4] for r in runs]) if runs else np.zeros((0, 4))
        assert np.array_equal(found[:, :4], low)
        whole += expected.problem is None
    assert whole > 300


def test_misuse(handle, encoder, decoder, codes, model_path):
    count, sound = FFI.new("int64_t *"), np.zeros(1000, np.float32)
    room = np.zeros((4, 24), np.uint8)
    pcm, into = pointer(sound, "float"), pointer(room, "uint8_t")
    bad, shape = LIB.VH_E_ARGUMENT, LIB.VH_E_SHAPE
    push = LIB.vh_codec_encoder_push_f32
    refused(bad, "encoder: NULL", push, NULL, pcm, 10, into, 4, count)
    refused(bad, "n: -1", push, encoder, pcm, -1, into, 4, count)
    refused(shape, "capacity: 1 frames, expected at least 2", push, encoder, pcm, 1000, into, 1,
            count)  # fmt: skip
    sound[7] = np.nan
    refused(bad, "sample 7 is not finite", push, encoder, pcm, 1000, into, 4, count)
    assert LIB.vh_codec_encoder_frames(encoder, 239) == 0  # nothing was taken
    assert LIB.vh_codec_encoder_frames(encoder, 240) == 1
    assert LIB.vh_codec_encoder_frames(NULL, 240) == 0
    refused(shape, "capacity: 0", LIB.vh_codec_encoder_flush, encoder, into, 0, count)
    rows = codes[:2].copy()
    rows[1, 5] = 32
    out = pointer(np.zeros(960, np.float32), "float")
    play = LIB.vh_codec_decoder_push_f32
    wrong = pointer(rows, "uint8_t")
    refused(bad, "codes: 32 in frame 1", play, decoder, wrong, 2, 6, out)
    refused(bad, "kbps: 3", play, decoder, wrong, 2, 3, out)
    refused(bad, "codes: 32 in frame 1", LIB.vh_codec_pack, wrong, 2, 6, FFI.new("char[30]"), 30)
    refused(shape, "29 bytes, expected 30", LIB.vh_codec_unpack, bytes(29), 29, 2, 6, into)
    refused(bad, "frames: -1", LIB.vh_codec_decoder_conceal_f32, decoder, -1, out)
    assert LIB.vh_codec_packed_size(2, 5) == LIB.vh_coded_size(-1, 6) == 0
    info = FFI.new("vh_coded_info *", {"kbps": 6, "sample_rate": 24000, "samples": 481})
    info.frames = 2
    refused(bad, "frames: 2, expected at least 3", LIB.vh_coded_write, info, into,
            FFI.new("char[63]"), 63)  # fmt: skip
    opened = FFI.new("vh_codec_encoder **")
    refused(LIB.VH_E_ARGUMENT, "part", LIB.vh_codec_encoder_open, handle, 1, NULL, opened)
    refused(bad, "enhance 2", LIB.vh_codec_encoder_open, handle, 2, NULL, opened)
    options = FFI.new("vh_session_options *")
    LIB.vh_session_options_init(options)
    options.precision = keep = FFI.new("char[]", b"int3")
    refused(bad, "int3", LIB.vh_codec_encoder_open, handle, 0, options, opened)
    assert keep
    other, err = FFI.new("vh_model **"), FFI.new("vh_error *")
    seflow = str(model_path.parent.parent / "seflow-random" / "model-f32.gguf").encode()
    ok(LIB.vh_model_open(seflow, other, err), err)
    refused(LIB.VH_E_UNSUPPORTED, "expected a codec", LIB.vh_codec_encoder_open, other[0], 0, NULL,
            opened)  # fmt: skip
    LIB.vh_model_close(other[0])
    LIB.vh_codec_encoder_close(NULL)
    LIB.vh_codec_decoder_close(NULL)
