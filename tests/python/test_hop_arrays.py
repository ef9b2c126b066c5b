"""A hop takes exactly the arrays it says, and names what else it was given."""

import numpy as np
import pytest

import voxhop

HOP = 256


def good(dtype=np.float32):
    return np.zeros(HOP, dtype)


def unaligned():
    return np.frombuffer(bytes(4 * HOP + 1), np.uint8)[1:].view(np.float32)


BAD = {
    "short": (good()[:-1], voxhop.ShapeError, r"\(255,\), expected \(256,\)"),
    "long": (np.zeros(HOP + 1, np.float32), voxhop.ShapeError, r"\(257,\)"),
    "empty": (np.zeros(0, np.float32), voxhop.ShapeError, r"\(0,\)"),
    "rank 0": (np.zeros((), np.float32), voxhop.ShapeError, r"\(\)"),
    "rank 2": (np.zeros((1, HOP), np.float32), voxhop.ShapeError, r"\(1, 256\)"),
    "float64": (good(np.float64), voxhop.DtypeError, "float64"),
    "int32": (good(np.int32), voxhop.DtypeError, "int32"),
    "big-endian": (good(">f4"), voxhop.DtypeError, ">f4"),
    "strided": (np.zeros(2 * HOP, np.float32)[::2], voxhop.ShapeError, "strided"),
    "reversed": (good()[::-1], voxhop.ShapeError, "strided"),
    "unaligned": (unaligned(), voxhop.ShapeError, "unaligned"),
    "list": ([0.0] * HOP, voxhop.DtypeError, "list"),
    "bytes": (bytes(4 * HOP), voxhop.DtypeError, "bytes"),
    "None": (None, voxhop.DtypeError, "NoneType"),
}


PLACES = [(p, k) for p in ("mic", "ref", "out") for k in BAD if (p, k) != ("ref", "None")]


@pytest.mark.parametrize(("place", "kind"), PLACES)
def test_bad_array_is_named_and_changes_nothing(session, place, kind):
    array, error, words = BAD[kind]
    arrays = {"mic": good(), "ref": good(), "out": np.full(HOP, 7.0, np.float32), place: array}
    before = session.state()
    with pytest.raises(error, match=f"^{place}: .*{words}"):
        session.process_hop_into(arrays["mic"], arrays["ref"], arrays["out"])
    assert session.state() == before
    assert session.metrics.hops == 0
    if place != "out":
        assert (arrays["out"] == 7.0).all()


def test_wrong_dtype_is_a_type_error_and_wrong_shape_a_value_error(session):
    with pytest.raises(TypeError):
        session.process_hop(good(np.float64))
    with pytest.raises(ValueError, match="mic"):
        session.process_hop(good()[:-1])


@pytest.mark.parametrize(("mic", "ref"), [(np.float32, np.int16), (np.int16, np.float32)])
def test_reference_of_another_dtype_is_refused(session, mic, ref):
    with pytest.raises(voxhop.DtypeError, match=f"ref: dtype {np.dtype(ref)}, expected"):
        session.process_hop(good(mic), good(ref))


def test_output_of_another_dtype_is_refused(session):
    with pytest.raises(voxhop.DtypeError, match="out: dtype int16, expected float32 like mic"):
        session.process_hop_into(good(), None, good(np.int16))


def test_read_only_output_is_refused(session):
    out = good()
    out.flags.writeable = False
    with pytest.raises(voxhop.ShapeError, match="out: a read-only array"):
        session.process_hop_into(good(), None, out)


def test_read_only_input_is_fine(session, call):
    mic = call[0][:HOP].copy()
    mic.flags.writeable = False
    assert np.abs(session.process_hop(mic)).max() > 0


def test_contiguous_slice_of_a_longer_array_is_fine(session, model, call):
    mic, ref = call
    with model.session() as other:
        for start in (0, 1 * HOP, 2 * HOP):
            part = slice(start, start + HOP)
            sliced = session.process_hop(mic[part], ref[part])
            copied = other.process_hop(mic[part].copy(), ref[part].copy())
            assert np.array_equal(sliced, copied)
