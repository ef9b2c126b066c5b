"""What is known about the output without a reference model: masks, delays, latency."""

import numpy as np
import pytest

import tolerances
import voxhop
from gguf_bytes import decode, tiny_localvqe
from signals import delayed, noise, speech_like
from streams import GOLDEN, run

HOP = 256
CURRENT_TAP = 7  # basis 1, this frame, this bin
MASK_CHANNELS = 27


@pytest.fixture(scope="module")
def golden_file():
    return (GOLDEN / "model-f32.gguf").read_bytes()


def load_edited(data, **tensors):
    """Load the golden model with some tensors replaced; "__" in a name stands for "."."""
    file = decode(data)
    for name, values in tensors.items():
        file.put(name.replace("__", "."), values)
    return voxhop.load(file.encode())


def with_identity_mask(data, **tensors):
    bias = np.zeros(2 * MASK_CHANNELS)
    bias[[CURRENT_TAP, MASK_CHANNELS + CURRENT_TAP]] = 1.0  # both half-bands
    weight = np.zeros_like(decode(data).get("dec1.deconv.conv.weight"))
    return load_edited(
        data, dec1__deconv__conv__weight=weight, dec1__deconv__conv__bias=bias, **tensors
    )


def dc_free_nyquist_doubled(x):
    """Return what analysis and synthesis of bins 1 to 256 make of `x`, in float64.

    The released filterbank has no DC row, and its scale counts Nyquist twice.
    """
    window = np.sin(np.pi * (np.arange(2 * HOP) + 0.5) / (2 * HOP))
    padded = np.concatenate((np.zeros(HOP), x, np.zeros(HOP)))
    out = np.zeros_like(padded)
    for start in range(0, len(padded) - HOP, HOP):
        spectrum = np.fft.rfft(window * padded[start : start + 2 * HOP])
        spectrum[0] = 0.0
        spectrum[-1] *= 2.0
        out[start : start + 2 * HOP] += window * np.fft.irfft(spectrum)
    return out  # starts one hop before x


def test_identity_mask_gives_the_signal_back_256_samples_later(golden_file):
    x = noise(40 * HOP, 1) + 0.2
    expected = dc_free_nyquist_doubled(x)
    with voxhop.Session(with_identity_mask(golden_file)) as session:
        out = run(session, x.astype("f4"), noise(40 * HOP, 2).astype("f4"))
        assert session.latency_samples == HOP
    # Streamed time: output n is audio of n - 256, so it starts one hop before x as well.
    error = out - expected[: len(out)]
    assert np.abs(error).max() <= tolerances.IDENTITY_MASK_ABSOLUTE


@pytest.mark.parametrize("delay_hops", [0, 7, 20, 31])
def test_echo_delay_peaks_at_its_index(golden_file, delay_hops):
    """Equal encoders and a pass-through smoothing make the score a plain correlation."""
    file = decode(golden_file)
    equal = {}
    for name in file.tensors:
        if name.startswith("far_enc"):
            equal[name] = file.get(name.replace("far", "mic"))
    for part in ("weight", "bias"):
        equal[f"align.pconv_ref.{part}"] = file.get(f"align.pconv_mic.{part}")
    for name in ("align.pconv_mic.bias", "align.pconv_ref.bias", "align.conv.1.bias"):
        equal[name] = np.zeros_like(file.get(name))
    smooth = np.zeros_like(file.get("align.conv.1.weight"))
    smooth[0, :, -1, 1] = 1.0  # this frame, this delay, all heads
    equal["align.conv.1.weight"] = smooth
    model = load_edited(golden_file, **equal)

    hops = 80
    far = speech_like(hops * HOP, 3) + noise(hops * HOP, 4, rms=0.01)
    echo = np.concatenate((np.zeros(delay_hops * HOP), far))[: hops * HOP]
    with voxhop.Session(model) as session:
        _, weights = run(session, echo.astype("f4"), far.astype("f4"), tap="align.weights")
    expected = model.info.d_max - 1 - delay_hops
    found = weights[40:].mean(axis=0).argmax()
    assert abs(found - expected) <= 1


@pytest.mark.parametrize(("delay_ms", "hops"), [(100, 6), (320, 20), (400, 25)])
def test_trained_weights_find_the_delay(delay_ms, hops):
    """Real mechanism, shipped weights: a 320 ms echo is 20 hops, index 11 of 32."""
    far = speech_like(150 * HOP, 3)
    mic = 0.5 * delayed(far, 16 * delay_ms) + noise(150 * HOP, 4, rms=0.001)
    model = voxhop.load("voxhop-localvqe-1.3M")
    with voxhop.Session(model) as session:
        _, weights = run(session, mic.astype("f4"), far.astype("f4"), tap="align.weights")
    found = model.info.d_max - 1 - weights[90:].mean(axis=0).argmax()
    assert abs(found - hops) <= 1


@pytest.mark.parametrize(("radius", "bounded"), [(0.99, True), (1.05, False)])
def test_recurrence_is_bounded_by_its_poles_alone(radius, bounded):
    """2500 hops of full scale; the pole outside the circle shows that growth would be seen."""
    file = tiny_localvqe(3, seed=1)  # SiLU, which hides neither infinity nor NaN
    angles = np.linspace(0.0, 3.0, file.get("bottleneck.a_real").size)
    file.put("bottleneck.a_real", radius * np.cos(angles))
    file.put("bottleneck.a_imag", radius * np.sin(angles))
    with voxhop.Session(voxhop.load(file.encode())) as session:
        out = run(session, np.sign(noise(2500 * session.hop_length, 5)).astype("f4"))
    assert np.isfinite(out).all() == bounded


@pytest.mark.parametrize("sample", [0, 255, 256, 300, 5 * HOP + 17, 9 * HOP - 1])
@pytest.mark.parametrize("port", ["mic", "ref"])
def test_nan_sweep_gives_the_latency(golden_file, port, sample):
    """Nothing before the hop of a sample depends on it; the hop itself does."""
    clean = {"mic": noise(12 * HOP, 6).astype("f4"), "ref": noise(12 * HOP, 7).astype("f4")}
    dirty = {name: x.copy() for name, x in clean.items()}
    dirty[port][sample] = np.nan
    model = voxhop.load(golden_file)
    with voxhop.Session(model) as session:
        expected = run(session, **clean)
        session.reset()
        found = run(session, **dirty)
    first = sample // HOP * HOP
    assert np.array_equal(found[:first], expected[:first])
    # ReLU6 swallows NaN on the reference's way; the change shows all the same.
    hop = slice(first, first + HOP)
    assert not np.array_equal(found[hop], expected[hop])
    if port == "mic":
        assert np.isnan(found[hop]).any()
        # Output n is audio of n - 256: the sample itself comes out one hop later.
        assert session.latency_samples == HOP


def test_reset_recovers_from_nan(golden_file):
    mic = noise(6 * HOP, 8).astype("f4")
    with voxhop.Session(voxhop.load(golden_file)) as session:
        expected = run(session, mic)
        session.reset()
        assert np.isnan(run(session, np.full(HOP, np.nan, "f4"))).any()
        session.reset()
        assert np.array_equal(run(session, mic), expected)


def test_int16_is_the_float_path_rounded(golden_file):
    mic = np.clip(32767 * noise(10 * HOP, 9, rms=0.4), -32768, 32767).astype("i2")
    ref = (32767 * noise(10 * HOP, 10)).astype("i2")
    scale = np.float32(32768.0)
    with voxhop.Session(with_identity_mask(golden_file)) as session:
        shorts = run(session, mic, ref)
        session.reset()
        floats = run(session, mic / scale, ref / scale)
    expected = np.clip(np.rint(floats.astype("f8") * 32768.0), -32768, 32767)
    assert np.array_equal(shorts, expected.astype("i2"))
    # The identity mask doubles Nyquist, so this input does saturate: the clip is exercised.
    assert np.abs(floats).max() > 1.0
