"""The systems that come with the package: they run, and they cancel."""

from __future__ import annotations

import ctypes.util

import numpy as np
import pytest
from case_sets import RATE, echo_of, speech

from voxhop.errors import ArgumentError
from voxhop.evaluation import build, energy
from voxhop.evaluation.alignment import measure_lag

FAR, NEAR = speech(10.0, 1), speech(10.0, 2)
ECHO = echo_of(FAR, 400, 3)
LATE = slice(5 * RATE, None)  # after convergence


def peer(specification):
    if specification.startswith("webrtc"):
        pytest.importorskip("pywebrtc_audio", reason="pip install pywebrtc-audio")
    elif ctypes.util.find_library("speexdsp") is None:
        pytest.skip("libspeexdsp is not on this machine")
    return build(specification)


@pytest.mark.parametrize(
    ("specification", "least_db"), [("webrtc", 20.0), ("speex,taps=4096", 12.0)]
)
def test_a_canceller_removes_echo_that_it_is_told_of_and_only_that(specification, least_db):
    system = peer(specification)
    out = system.process(ECHO, FAR, RATE)
    assert out.shape == ECHO.shape
    assert out.dtype == np.float32
    assert energy.erle_db(ECHO[LATE], out[LATE]) > least_db
    kept = system.process(NEAR, None, RATE)
    assert abs(energy.erle_db(NEAR[LATE], kept[LATE])) < 6.0


def test_the_preprocessor_of_speex_takes_residual_echo_too():
    left = [
        peer(f"speex,taps=4096,ns={ns}").process(ECHO, FAR, RATE)[LATE] for ns in ("true", "false")
    ]
    assert energy.erle_db(left[1], left[0]) > 3.0


@pytest.mark.parametrize("specification", ["webrtc", "speex"])
def test_every_clip_is_a_new_stream(specification):
    system = peer(specification)
    first = system.process(ECHO, FAR, RATE)
    system.process(NEAR, FAR, RATE)
    assert np.array_equal(system.process(ECHO, FAR, RATE), first)


@pytest.mark.parametrize(("specification", "lag"), [("webrtc", 224), ("speex", 256)])
def test_the_lag_of_a_peer_is_known(specification, lag):
    """14 and 16 ms, as others have measured them too."""
    system = peer(specification)
    out = system.process(NEAR, np.zeros_like(NEAR), RATE)
    assert measure_lag(NEAR, out) == lag


@pytest.mark.parametrize(
    ("specification", "message"),
    [("webrtc,ns_level=4", "expected 0 to 3"), ("speex,taps=10", "expected at least 256")],
)
def test_options_out_of_range_are_refused(specification, message):
    with pytest.raises(ArgumentError, match=message):
        peer(specification)


def test_options_have_an_effect():
    mild, strong = peer("webrtc,ns_level=0"), peer("webrtc,ns_level=3")
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(NEAR)).astype(np.float32)
    quiet = [s.process(noise, None, RATE)[LATE] for s in (mild, strong)]
    assert np.mean(quiet[1] ** 2) < 0.5 * np.mean(quiet[0] ** 2)
    assert mild.name != strong.name
    assert mild.fingerprint != strong.fingerprint


def test_a_missing_package_is_named_with_the_command_that_helps(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pywebrtc_audio", None)
    with pytest.raises(ArgumentError, match="pip install pywebrtc-audio"):
        build("webrtc")
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    with pytest.raises(ArgumentError, match="apt install libspeexdsp1"):
        build("speex")
