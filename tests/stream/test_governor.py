"""The governor: less of the network while hops come late, all of it when there is room."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import voxhop
from voxhop._bindings import native
from voxhop.errors import ArgumentError
from voxhop.stream import Stream

HERE = Path(__file__).parent
MODEL = HERE.parent / "golden" / "seflow-random" / "model-f32.gguf"  # three blocks, two heads
HOP = 256

with_clock = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or shutil.which("cc") is None,
    reason="a clock of one's own needs glibc and a C compiler",
)


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    library = tmp_path_factory.mktemp("clock") / "slow_clock.so"
    source = HERE / "slow_clock.c"
    command = ["cc", "-O2", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.fixture
def govern(clock, tmp_path):
    """Return a function from what govern.py takes to sizes by hop, and output."""

    def run(*plan):
        paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path]))
        done = subprocess.run(
            [sys.executable, HERE / "govern.py", json.dumps(plan), MODEL, tmp_path / "out.npy"],
            env={**os.environ, "PYTHONPATH": paths, "LD_PRELOAD": str(clock)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout), np.load(tmp_path / "out.npy")

    return run


@with_clock
def test_it_shrinks_while_hops_are_late_and_stops_at_the_smallest(govern):
    sizes, _ = govern((50, 0.3), (60, 1.2))
    assert sizes[:51] == [[3, 2, 0]] * 51
    steps = [size for i, size in enumerate(sizes[:-1]) if i == 0 or size != sizes[i - 1]]
    assert steps == [[3, 2, 0], [2, 1, 1], [1, 1, 2]]
    assert sizes[50 + 4] == [1, 1, 2]  # a step after every two late hops
    assert sizes[-1] == [3, 2, 0]  # a new stream begins with all of it


@with_clock
def test_one_late_hop_in_a_while_is_no_reason(govern):
    sizes, _ = govern(*[(120, 0.5), (1, 3.0)] * 4)
    assert {tuple(size) for size in sizes} == {(3, 2, 0)}


@with_clock
def test_it_grows_when_there_is_room_and_only_then(govern):
    seconds = round(16000 / HOP)
    sizes, _ = govern((4, 1.5), (30 * seconds, 0.1))
    small = sizes[4][:2]
    assert small != [3, 2]
    assert sizes[4 + 4 * seconds][:2] == small  # not at once
    assert sizes[4 + 29 * seconds][:2] == [3, 2]
    # Where the larger one would not fit, it stays as it is.
    sizes, _ = govern((4, 1.5), (30 * seconds, 0.65))
    assert sizes[-2][:2] == sizes[4][:2] != [3, 2]


@with_clock
def test_a_machine_at_its_limit_is_tried_less_and_less(govern):
    """It looks free when small and is late as soon as it grows: tries come twice as far apart."""
    sizes, _ = govern((5000, 1.5, 0.1))
    grown = [i for i in range(1, len(sizes) - 1) if sizes[i][:2] > sizes[i - 1][:2]]
    assert sizes[2][:2] < [3, 2]
    assert np.diff(grown) == pytest.approx([625, 1250, 2500], abs=5)  # 10, 20, 40 s


@with_clock
def test_what_comes_out_is_what_a_session_gives_that_is_resized_then(govern):
    sizes, out = govern((20, 0.3), (12, 1.2), (700, 0.05))
    rng = np.random.default_rng(0)
    network, expected = [3, 2], []
    with voxhop.load(MODEL) as model, model.session() as session:
        for now in (size[:2] for size in sizes[:-1]):
            if now != network:
                network = now
                session.resize(*network)
            expected.append(session.process_hop((0.1 * rng.standard_normal(HOP)).astype("f4")))
        late = session.latency_samples
    expected = np.concatenate(expected)[late:]
    assert len({tuple(size[:2]) for size in sizes}) == 3
    assert sizes[-2][:2] == [3, 2]
    assert np.array_equal(out[late + HOP - 1 :], expected[: len(out) - late - HOP + 1])


def test_a_model_without_sizes_is_refused():
    with (
        voxhop.load("voxhop-localvqe-small") as model,
        pytest.raises(ArgumentError, match="governor: 1, expected 0: this model has no smaller"),
    ):
        Stream(model, governor=True)


def test_the_size_it_was_opened_with_is_the_largest():
    settings = {"sample_rate": 16000, "depth": 2, "heads": 1}
    with voxhop.load(MODEL) as model, Stream(model, governor=True, **settings) as stream:
        assert (stream.metrics.depth, stream.metrics.heads) == (2, 1)
        with Stream(model, **settings) as plain:
            assert (plain.metrics.depth, plain.metrics.heads) == (0, 0)


def test_switching_there_and_back_equals_resizing():
    """What a host does by hand: the alternative is built ahead, and holds the way back."""
    n = native()
    rng = np.random.default_rng(1)
    clip = (0.1 * rng.standard_normal((60, HOP))).astype(np.float32)
    texts = [n.ffi.new("char[]", text) for text in (b"depth", b"2", b"heads", b"1")]
    values = n.ffi.new("vh_option[2]")
    for i in range(2):
        values[i].name, values[i].value = texts[2 * i], texts[2 * i + 1]
    with voxhop.load(MODEL) as model, model.session() as one, model.session() as other:
        built = n.ffi.new("vh_alternative **")
        n.call(n.lib.vh_session_build, one._handle, values, 2, built)
        alternative = n.own(built[0], n.lib.vh_alternative_close)
        figures = n.ffi.new("vh_session_figures *")
        n.call(n.lib.vh_alternative_get_figures, alternative, figures)
        assert figures.macs_per_hop < one.macs_per_hop
        for i, x in enumerate(clip):
            if i in {20, 40}:
                n.call(n.lib.vh_session_switch, one._handle, alternative)
                other.resize(*((2, 1) if i == 20 else (3, 2)))
            assert np.array_equal(one.process_hop(x), other.process_hop(x)), i
        with (
            voxhop.load(MODEL) as twin,
            twin.session() as foreign,
            pytest.raises(ArgumentError, match="alternative: of another model"),
        ):
            n.call(n.lib.vh_session_switch, foreign._handle, alternative)
        with pytest.raises(ArgumentError, match="alternative"):
            n.call(n.lib.vh_session_switch, one._handle, n.ffi.NULL)
        values[0].value = n.ffi.new("char[]", b"9")
        with pytest.raises(ArgumentError, match="depth: 9"):
            n.call(n.lib.vh_session_build, one._handle, values, 2, built)
