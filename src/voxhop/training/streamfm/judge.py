"""Stream.FM's validation: how near the restored sound of fixed clips comes to the clean one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from voxhop.reference import StreamFM
from voxhop.training.losses.si_sdr import si_sdr
from voxhop.training.streamfm.objective import StreamFMObjective, settle_norms, spectra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from voxhop.training.streamfm.clips import Restoring

TIMES: Final = (0.0, 0.25, 0.5, 0.75)
_FRAME, _HOP = 512, 128
_FLOOR = 1e-6  # of a bin's power: -60 dB of full scale
_ACTIVE = 1e-4  # of a clip's loudest frame


class StreamFMJudge:
    """A fixed set of clips.

    Parameters
    ----------
    clips : Restoring
        To restore and score.
    settling : list of Restoring
        Training batches by which the norms of the weights at hand are settled first.
    solver : str
        How clips are restored.
    """

    def __init__(self, clips: Restoring, settling: list[Restoring], solver: str) -> None:
        self._clips, self._settling, self._solver = clips, settling, solver

    def anchors(self) -> Iterator[dict[str, float]]:
        """Yield the distance and SI-SDR of clips as they come in."""
        given = self._clips.given
        yield {"lsd_input": self._lsd(given), "si_sdr_input": self._si_sdr(given)}

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """Score a model.

        Returns
        -------
        dict
            ``lsd``, the log-spectral distance in dB of restored clips; ``lsd_start``, that of
            what the flow starts from without its noise; ``score``, by how many per cent the
            first is below the second; ``si_sdr``, dB; ``flow`` and ``flow_0.25`` and so on, the
            velocity's error at some times.
        """
        assert isinstance(model, StreamFM)  # noqa: S101 - the objective's
        objective = StreamFMObjective(model)
        settle_norms(objective, self._settling)
        objective.eval()
        H = model.config.hop_length
        clips = self._clips
        padded = torch.nn.functional.pad(clips.given, (0, H))
        restored = model(padded, solver=self._solver)[0][:, H:]
        y, _ = spectra(model, clips)
        base = y if model.pred is None else model.predict(y)[0]
        start = model.synthesis(base)[0][:, H:]
        lsd, lsd_start = self._lsd(restored), self._lsd(start)
        errors = {
            f"flow_{tau:g}": float(
                objective.flow_error(clips._replace(tau=torch.full_like(clips.tau, tau))).mean()
            )
            for tau in TIMES
        }
        return {
            "score": 100 * (1 - lsd / lsd_start),
            "lsd": lsd,
            "lsd_start": lsd_start,
            "si_sdr": self._si_sdr(restored),
            "flow": sum(errors.values()) / len(errors),
            **errors,
        }

    def _lsd(self, audio: Tensor) -> float:
        return float(log_spectral_distance(audio, self._clips.target[:, : audio.shape[1]]).mean())

    def _si_sdr(self, audio: Tensor) -> float:
        return float(si_sdr(audio, self._clips.target[:, : audio.shape[1]]).mean())


def log_spectral_distance(audio: Tensor, target: Tensor) -> Tensor:
    """Root of the mean over bins of squared level differences, mean over active frames, dB.

    Parameters
    ----------
    audio, target : Tensor, (clips, samples)
        At one level; powers below -60 dB of full scale count as that.
    """
    window = torch.hann_window(_FRAME, device=audio.device)

    def power(x: Tensor) -> Tensor:
        spectrum = torch.stft(x, _FRAME, _HOP, window=window, return_complex=True)
        return spectrum.abs().square() / window.square().sum()

    one, two = power(audio), power(target)  # (clips, bins, frames)
    level = two.sum(1)
    active = level > _ACTIVE * level.amax(1, keepdim=True)
    difference = 10 * torch.log10((one + _FLOOR) / (two + _FLOOR))
    per_frame = difference.square().mean(1).sqrt()
    return (per_frame * active).sum(1) / active.sum(1).clamp(min=1)
