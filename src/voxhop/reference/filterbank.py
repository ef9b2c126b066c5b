"""The frozen analysis and synthesis filterbanks, as streams of hops.

B batch, T frames, S hop (256 samples), K window (512 samples), F bins (256).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FILTERBANK_FFT = 512
FILTERBANK_HOP = 256


def stft_basis() -> tuple[Tensor, Tensor]:
    """Return the sqrt-Hann STFT of bins 1..256 and its synthesis, eq. (1).

    The Nyquist bin is kept and its synthesis row is scaled like the others, so it comes
    back doubled; DC is dropped. Trained weights expect exactly this.

    Returns
    -------
    analysis, synthesis : Tensor, (512, 512) float64
        Row 2f of ``analysis`` is the real part of bin f+1, row 2f+1 the imaginary part.
        ``synthesis`` maps the same order of coefficients (columns) to samples (rows).
    """
    n = torch.arange(FILTERBANK_FFT, dtype=torch.float64)
    window = torch.sqrt(0.5 - 0.5 * torch.cos(2 * math.pi * (n + 0.5) / FILTERBANK_FFT))
    k = torch.arange(1, FILTERBANK_FFT // 2 + 1)
    # Integer product modulo K: the phase stays exact, and the Nyquist sine row is the
    # rounding of sin(pi) only.
    turns = (k[:, None] * n.long()[None, :]) % FILTERBANK_FFT
    phase = 2 * math.pi * turns.double() / FILTERBANK_FFT
    sine = torch.where(turns * 2 % FILTERBANK_FFT == 0, 0.0, torch.sin(phase))
    rows = torch.stack((torch.cos(phase), -sine), dim=1) * window  # (F, 2, K)
    analysis = rows.reshape(FILTERBANK_FFT, FILTERBANK_FFT)
    return analysis, (2.0 / FILTERBANK_FFT) * analysis.T.contiguous()


def dct_basis() -> tuple[Tensor, Tensor]:
    """Return the orthonormal DCT-II of generation 1 and its transpose.

    Returns
    -------
    analysis, synthesis : Tensor, (512, 512) float64
        Coefficients 2f and 2f+1 are treated as the real and imaginary part of bin f.
    """
    n = torch.arange(FILTERBANK_FFT, dtype=torch.float64)
    basis = torch.cos(math.pi * (n[None, :] + 0.5) * n[:, None] / FILTERBANK_FFT)
    basis *= math.sqrt(2.0 / FILTERBANK_FFT)
    basis[0] /= math.sqrt(2.0)
    return basis, basis.T.contiguous()


def power_of(z: Tensor) -> Tensor:
    """Return |z|^2 of a complex tensor, real and of the same shape."""
    return z.real.square() + z.imag.square()


class _Frozen(nn.Module):
    """A weight that is saved with the model and never trained."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)


class Analysis(nn.Module):
    """Audio to spectrum, one frame per hop: window = [previous hop | this hop]."""

    def __init__(self, basis: Tensor) -> None:
        super().__init__()
        self.conv = _Frozen(basis[:, None, :].to(torch.get_default_dtype()))

    def forward(self, audio: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Transform hops.

        Parameters
        ----------
        audio : Tensor, (B, T*256) f32 or f64
            Samples.
        state : Tensor, (B, 256), optional
            The hop before; zeros when absent.

        Returns
        -------
        spectrum : Tensor, (B, T, F, 2)
        state : Tensor, (B, 256)
        """
        S = FILTERBANK_HOP
        if state is None:
            state = audio.new_zeros(audio.shape[0], S)
        hops = torch.cat((state, audio), dim=1).view(audio.shape[0], -1, S)  # (B, T+1, S)
        # A hop is the old half of one frame and the new half of another: one product
        # serves both, and no overlapping frame is ever copied.
        old, new = self.conv.weight[:, 0].chunk(2, dim=1)
        halves = hops @ torch.cat((old, new)).T  # (B, T+1, 2K)
        K = FILTERBANK_FFT
        spectrum = halves[:, :-1, :K] + halves[:, 1:, K:]  # (B, T, K)
        return spectrum.view(*spectrum.shape[:2], K // 2, 2), hops[:, -1]


class Synthesis(nn.Module):
    """Spectrum to audio by overlap-add; each output hop completes the frame before.

    Parameters
    ----------
    basis
        (512, 512), coefficients to samples.
    gain
        Factor of the overlap-add: 1 for a windowed pair, 0.5 for generation 1.
    """

    def __init__(self, basis: Tensor, gain: float) -> None:
        super().__init__()
        self.linear = _Frozen(basis.to(torch.get_default_dtype()))
        self._gain = gain

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Synthesise hops.

        Parameters
        ----------
        spectrum : Tensor, (B, T, F, 2) f32 or f64
            Spectrum of T frames.
        state : Tensor, (B, 256), optional
            Second half of the last frame; zeros when absent.

        Returns
        -------
        audio : Tensor, (B, T*256)
            Lags the analysed audio by one hop.
        state : Tensor, (B, 256)
        """
        S = FILTERBANK_HOP
        frames = spectrum.flatten(2) @ self.linear.weight.T * self._gain  # (B, T, K)
        if state is None:
            state = frames.new_zeros(frames.shape[0], S)
        tails = torch.cat((state[:, None], frames[:, :, S:]), dim=1)  # (B, T+1, S)
        audio = frames[:, :, :S] + tails[:, :-1]
        return audio.flatten(1), tails[:, -1]
