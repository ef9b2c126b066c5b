"""Spectral distances to learn by: mel spectra, cepstra, and the spectrum of Sublime's vocoder.

B clips, N samples, M mels, F bins, T frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.mel import slaney_filters
from voxhop.reference.overlap import periodic_window

WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
MELS = (5, 10, 20, 40, 80, 160, 320)
CEPSTRUM_WINDOWS = (512, 1024, 2048)
CEPSTRUM_LENGTH = 13
TEXTURE_WINDOWS = (512, 1024)
_PATCH_BINS, _PATCH_FRAMES = 13, 9
_LEAST_SPREAD = 0.1  # nepers: what is even enough
_FLOOR = 3e-5  # of full scale: what lies below is not heard, and not worth codes
_BIN_FLOOR = 3e-4
"""The same for a bin of the vocoder's orthonormal transform, 90 dB below a full-scale tone."""


class MelSpectra(nn.Module):
    """Mel magnitudes of one window length.

    Parameters
    ----------
    n_fft, mels
        Window in samples, filters; the hop is a quarter of the window.
    sample_rate
        Hz.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, n_fft: int, mels: int, sample_rate: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        window = periodic_window("hann_periodic", n_fft).float()
        filters = torch.as_tensor(slaney_filters(n_fft // 2 + 1, mels, sample_rate)).float()
        # Unlike in the codec's features each filter has a sum of 1: all weigh the same.
        filters = filters / filters.sum(0).clamp_min(1e-9)
        self.register_buffer("window", window * (2 / n_fft), persistent=False)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) -> (B, M, T)."""
        power = _powers(audio, self.window)
        # The gradient of a root at zero is none.
        return (power + _FLOOR**2).sqrt().transpose(1, 2).matmul(self.filters).transpose(1, 2)


class SpectralLosses(nn.Module):
    """L1 of mel spectra, in magnitude and as logarithms, and of cepstra.

    Parameters
    ----------
    sample_rate
        Hz.
    shortest
        Windows of fewer samples are left out.
    """

    cosines: Tensor

    def __init__(self, sample_rate: int, *, shortest: int = 0) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            MelSpectra(n_fft, mels, sample_rate)
            for n_fft, mels in zip(WINDOWS, MELS, strict=True)
            if n_fft >= shortest
        )
        for mels in (MELS[WINDOWS.index(n_fft)] for n_fft in CEPSTRUM_WINDOWS):
            self.register_buffer(f"dct{mels}", cepstrum_basis(mels), persistent=False)

    def forward(self, found: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N), (B, N) -> distance of mel spectra, distance of cepstra."""
        mel, cepstra = found.new_zeros(()), found.new_zeros(())
        for scale in self.scales:
            a, b = scale(found), scale(target)
            log_a, log_b = a.log10(), b.log10()
            mel = mel + (a - b).abs().mean() + (log_a - log_b).abs().mean()
            if scale.n_fft in CEPSTRUM_WINDOWS:
                basis = self.get_buffer(f"dct{a.shape[1]}")
                cepstra = cepstra + (basis @ (log_a - log_b)).abs().mean()
        return mel / len(self.scales), cepstra / len(CEPSTRUM_WINDOWS)


def own_spectrum(
    spectrum: Tensor, target: Tensor, window: Tensor, told: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compare what a vocoder says of every bin with what its synthesis would need.

    Mel distances reach the vocoder through the sum of overlapping frames, where magnitudes and
    phases of all bins mix; these reach each number by itself. Group delays place the pulses of
    a voice. A phase that is wrong by the same amount in a whole frame does not count: what the
    encoder hears does not tell it.

    Parameters
    ----------
    spectrum : Tensor, (B, 2, F, T)
        Log-magnitudes, and phases in rad; frame t covers samples F (t - 1) to F (t + 1).
    target : Tensor, (B, N)
    window : Tensor, (2 F)
        Of the synthesis.
    told : Tensor of bool, (F)
        Bins whose phases count; all where None.

    Returns
    -------
    magnitude, delay : Tensor, scalars
        Mean difference of log-magnitudes in nepers, and of phase steps between bins in rad,
        the latter weighted by the root of the magnitude.
    """
    hop = window.shape[0] // 2
    frames = functional.pad(target, (hop, 0)).unfold(1, 2 * hop, hop) * window
    wanted = torch.fft.rfft(frames, norm="ortho")[..., :-1].transpose(1, 2)  # (B, F, T')
    shared = min(wanted.shape[2], spectrum.shape[3])
    wanted, spectrum = wanted[..., :shared], spectrum[..., :shared]
    loudness = wanted.abs().clamp_min(_BIN_FLOOR)
    heard = spectrum[:, 0].clamp_min(math.log(_BIN_FLOOR))
    magnitude = (heard - loudness.log()).abs().mean()
    step = (spectrum[:, 1] - wanted.angle()).diff(dim=1)
    step = step - 2 * math.pi * (step / (2 * math.pi)).round()
    weight = torch.minimum(loudness[:, 1:], loudness[:, :-1]).sqrt()
    if told is not None:
        weight = weight * (told[1:] & told[:-1])[:, None]
    return magnitude, (weight * step.abs()).sum() / weight.sum()


class Texture(nn.Module):
    """How much levels of bins differ from those around them, against the same of the target.

    What is learned by absolute differences of levels comes out as their median: where a pulse or a
    harmonic may lie here or there, it is smoothed away, and speech gets dull and rough. This
    compares the spread of levels, in nepers, and not where each lies: what is found has to be as
    uneven as what is wanted.

    Parameters
    ----------
    windows
        In samples; the hop is a quarter.
    """

    def __init__(self, windows: tuple[int, ...] = TEXTURE_WINDOWS) -> None:
        super().__init__()
        self.windows = windows
        for n_fft in windows:
            window = periodic_window("hann_periodic", n_fft).float() * (2 / n_fft)
            self.register_buffer(f"window{n_fft}", window, persistent=False)

    def forward(self, found: Tensor, target: Tensor) -> Tensor:
        """(B, N), (B, N) -> mean difference of the logarithms of spreads, a scalar."""
        distance = found.new_zeros(())
        for n_fft in self.windows:
            one, two = (self.spread(audio, n_fft) for audio in (found, target))
            distance = distance + (one / two).log().abs().mean()
        return distance / len(self.windows)

    def spread(self, audio: Tensor, n_fft: int) -> Tensor:
        """(B, N) -> root of the mean square over a patch, (B, F, T), at least `_LEAST_SPREAD`."""
        power = _powers(audio, self.get_buffer(f"window{n_fft}"))
        level = (0.5 * (power + _FLOOR**2).log())[:, None]
        around = functional.avg_pool2d(
            level, (_PATCH_BINS, 1), 1, (_PATCH_BINS // 2, 0), count_include_pad=False
        )
        squares = functional.avg_pool2d(
            (level - around).square(),
            (_PATCH_BINS, _PATCH_FRAMES),
            1,
            (_PATCH_BINS // 2, _PATCH_FRAMES // 2),
            count_include_pad=False,
        )
        return (squares[:, 0] + _LEAST_SPREAD**2).sqrt()


def _powers(audio: Tensor, window: Tensor) -> Tensor:
    """(B, N) -> powers of bins, (B, F, T), every quarter of a window."""
    size = len(window)
    spectra = torch.stft(audio, size, size // 4, window=window, return_complex=True)
    return spectra.real.square() + spectra.imag.square()


def cepstrum_basis(mels: int) -> Tensor:
    """Return the first rows of the orthonormal DCT-II, (13, mels)."""
    n = torch.arange(mels, dtype=torch.float64)
    k = torch.arange(CEPSTRUM_LENGTH, dtype=torch.float64)[:, None]
    basis = torch.cos(math.pi * (n + 0.5) * k / mels) * math.sqrt(2 / mels)
    basis[0] /= math.sqrt(2)
    return basis.float()
