"""How audible the difference to the target is: the disturbances of ITU-T P.862, simplified.

Powers in half-Bark bands above the threshold of hearing become loudness by Zwicker's law;
what differs by more than masking hides is disturbance, and what was added counts again.
Left out against the recommendation: its equalisation of the transmission, its gain from
frame to frame, and the search for delays, none of which a mask needs. B clips, T frames,
F bins, K bands.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BIN_HZ = 31.25
_BARK_PER_BAND = 0.5
_GAMMA = 0.23
_SPEECH_DB = 79.0
"""Level that both signals are brought to, dB SPL: mean power of their louder frames."""

_LOUD_SHARE = 1e-3
"""Frames above that part of the clip's loudest one count for the level."""

_SILENT_LEVEL = 1e-9
_LEAST_LEVEL = 1e-4

_MASKED = 0.25
_ADDED_EXPONENT, _ADDED_OFFSET, _ADDED_LIMIT = 1.2, 50.0, 12.0
_ADDED_WEIGHT = 0.309
"""Of the asymmetric disturbance beside the symmetric one: 0.0309 against 0.1 in P.862."""


class AudibleDifference(nn.Module):
    """Mean disturbance per frame between two spectra; 0 for equal ones.

    Parameters
    ----------
    bins : int
        Frequency bins F, spaced by 31.25 Hz.
    """

    share: Tensor
    quiet: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        hertz = _BIN_HZ * torch.arange(bins, dtype=torch.float64)
        band = (bark(hertz) / _BARK_PER_BAND).floor().long()
        _, band = torch.unique(band, return_inverse=True)  # low bands without a bin are left out
        share = nn.functional.one_hot(band).double()
        centre = (share * hertz[:, None]).sum(0) / share.sum(0)
        self.register_buffer("share", share.float(), persistent=False)
        self.register_buffer("quiet", hearing_threshold(centre).float(), persistent=False)

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Compare power spectra.

        Parameters
        ----------
        estimate, target : Tensor, (B, T, F)
            Power of every bin. The level of either is of no account.

        Returns
        -------
        Tensor, (B, T)
            Disturbance; 0 throughout a clip whose target is silent.
        """
        heard, wanted = estimate @ self.share, target @ self.share
        wanted_level = speech_level(wanted)
        # The floor keeps the slope finite where nothing is left of a talker.
        level = speech_level(heard) + _LEAST_LEVEL * wanted_level
        present = wanted_level > _SILENT_LEVEL
        heard, wanted = _at_speech_level(heard, level), _at_speech_level(wanted, wanted_level)
        loudness, wanted_loudness = self._loudness(heard), self._loudness(wanted)
        masked = _MASKED * torch.minimum(loudness, wanted_loudness)
        audible = ((loudness - wanted_loudness).abs() - masked).clamp(min=0)
        with torch.no_grad():
            ratio = (heard + _ADDED_OFFSET) / (wanted + _ADDED_OFFSET)
            added = ratio.pow(_ADDED_EXPONENT).clamp(max=_ADDED_LIMIT)
        symmetric = (audible.square().mean(2) + 1e-6).sqrt() - 1e-3
        return present[:, None] * (symmetric + _ADDED_WEIGHT * (added * audible).mean(2))

    def _loudness(self, bands: Tensor) -> Tensor:
        """Zwicker's law, in sone per band up to a factor."""
        above = (0.5 + 0.5 * bands / self.quiet) ** _GAMMA - 1
        return 0.1866 * (self.quiet / 0.5) ** _GAMMA * above.clamp(min=0)


def speech_level(bands: Tensor) -> Tensor:
    """Mean power of a clip's louder frames, (B, T, K) -> (B)."""
    frame = bands.sum(2)
    loud = frame > _LOUD_SHARE * frame.amax(1, keepdim=True)
    return (frame * loud).sum(1) / loud.sum(1).clamp(min=1)


def _at_speech_level(bands: Tensor, level: Tensor) -> Tensor:
    return bands * (10 ** (_SPEECH_DB / 10) / level.clamp(min=_SILENT_LEVEL))[:, None, None]


def bark(hertz: Tensor) -> Tensor:
    """Critical-band rate by Zwicker and Terhardt, Bark."""
    return 13 * torch.atan(7.6e-4 * hertz) + 3.5 * torch.atan((hertz / 7500) ** 2)


def hearing_threshold(hertz: Tensor) -> Tensor:
    """Power of the quietest audible tone by Terhardt; 1 is 0 dB SPL."""
    khz = hertz.clamp(min=50) / 1000
    level = 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return 10 ** (level / 10)
