"""Echo of real speech in made-up rooms: delays, clocks that drift, jumps, lost blocks."""

import numpy as np
import soxr

RATE = 16000


def speech(ref, seconds, seed):
    """Return speech like nobody's: the demo's far end at other pitches, joined with pauses."""
    rng = np.random.default_rng(seed)
    ref = ref[: np.flatnonzero(np.abs(ref) > 0.01)[-1]]  # the far end falls silent at last
    parts, have = [], 0
    while have < seconds * RATE:
        pitch = rng.uniform(0.85, 1.2)
        start = int(rng.integers(0, len(ref) // 2))
        piece = soxr.resample(ref[start:], RATE, RATE * pitch)
        pause = np.zeros(int(RATE * rng.uniform(0.1, 0.5)))
        parts += [piece, pause]
        have += len(piece) + len(pause)
    x = np.concatenate(parts)[: round(seconds * RATE)]
    return 0.05 * x / np.sqrt(np.mean(x**2))


def room(seed, seconds=0.35):
    """Return an impulse response: the direct sound, then a decaying tail of reflections."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / rng.uniform(0.2, 0.6))
    sparse = tail * (rng.random(len(t)) < 0.15)
    response = 0.35 * sparse
    response[:16] = 0.0
    response[0] = 1.0
    return response


def drifting(x, ppm):
    """Return x as a clock hears it that runs `ppm` faster: y(t) = x(t (1 - ppm 1e-6))."""
    position = np.arange(len(x)) * (1.0 - 1e-6 * ppm)
    whole = np.floor(position).astype(int)
    fraction = position - whole
    padded = np.pad(x, (32, 32 + round(len(x) * 1e-3)))
    y = np.zeros(len(x))
    for tap in range(-31, 33):
        t = tap - fraction
        window = np.where(np.abs(t) < 32, np.cos(np.pi * t / 64) ** 2, 0.0)
        y += padded[whole + tap + 32] * np.sinc(t) * window
    return y


def echo(far, seed, delay_s, *, ppm=0.0, jump=None):
    """Return what the microphone hears of `far`, 20 dB over a noise.

    Parameters
    ----------
    far
        ``(samples,)``.
    seed
        Of the room and the noise.
    delay_s
        Of the direct sound at the start.
    ppm
        How much slower than the microphone's the clock of `far` runs.
    jump
        Time and size in seconds of a change of the delay, or None.
    """
    heard = np.convolve(far, room(seed))[: len(far)]
    heard *= 0.05 / np.sqrt(np.mean(heard**2))

    def late(seconds):
        n = round(seconds * RATE)
        return np.concatenate([np.zeros(n), heard])[: len(far)]

    mic = late(delay_s)
    if jump is not None:
        at = round(jump[0] * RATE)
        mic[at:] = late(delay_s + jump[1])[at:]
    if ppm:
        mic = drifting(mic, ppm)
    return mic + 0.005 * np.random.default_rng(seed + 1).standard_normal(len(far))
