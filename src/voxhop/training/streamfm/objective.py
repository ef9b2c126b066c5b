"""Stream.FM's training objective: flow matching, the predictor, and what is measured for both.

B clips, F bins, T frames; spectra are complex (B, F, T), compressed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.products import only_products_in_bf16
from voxhop.reference.solvers import euler
from voxhop.reference.streamfm.blocks import SubbandBatchNorm
from voxhop.reference.streamfm.spread import SPREAD_LIMITS
from voxhop.training.losses.discriminators import Discriminators
from voxhop.training.losses.spectra import SpectralLosses, Texture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from voxhop.reference import StreamFM
    from voxhop.reference.solvers import Tableau
    from voxhop.reference.streamfm import Steps
    from voxhop.training.losses.discriminators import DiscriminatorConfig
    from voxhop.training.streamfm.clips import Restoring

_MOMENTUM: Final = 0.02  # of running statistics: batches are small
_WINDOWS: Final = (256, 512, 768, 1024)  # of the predictor's spectral loss, Hann, half overlap
_SHORTEST: Final = 128  # of the mel spectra of sound
_LEVEL_WINDOWS: Final = (320, 512, 640)
_LEVEL_FLOOR: Final = 1e-6  # of a bin's power: -60 dB of full scale
_QUANTILE: Final = 0.997
_SMOOTHING_BINS: Final = 3.0
_LEAST_SIGMA: Final = 0.02
_FITTING_STEPS: Final = 2000
_FITTING_ROWS: Final = 512
_SIGMAS: Final = 3000.0  # sigma_y over sigma_x, per band


class StreamFMObjective(nn.Module):
    """A model and its loss on a batch.

    Parameters
    ----------
    model : StreamFM
        Trained in place, norms not folded.
    teacher : tuple of StreamFM and str, optional
        What the model learns from in steps with ``calls``, the same with its first weights, and
        by which solver.
    keep, levels, texture : float
        Weights beside how the result sounds: of the compressed spectrum's error, of differences
        of levels, bin by bin, in bels, and of how uneven they are.
    adversarial : float
        Weight of being taken for a recording, and of maps that are alike on the way there.
    discriminators
        Sizes of what judges, where a phase wants it.
    """

    def __init__(
        self,
        model: StreamFM,
        teacher: tuple[StreamFM, str] | None = None,
        *,
        keep: float = 1.0,
        levels: float = 0.05,
        texture: float = 0.0,
        adversarial: float = 0.1,
        discriminators: DiscriminatorConfig | None = None,
    ) -> None:
        super().__init__()
        self.adversarial = adversarial
        self.judges = None if discriminators is None else Discriminators(discriminators)
        self.model = model
        self.keep, self.levels, self.texture = keep, levels, texture
        self.unevenness = Texture() if texture else None
        self.spectra_of_sound = SpectralLosses(model.config.sample_rate, shortest=_SHORTEST)
        # In a tuple: it is no part of what is trained, saved and averaged.
        self.teacher = teacher
        if model.learned is not None:
            model.requires_grad_(requires_grad=False)
            model.learned.requires_grad_(requires_grad=True)
        if teacher is not None:
            teacher[0].eval().requires_grad_(requires_grad=False)
        for norm in norms_of(model):
            norm.momentum = _MOMENTUM

    def forward(
        self,
        batch: Restoring,
        *,
        predict: bool = False,
        calls: int = 0,
        sound: bool = False,
        tableau: bool = False,
        settled: bool = False,
        adversarial: bool = False,
    ) -> dict[str, Tensor]:
        """Return ``loss`` (what is minimised) and its unweighted terms.

        Parameters
        ----------
        batch : Restoring
            Of whole hops.
        predict : bool
            Train the predictor; else the flow, which leaves the predictor as it is.
        calls : int
            Learn to give with so many Euler steps what the teacher gives with its solver from
            the same noise. 0: flow matching.
        sound : bool
            With so many steps, learn by how the result sounds instead.
        tableau : bool
            Learn the model's own tableau alone, by how its result sounds.
        settled : bool
            Norms keep the statistics that they have.
        adversarial : bool
            Discriminators judge the sound, and learn to.
        """
        with only_products_in_bf16(batch.given.device.type):
            # Statistics of a call are those of its time, a teacher's are of all times.
            distils = calls > 0 and not sound
            self.model.train(self.training and not (settled or tableau or distils))
            if tableau:
                learned = self.model.learned
                assert learned is not None  # noqa: S101 - the configuration asks for one
                terms = self._sound_terms(batch, learned())
                return terms | {"loss": terms["loss"] + learned.penalty()}
            if sound:
                return self._sound_terms(batch, euler(calls), adversarial=adversarial)
            if calls:
                return self._distilling_terms(batch, calls)
            return self._predictor_terms(batch) if predict else self._flow_terms(batch)

    def flow_error(self, batch: Restoring) -> Tensor:
        """Return half the squared error of the velocity per clip, mean over bins and frames.

        x_tau = (1 - tau) (y + sigma_y z) + tau (x + sigma_x z), v = x_1 - x_0.
        """
        model = self.model
        y, x = spectra(model, batch)
        base = y
        if model.pred is not None:
            with torch.no_grad():
                base = model.predict(y)[0]
        z = unit_noise(batch)
        sigma_y, sigma_x = (s.detach() for s in sigmas(model, y))
        x0, x1 = base + sigma_y * z, x + sigma_x * z
        tau = batch.tau[:, None, None]
        v, _ = model.velocity((1 - tau) * x0 + tau * x1, base, y, batch.tau, None)
        return _half_square(v - (x1 - x0)).mean((1, 2))

    def _flow_terms(self, batch: Restoring) -> dict[str, Tensor]:
        if self.model.pred is not None:
            self.model.pred.eval()  # trained before; it must not move
        flow = self.flow_error(batch).mean()
        return {"loss": flow, "flow": flow}

    def _distilling_terms(self, batch: Restoring, calls: int) -> dict[str, Tensor]:
        assert self.teacher is not None  # noqa: S101 - the recipe makes one for such phases
        model, (teacher, solver) = self.model, self.teacher
        teacher.to(batch.given.device)
        z = unit_noise(batch)
        y, _ = spectra(model, batch)
        with torch.no_grad():
            base = y if teacher.pred is None else teacher.predict(y)[0]
            sigma, _ = teacher.start_spread(y)
            x0 = base + sigma * z
            wanted, _ = teacher.solve(x0, base, y, teacher.tableau(solver))
        found, _ = model.solve(x0, base, y, euler(calls))
        distance = _half_square(found - wanted).mean()
        return {"loss": distance, "distance": distance}

    def _sound_terms(
        self, batch: Restoring, tableau: Tableau | Steps, *, adversarial: bool = False
    ) -> dict[str, Tensor]:
        """Mel spectra say how it sounds; the compressed spectrum keeps what was there in place."""
        model = self.model
        y, x = spectra(model, batch)
        base = y if model.pred is None else model.predict(y)[0].detach()
        sigma, _ = model.start_spread(y)
        found, _ = model.solve(base + sigma * unit_noise(batch), base, y, tableau)
        distance = _half_square(found - x).mean()
        audio = model.synthesis(found)[0][:, model.config.hop_length :]
        target = batch.target[:, : audio.shape[1]]
        mel, _ = self.spectra_of_sound(audio, target)
        levels = torch.stack([_level_error(audio, target, n) for n in _LEVEL_WINDOWS]).mean()
        loss = mel + self.keep * distance + self.levels * levels
        terms = {"mel": mel, "distance": distance, "levels": levels}
        if self.unevenness is not None:
            terms["texture"] = self.unevenness(audio, target)
            loss = loss + self.texture * terms["texture"]
        if adversarial:
            assert self.judges is not None  # noqa: S101 - made for such phases
            terms["judges"], terms["adversarial"], terms["matching"] = self.judges(audio, target)
            won = self.adversarial * (terms["adversarial"] + terms["matching"])
            loss = loss + won + terms["judges"]
        return {"loss": loss, **terms}

    def _predictor_terms(self, batch: Restoring) -> dict[str, Tensor]:
        model = self.model
        assert model.pred is not None  # noqa: S101 - the recipe refuses a phase without one
        y, _ = spectra(model, batch)
        H = model.config.hop_length
        audio = model.synthesis(model.predict(y)[0])[0][:, H:]
        target = batch.target[:, : audio.shape[1]]
        wave = (audio - target).abs().mean()
        spectral = torch.stack([_magnitude_error(audio, target, n) for n in _WINDOWS]).mean()
        return {"loss": (wave + spectral) / 2, "wave": wave, "spectral": spectral}


def _half_square(error: Tensor) -> Tensor:
    return (error.real.square() + error.imag.square()) / 2


def spectra(model: StreamFM, batch: Restoring) -> tuple[Tensor, Tensor]:
    """Return what the task leaves of the given clips, and the target's spectrum."""
    given, target = (
        model.compress(model.analysis(audio)[0]) for audio in (batch.given, batch.target)
    )
    return model.operator(given), target


def unit_noise(batch: Restoring) -> Tensor:
    """Return the noise of a batch as a spectrum, (B, F, T) complex."""
    return torch.view_as_complex(batch.noise.permute(0, 3, 1, 2).contiguous())


def sigmas(model: StreamFM, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the spread of the noise at the corrupted and at the clean end, to go with y.

    Measured per band or told from y they keep their ratio (section 3.4 of the specification);
    given as one number each they are the configuration's.
    """
    sigma_y, _ = model.start_spread(y)
    if model.config.task == "bwe" or model.spread is not None:
        return sigma_y, sigma_y / _SIGMAS
    return sigma_y, torch.full_like(sigma_y, model.config.sigma_x)


@torch.no_grad()
def measure_sigma(model: StreamFM, batches: Iterable[Restoring]) -> None:
    """Set the noise per band of bandwidth extension by what the damage does to each band.

    r = 0.997-quantile over clips of the RMS over time of |Y - X|; sigma_y = r / q with q the
    0.997-quantile of |X|, smoothed over bands by a Gaussian of 3 bins.
    """
    rms, loud = [], []
    for batch in batches:
        y, x = spectra(model, batch)
        rms.append((y - x).abs().square().mean(2).sqrt())  # (B, F)
        loud.append(_quantile(x.abs().reshape(len(x), -1), 1))
    r = _quantile(torch.cat(rms), 0)
    beta = 1 / _quantile(torch.cat(loud), 0).clamp(min=1e-6)
    model.sigma_y.copy_(_smooth(beta * r).clamp(min=_LEAST_SIGMA))


def fit_spread(model: StreamFM, batches: Iterable[Restoring]) -> None:
    """Fit the spread that is told from the corrupted spectrum to what the damage does.

    By least squares of ln sigma against half the logarithm of the power of X - Y, band by band and
    frame by frame; drawn alike every time.
    """
    spread = model.spread
    assert spread is not None  # noqa: S101 - the caller asked
    low, high = SPREAD_LIMITS
    given, wanted = [], []
    with torch.no_grad():
        for batch in batches:
            y, x = spectra(model, batch)
            silence = (spread.frames - 1, 0)
            given.append(functional.pad(spread.levels(y), silence).unfold(2, spread.frames, 1))
            power = (x - y).abs().square()
            lost = power.reshape(len(power), spread.bands, -1, power.shape[2]).mean(2)
            wanted.append((lost + low**2).log() / 2)
    # Clips and frames side by side: (n, I, K) and (n, I).
    told = torch.cat([v.transpose(1, 2).flatten(0, 1) for v in given])
    aims = torch.cat([v.transpose(1, 2).flatten(0, 1) for v in wanted])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        spread.fc2.bias.copy_(aims.mean(0).clamp(math.log(low), math.log(high)))
        spread.fc2.weight.mul_(0.1)
    optimizer = torch.optim.Adam(spread.parameters(), lr=2e-3)
    with torch.enable_grad():
        for _ in range(_FITTING_STEPS):
            rows = torch.randint(len(told), (_FITTING_ROWS,), generator=generator)
            rows = rows.to(told.device)
            found = spread.log_sigma(told[rows])[..., 0]
            loss = (found - aims[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


@torch.no_grad()
def settle_norms(objective: StreamFMObjective, batches: Iterable[Restoring]) -> None:
    """Replace running statistics by means over batches, for the present weights.

    A moving mean lags behind weights that move, and averaged weights have none at all.
    """
    norms = list(norms_of(objective.model))
    was = objective.training
    momenta = [norm.momentum for norm in norms]
    objective.train()
    for k, batch in enumerate(batches):
        for norm in norms:
            norm.momentum = 1 / (k + 1)
        if objective.model.pred is not None:
            objective(batch, predict=True)  # first, as the flow starts at what it gives
        objective(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    objective.train(was)


def norms_of(model: nn.Module) -> Iterator[SubbandBatchNorm]:
    """Yield the norms that have statistics."""
    for module in model.modules():
        if isinstance(module, SubbandBatchNorm):
            yield module


def _magnitude_error(audio: Tensor, target: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size, device=audio.device)
    one, two = (
        torch.stft(a, size, size // 2, window=window, return_complex=True).abs()
        for a in (audio, target)
    )
    return (one - two).abs().mean()


def _level_error(audio: Tensor, target: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size, device=audio.device)
    spectra = (
        torch.stft(a, size, size // 4, window=window, return_complex=True) for a in (audio, target)
    )
    one, two = (
        ((z.real.square() + z.imag.square()) / window.square().sum() + _LEVEL_FLOOR).log10()
        for z in spectra
    )
    return (one - two).abs().mean()


def _quantile(values: Tensor, dim: int) -> Tensor:
    """Return the 0.997-quantile along a dimension of any length."""
    place = min(values.shape[dim] - 1, round(_QUANTILE * (values.shape[dim] - 1)))
    return values.sort(dim).values.select(dim, place)


def _smooth(values: Tensor) -> Tensor:
    reach = round(4 * _SMOOTHING_BINS)
    at = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = torch.exp(-0.5 * (at / _SMOOTHING_BINS) ** 2)
    padded = functional.pad(values[None, None], (reach, reach), mode="replicate")
    return functional.conv1d(padded, (kernel / kernel.sum())[None, None])[0, 0]
