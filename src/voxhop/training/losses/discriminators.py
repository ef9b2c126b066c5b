"""Discriminators of waveforms: small ones of periods, spectra and log-magnitudes.

B clips, N samples, C maps.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from voxhop.reference.overlap import periodic_window
from voxhop.reference.products import conv2d, lowered

_SLOPE = 0.1
_LOG_FLOOR = 1e-5

Judged = tuple[Tensor, list[Tensor]]  # what a discriminator says, and its maps on the way


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Which discriminators, and how large.

    Attributes
    ----------
    periods : tuple of int
        Periods of those that look at every so many samples.
    period_maps : int
        Maps of their first layer; the last has eight times as many.
    windows : tuple of int
        Windows of those that look at complex spectra.
    magnitude_windows : tuple of int
        Windows of those that look at logarithms of magnitudes.
    maps : int
        Maps of both.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    period_maps: int = 8
    windows: tuple[int, ...] = (1024, 256)
    magnitude_windows: tuple[int, ...] = (512,)
    maps: int = 16


class PeriodDiscriminator(nn.Module):
    """Looks at a waveform folded by a period, along each column."""

    def __init__(self, period: int, maps: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, maps, 2 * maps, 4 * maps, 8 * maps)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)))
            for a, b in itertools.pairwise(widths)
        )
        self.out = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> Judged:
        """(B, N) -> judgements of any shape, and maps."""
        whole = audio.shape[1] // self.period * self.period
        x = audio[:, :whole].view(len(audio), 1, -1, self.period)
        return _through(self.layers, self.out, x)


class SpectrumDiscriminator(nn.Module):
    """Looks at a spectrum, or at the logarithm of its magnitude."""

    window: Tensor

    def __init__(self, n_fft: int, maps: int, *, magnitude: bool) -> None:
        super().__init__()
        self.n_fft, self.magnitude = n_fft, magnitude
        self.register_buffer(
            "window", periodic_window("hann_periodic", n_fft).float(), persistent=False
        )
        first = weight_norm(nn.Conv2d(1 if magnitude else 2, maps, (9, 3), padding=(4, 1)))
        rest = [
            weight_norm(
                nn.Conv2d(maps, maps, (9, 3), (2, 1), padding=(4, step), dilation=(1, step))
            )
            for step in (1, 2, 4)
        ]
        self.layers = nn.ModuleList([first, *rest])
        self.out = weight_norm(nn.Conv2d(maps, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> Judged:
        """(B, N) -> judgements of any shape, and maps."""
        spectra = torch.stft(
            audio,
            self.n_fft,
            self.n_fft // 4,
            window=self.window,
            normalized=True,
            return_complex=True,
        )
        if self.magnitude:
            power = spectra.real.square() + spectra.imag.square()
            x = (power + _LOG_FLOOR**2).log()[:, None] / 10  # about -2.3 to 1
        else:
            x = torch.stack((spectra.real, spectra.imag), dim=1)
        return _through(self.layers, self.out, x)


class Discriminators(nn.Module):
    """All of them, and the least-squares losses of both sides."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.every = nn.ModuleList(
            [
                *(PeriodDiscriminator(p, config.period_maps) for p in config.periods),
                *(SpectrumDiscriminator(n, config.maps, magnitude=False) for n in config.windows),
                *(
                    SpectrumDiscriminator(n, config.maps, magnitude=True)
                    for n in config.magnitude_windows
                ),
            ]
        )

    def forward(self, found: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge what was made beside what was recorded.

        Parameters
        ----------
        found, target : Tensor, (B, N)

        Returns
        -------
        own : Tensor
            Loss of the discriminators; gives `found` no gradient.
        fooled : Tensor
            Loss of who made `found`; gives the discriminators no gradient.
        matching : Tensor
            Distance of maps over their mean magnitude; the same.
        """
        own, fooled, matching = (found.new_zeros(()) for _ in range(3))
        for one in self.every:
            real, real_maps = one(target)
            fake, _ = one(found.detach())
            own = own + (real - 1).square().mean() + fake.square().mean()
            held = {name: p.detach() for name, p in one.named_parameters()}
            judged, maps = functional_call(one, held, (found,))
            fooled = fooled + (judged - 1).square().mean()
            distances = [
                _mean(a - b.detach(), found) / _mean(b.detach(), found).clamp_min(1e-6)
                for a, b in zip(maps, real_maps, strict=True)
            ]
            matching = matching + torch.stack(distances).mean()
        count = max(len(self.every), 1)
        return own / count, fooled / count, matching / count


def _mean(differences: Tensor, sound: Tensor) -> Tensor:
    """Return the mean magnitude, summed in the type of the sound."""
    return differences.abs().mean(dtype=sound.dtype)


def _through(layers: nn.ModuleList, out: nn.Module, x: Tensor) -> Judged:
    """Judge; where products are in bf16, so are the maps, which are most of what is moved."""
    dtype, maps = x.dtype, []
    x = lowered(x)
    for layer in layers:
        x = functional.leaky_relu(_convolved(layer, x), _SLOPE)
        maps.append(x)
    return _convolved(out, x).to(dtype), maps


def _convolved(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Conv2d)  # noqa: S101 - all are
    assert layer.bias is not None  # noqa: S101 - the default
    sizes = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
    return conv2d(x, layer.weight, layer.bias, **sizes)
