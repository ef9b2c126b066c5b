"""Models, sessions and groups in other processes, and copies of them."""

import copy
import multiprocessing
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from guards import used_by_another_thread
from voxhop.adapters import pywebrtc
from voxhop.adapters.pcm import PcmEnhancer
from voxhop.codec import CodecListener, CodecTalker
from voxhop.io import AudioReader, AudioWriter
from voxhop.models import find_model

HOP, RATE = 256, 16000


def heard(session, mic, ref):
    """Return what a session makes of whole hops."""
    hops = zip(mic.reshape(-1, HOP), ref.reshape(-1, HOP), strict=True)
    return np.concatenate([session.process_hop(*hop) for hop in hops])


def hears(session, mic, ref):
    """Do the same where a process pool finds it, and tell which process it was."""
    return multiprocessing.current_process().pid, heard(session, mic, ref)


@pytest.fixture
def halves(call):
    """Two stretches of microphone and reference, whole hops each."""
    mic, ref = (track[: 60 * HOP] for track in call)
    return (mic[: 30 * HOP], ref[: 30 * HOP]), (mic[30 * HOP :], ref[30 * HOP :])


@pytest.fixture
def model_file(tmp_path):
    return shutil.copy(find_model("voxhop-localvqe-small"), tmp_path / "own.gguf")


def again(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("way", ["name", "path", "bytes", "bytearray"])
def test_a_model_is_the_same_after_a_pickle(way, model_file, halves, monkeypatch, tmp_path):
    content = model_file.read_bytes()
    monkeypatch.chdir(tmp_path)  # a relative path must mean the same elsewhere
    given = {"name": "voxhop-localvqe-small", "path": "own.gguf", "bytes": content}
    with voxhop.load(given.get(way, bytearray(content))) as model:
        blob = pickle.dumps(model)
        with model.session() as session:
            expected = heard(session, *halves[0])
        metadata = model.metadata
        monkeypatch.chdir("/")
        assert ("own.gguf" in str(blob)) == (way == "path")
        assert (len(blob) > len(content)) == way.startswith("byte")
    with pickle.loads(blob) as back, back.session() as session:
        assert back.metadata == metadata
        assert np.array_equal(heard(session, *halves[0]), expected)


def test_pickles_of_one_model_share_its_weights_and_close_on_their_own(model):
    first, second = again(model), again(model)
    assert first is not second
    assert first.handle == second.handle
    first.close()
    with second.session() as session:
        assert session.hop_length == HOP
    assert again(model).handle == second.handle


def test_a_copy_of_a_model_closes_on_its_own(model):
    for twin in (copy.copy(model), copy.deepcopy(model)):
        assert twin is not model
        assert twin.handle == model.handle
        twin.close()
    assert not model.closed


def test_a_file_that_changed_after_loading_is_not_pickled(model_file):
    with voxhop.load(model_file) as model:
        pickle.dumps(model)
        with model_file.open("ab") as file:
            file.write(b"\0")
        with pytest.raises(voxhop.ModelFileError, match=r"own\.gguf: changed since"):
            pickle.dumps(model)
        model_file.unlink()
        with pytest.raises(voxhop.ModelFileError, match=r"own\.gguf: changed since"):
            pickle.dumps(model)


def test_a_pickle_refuses_another_file_of_the_same_name(model_file):
    with voxhop.load(model_file) as model:
        blob = pickle.dumps(model)
    shutil.copy(find_model(voxhop.DEFAULT_MODEL), model_file)
    with pytest.raises(voxhop.ModelFileError, match=r"own\.gguf: not the file that was pickled"):
        pickle.loads(blob)
    model_file.unlink()
    with pytest.raises(voxhop.ModelFileError, match=r"own\.gguf: no such file"):
        pickle.loads(blob)


def test_a_closed_model_is_refused(model):
    twin = copy.copy(model)
    twin.close()
    for do in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(voxhop.StateError, match="after close"):
            do(twin)


@pytest.mark.parametrize("kernels", ["fused", "stock"])
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, again])
def test_a_session_goes_on_where_it_was(way, kernels, model, halves):
    options = {"kernels": kernels, "precision": "f16" if kernels == "fused" else "f32"}
    with model.session(**options, comfort_noise=False) as session:
        heard(session, *halves[0])
        with way(session) as twin:
            assert twin.options.precision == options["precision"]
            assert not twin.options.comfort_noise
            theirs = heard(twin, *halves[1])  # first: a shared stream would move
            assert np.array_equal(theirs, heard(session, *halves[1]))


def test_a_session_opens_with_the_kernels_that_computed_its_state(model):
    with model.session() as session, again(session) as twin:
        assert session.options.isa == "auto"
        assert (twin.options.kernels, twin.options.isa) == (session.info.kernels, session.info.isa)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, again])
def test_every_stream_of_a_group_goes_on_where_it_was(way, model, halves):
    (mic, ref), (mic2, ref2) = halves
    gain = np.float32([[1.0], [0.5]])
    hops = [x.reshape(-1, 1, HOP) * gain for x in (mic, ref, mic2, ref2)]
    with voxhop.SessionGroup(model, 2, precision="int8") as group:
        for hop in zip(*hops[:2], strict=True):
            group.process(*hop)
        with way(group) as twin:
            assert (twin.streams, twin.options.precision) == (2, "int8")
            assert twin.model.metadata == model.metadata
            for hop in zip(*hops[2:], strict=True):
                assert np.array_equal(twin.process(*hop), group.process(*hop))


@pytest.mark.parametrize("do", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_stream_is_refused_by_name(do, model):
    with (
        voxhop.Stream(model, sample_rate=16000) as stream,
        pytest.raises(TypeError, match="stream: cannot be copied or pickled; open one per call"),
    ):
        do(stream)


SUBLIME = Path(__file__).parent.parent / "golden" / "sublime-random" / "model-f32.gguf"


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, again])
def test_both_sides_of_a_codec_go_on_where_they_were(way, call):
    mic = call[0][:5000]
    with (
        voxhop.load(SUBLIME) as codec,
        voxhop.CodecEncoder(codec) as encoder,
        voxhop.CodecDecoder(codec, 1) as decoder,
    ):
        groups = 4
        decoder.push(encoder.push(mic[:3000])[:, :groups])
        with way(encoder) as twin, way(decoder) as other:
            assert (twin.session is encoder.session, other.kbps) == (False, 1)
            codes = twin.push(mic[3000:])
            assert np.array_equal(codes, encoder.push(mic[3000:]))
            codes = codes[:, :groups]
            assert np.array_equal(other.push(codes), decoder.push(codes))


def test_what_holds_a_stream_is_refused_by_name(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE)
    made = [
        PcmEnhancer(RATE, model=model),
        pywebrtc.AudioProcessor(sample_rate=RATE, echo_cancellation=True, model=model),
        CodecTalker(SUBLIME),
        CodecListener(SUBLIME),
        AudioReader(tmp_path / "a.wav"),
        AudioWriter(tmp_path / "b.wav", rate=RATE, channels=1, encoding=("WAV", "PCM_16")),
    ]
    for thing in made:
        for do in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=f"^{type(thing).__name__}: cannot be copied"):
                do(thing)
        getattr(thing, "discard", getattr(thing, "close", None))()


def test_a_session_that_another_thread_uses_is_not_copied(session):
    with used_by_another_thread(session), pytest.raises(voxhop.StateError, match="two threads"):
        copy.copy(session)


def test_a_session_moves_to_a_spawned_process(session, halves):
    heard(session, *halves[0])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pid, theirs = pool.submit(hears, session, *halves[1]).result()
    assert pid != multiprocessing.current_process().pid
    assert np.array_equal(theirs, heard(session, *halves[1]))


def test_a_session_moves_through_joblib(session, halves):
    joblib = pytest.importorskip("joblib", reason="joblib comes with other packages")
    heard(session, *halves[0])
    both = joblib.Parallel(n_jobs=2)(joblib.delayed(hears)(session, *halves[1]) for _ in range(2))
    ours = heard(session, *halves[1])
    for pid, theirs in both:
        assert pid != multiprocessing.current_process().pid
        assert np.array_equal(theirs, ours)
