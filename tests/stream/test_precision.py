"""What streams, recordings, chains and codecs compute in where nobody says a precision."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from hops import hop_by_hop
from voxhop import SessionOptions, Stream
from voxhop._bindings import native
from voxhop.cli import main

GOLDEN = Path(__file__).parents[1] / "golden"
RATE = 16000
RAW = {"sample_rate": RATE, "highpass_hz": 0.0, "delay_ms": 0.0, "auto_bypass": False}
F32 = SessionOptions(precision="f32")


@pytest.fixture(scope="module")
def part(call):
    return [np.ascontiguousarray(track[44800:52992]) for track in call]


def by_session(model, part, **options):
    """Return the hops of a session without its lag."""
    with model.session(**options) as session:
        return hop_by_hop(session, *part)[session.latency_samples :]


def by_stream(model, part, options=None):
    with Stream(model, options=options, **RAW) as stream:
        out = np.concatenate([stream.process(*part), stream.flush()])
        return out[stream.latency_samples :][: len(part[0]) - model.latency_samples]


def test_the_default_model_is_heard_in_f16_and_sessions_stay_exact(model, part):
    exact = by_session(model, part, precision="f32")
    assert model.info.precision == "f16"
    assert np.array_equal(by_session(model, part), exact)
    assert np.array_equal(by_stream(model, part, F32), exact)
    streamed = by_stream(model, part)
    assert np.array_equal(streamed, by_session(model, part, precision="f16"))
    assert np.array_equal(streamed, by_session(model, part, precision="auto"))
    assert not np.array_equal(streamed, exact)
    # Far more than rounding of sums, far less than anyone hears.
    ratio = 20 * np.log10(np.linalg.norm(exact) / np.linalg.norm(streamed - exact))
    assert 55 < ratio < 90


def test_every_way_that_says_nothing_is_the_models_own(model, part):
    expected = by_stream(model, part)
    mic, ref = part
    whole = voxhop.enhance(mic, ref, sample_rate=RATE, model=model, highpass_hz=0.0)
    assert np.array_equal(whole[: len(expected)], expected)
    told = SessionOptions(threads=2)
    assert np.array_equal(by_stream(model, part, told), expected)
    for link in (model, voxhop.ModelLink(model, options={"threads": 2})):
        with voxhop.Chain([link], sample_rate=RATE) as chain:
            out = np.concatenate([chain.process(mic, ref), chain.flush()])
            assert np.array_equal(out[chain.latency_samples :][: len(expected)], expected)
            assert chain.metrics.links[0].precision == "f16"


def test_a_group_is_as_exact_as_its_sessions(model, part):
    exact = by_session(model, part)
    with voxhop.SessionGroup(model, 1) as group:
        hops = zip(*(track.reshape(-1, 1, 256) for track in part), strict=True)
        out = np.concatenate([group.process(*hop)[0] for hop in hops])
        assert np.array_equal(out[256:], exact)
        assert group.info.precision == "f32"


@pytest.mark.parametrize("isa", voxhop.cpu_isas())
def test_the_same_precision_on_every_cpu(model, isa):
    with model.session(isa=isa, precision="auto") as session:
        assert session.info.precision == "f16"


def test_stock_kernels_have_one(model, part):
    stock = SessionOptions(kernels="stock")
    assert np.array_equal(by_stream(model, part, stock), by_session(model, part, kernels="stock"))
    with model.session(kernels="stock", precision="auto") as session:
        assert session.info.precision == "f32"


def test_states_go_where_the_precision_is_the_same(model):
    with model.session(precision="auto") as one, model.session(precision="f16") as other:
        other.load_state(one.state())
        with model.session() as exact, pytest.raises(voxhop.ShapeError):
            exact.load_state(one.state())


def test_streams_and_chains_of_c_take_it_without_options(model):
    n = native()
    options, out = n.ffi.new("vh_stream_options *"), n.ffi.new("vh_stream **")
    metrics = n.ffi.new("vh_stream_metrics *")
    metrics.struct_size = n.ffi.sizeof("vh_stream_metrics")
    session = n.ffi.new("vh_session_options *")
    n.lib.vh_stream_options_init(options)
    n.lib.vh_session_options_init(session)
    for given, precision in ((n.ffi.NULL, "f16"), (session, "f32")):
        options.session = given
        n.call(n.lib.vh_stream_open, model.handle, options, out)
        n.call(n.lib.vh_stream_get_metrics, out[0], metrics)
        n.lib.vh_stream_close(out[0])
        assert n.text(metrics.precision) == precision
    link, chain = n.ffi.new("vh_chain_link *"), n.ffi.new("vh_chain **")
    figures = n.ffi.new("vh_chain_link_metrics *")
    figures.struct_size = n.ffi.sizeof("vh_chain_link_metrics")
    n.lib.vh_chain_link_init(link)
    link.model = model.handle
    n.call(n.lib.vh_chain_open, link, 1, RATE, RATE, chain)
    n.call(n.lib.vh_chain_get_link_metrics, chain[0], 0, figures)
    n.lib.vh_chain_close(chain[0])
    assert n.text(figures.precision) == "f16"


@pytest.mark.parametrize("name", voxhop.bundled_models())
def test_auto_is_what_the_model_says(name):
    with voxhop.load(name) as model, model.session(precision="auto") as session:
        assert session.info.precision == model.info.precision


def test_reports_of_codecs_and_restorers_tell_it(tmp_path, part):
    mic, coded, heard = (tmp_path / name for name in ("mic.wav", "talk.vxc", "heard.wav"))
    soundfile.write(mic, part[0], RATE, "FLOAT")
    assert voxhop.codec.encode_file(mic, coded).precision == "f32"
    assert voxhop.codec.decode_file(coded, heard).precision == "f32"
    for told, precision in ((None, "f32"), (SessionOptions(precision="f16"), "f16")):
        report = voxhop.restore_file(mic, heard, task="bwe", options=told)
        assert report.precision == precision


def test_the_command_says_it(model, part, tmp_path, capsys):
    for name, track in zip(("mic", "ref"), part, strict=True):
        soundfile.write(tmp_path / f"{name}.wav", track, RATE, "FLOAT")
    line = ["enhance", str(tmp_path / "mic.wav"), "--ref", str(tmp_path / "ref.wav"), "--json"]
    line += ["--highpass-hz", "0"]
    made = {}
    for precision in ("auto", "f32"):
        out = tmp_path / f"{precision}.wav"
        more = [] if precision == "auto" else ["--precision", precision]
        assert main([*line, *more, "-o", str(out)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [side["precision"] for side in told["sides"]] == [
            {"auto": "f16"}.get(precision, precision)
        ]
        made[precision] = soundfile.read(out, dtype="float32")[0][:-256]
    assert np.array_equal(made["auto"], by_stream(model, part))
    assert np.array_equal(made["f32"], by_session(model, part))
    assert main(["info"]) == 0
    assert "precision   f16 in streams" in capsys.readouterr().out
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["info"]["precision"] == "f16"


@pytest.mark.parametrize("precision", ["f8", "AUTO", ""])
def test_unknown_ones_are_refused_by_name(model, precision):
    options = SessionOptions(precision=precision)
    words = f'precision: "{precision}", expected "auto", "f32", "f16", "bf16" or "int8"'
    for call in (
        lambda: model.session(**dataclasses.asdict(options)),
        lambda: Stream(model, options=options, **RAW),
        lambda: voxhop.Chain([voxhop.ModelLink(model, options={"precision": precision})]),
        lambda: voxhop.codec.CodecDecoder("voxhop-sublime", precision=precision),
    ):
        with pytest.raises(voxhop.ArgumentError, match=words):
            call()
