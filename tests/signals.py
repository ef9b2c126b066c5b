"""Deterministic test signals: 16 kHz, float64 numpy, nominally within [-1, 1]."""

import numpy as np

RATE = 16000
HOP = 256


def noise(samples, seed, *, rms=0.1):
    """Return white Gaussian noise."""
    return rms * np.random.default_rng(seed).standard_normal(samples)


def level(x):
    """Return a signal at an RMS of 0.05."""
    return x * (0.05 / np.std(x))


def speech_like(samples, seed):
    """Return noise and a gliding harmonic tone under a syllable-rate envelope."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / RATE
    pitch = 120.0 + 60.0 * rng.random() + 30.0 * np.sin(2 * np.pi * 0.7 * t + 6.3 * rng.random())
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voiced = sum(np.sin(k * phase + 6.3 * rng.random()) / k for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t + 6.3 * rng.random()) + 0.3, 0.0, None)
    return 0.06 * syllables * (voiced + 0.5 * rng.standard_normal(samples))


def echo_pair(samples, seed, *, delay=1760, gain=0.5):
    """Return (mic, ref): near speech plus a delayed copy of the far speech, and the far speech.

    Parameters
    ----------
    samples : int
    seed : int
    delay : int
        Of the echo, in samples.
    gain : float
        Of the echo.
    """
    far = speech_like(samples, seed)
    near = speech_like(samples, seed + 1000) + noise(samples, seed + 2000, rms=0.003)
    mic = near + gain * delayed(far, delay)
    return mic, far


def delayed(x, delay):
    """Return x shifted right by ``delay`` samples, with zeros before it."""
    return np.concatenate((np.zeros(delay, x.dtype), x))[: len(x)]
