"""The models that a server offers, each as it can be used: on files and on streams."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxhop.chain.chain import Chain
from voxhop.chain.files import chain_file
from voxhop.chain.links import CodecLink, ModelLink
from voxhop.chain.recipe import ChainRecipe
from voxhop.engine.session_info import SessionOptions
from voxhop.errors import ArgumentError
from voxhop.files.enhance import enhance_file
from voxhop.io import AudioReader, AudioWriter
from voxhop.media.sources import at_rate
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voxhop.chain.links import Link
    from voxhop.models import Model

    Live = Stream | Chain  # what sound goes through while it comes

_GATE_DBFS: Final = -45.0


@dataclass(frozen=True)
class Offer:
    """One model of a server.

    Attributes
    ----------
    name
        What clients call it.
    model
        Loaded.
    options
        How its sessions compute.
    settings
        Of streams: ``strength``, ``highpass_hz``, ``declip``. A restoring model or a codec has
        the first alone.
    values
        The model's own options.
    """

    name: str
    model: Model
    options: SessionOptions = field(default_factory=SessionOptions)
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def purpose(self) -> str:
        """``"enhancer"``, ``"restorer"`` or ``"codec"``."""
        return self.model.info.purpose

    @property
    def takes_ref(self) -> bool:
        """Whether it hears what the loudspeaker plays."""
        return self.purpose == "enhancer" and self.model.info.input_count > 1

    def check(self) -> None:
        """Raise for settings and options that no stream on the model could be opened with."""
        self.live(self.model.sample_rate, {}).close()

    def live(self, sample_rate: int, params: Mapping[str, Any]) -> Live:
        """Return what a stream of sound goes through.

        Parameters
        ----------
        sample_rate
            In Hz, of input and output.
        params
            Of the client: LocalVQE's ``noise_gate`` and ``noise_gate_threshold_dbfs``.
        """
        gate = _gate(params)
        if self.purpose == "enhancer":
            return Stream(
                self.model,
                options=self.options,
                sample_rate=sample_rate,
                **_stream_names(self.values),
                **self.settings,
                **gate,
            )
        self._refuse_gate(gate)
        return Chain((self._link(),), sample_rate=sample_rate)

    def file(
        self,
        source: Path,
        ref: Path | None,
        out: Path,
        params: Mapping[str, Any],
        progress: Callable[[float, float], None],
    ) -> dict[str, Any]:
        """Write what the model makes of a recording to `out`, and return figures for people."""
        gate = _gate(params)
        if self.purpose == "enhancer":
            report = enhance_file(
                source,
                out,
                ref=ref,
                model=self.model,
                progress=progress,
                options=self.options,
                delay_ms="auto" if ref else 0.0,
                **_stream_names(self.values),
                **self.settings,
                **gate,
            )
            delay, reduction = report.delay_ms, report.ref_active_reduction_db
            return _told(report, delay_ms=delay, reduction_db=reduction)
        self._refuse_gate(gate)
        if ref is not None:
            raise ArgumentError("reference: this model takes a recording alone; expected none")
        with AudioReader(source) as reader:
            rate = max(reader.rate, self.model.sample_rate)
        recipe = ChainRecipe((self._link(),), rate)
        return _told(
            chain_file(recipe, source, out, progress=progress), delay_ms=None, reduction_db=None
        )

    def _refuse_gate(self, gate: Mapping[str, Any]) -> None:
        if gate:
            raise ArgumentError(f"noise_gate: a {self.purpose} has none")

    def _link(self) -> Link:
        strength = self.settings.get("strength", 1.0)
        options = {**asdict(self.options), **self.values}
        make = CodecLink if self.purpose == "codec" else ModelLink
        return make(self.model, name=self.name, strength=strength, options=options)


def make_offers(
    models: Mapping[str, Model],
    *,
    options: SessionOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    values: Mapping[str, str] | None = None,
) -> dict[str, Offer]:
    """Return offers by name; each gets those of the `values` that its model has.

    Raises
    ------
    ArgumentError, EngineError
        For a value that no model has, and settings that do not fit.
    """
    values = values or {}
    known = {name: {option.name for option in model.options} for name, model in models.items()}
    for name in values:
        if not any(name in names for names in known.values()):
            there = sorted(set().union(*known.values())) or ["none"]
            raise ArgumentError(f"{name}: no model here has this option; there are {there}")
    offers = {}
    for name, model in models.items():
        own = {key: value for key, value in values.items() if key in known[name]}
        offer = Offer(name, model, options or SessionOptions(), settings or {}, own)
        offer.check()
        offers[name] = offer
    return offers


def transform(
    offer: Offer,
    fields: Mapping[str, str],
    out: Path,
    *,
    max_seconds: float,
    sample_rate: int | None,
) -> tuple[Path, dict[str, Any]]:
    """Do what a form asks for.

    Parameters
    ----------
    offer
        The model.
    fields
        Of the form; ``audio`` and ``reference`` are paths.
    out
        The file to make.
    max_seconds
        Of computing.
    sample_rate
        Of the result in Hz; None: that of the recording, or of what the model made of it.

    Returns
    -------
    tuple of Path and dict
        The file, which may be another one beside `out`, and the figures.
    """
    deadline = time.monotonic() + max_seconds

    def in_time(_done: float, _total: float) -> None:
        if time.monotonic() > deadline:
            raise ArgumentError(f"took more than {max_seconds:g} s")

    params = {
        name[len("params[") : -1]: value
        for name, value in fields.items()
        if name.startswith("params[") and name.endswith("]")
    }
    ref = Path(fields["reference"]) if "reference" in fields else None
    told = offer.file(Path(fields["audio"]), ref, out, params, in_time)
    return (out if sample_rate is None else _at_rate(out, sample_rate)), told


def _told(report: Any, **more: float | None) -> dict[str, Any]:  # noqa: ANN401 - of two kinds
    notes: Sequence[str] = report.notes
    return {"seconds": report.seconds, "speed": report.speed, "notes": list(notes), **more}


def _stream_names(values: Mapping[str, str]) -> dict[str, Any]:
    """Return options of a model as `Stream` calls them: ``sample_rate`` is the caller's there."""
    return {"model_rate" if name == "sample_rate" else name: v for name, v in values.items()}


def _gate(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the stream for LocalVQE's parameters."""
    if str(params.get("noise_gate", "false")).lower() != "true":
        return {}
    text = params.get("noise_gate_threshold_dbfs", _GATE_DBFS)
    try:
        return {"gate_dbfs": float(text)}
    except (TypeError, ValueError):
        raise ArgumentError(f"noise_gate_threshold_dbfs {text}: expected a number") from None


def _at_rate(path: Path, rate: int) -> Path:
    """Return the file itself or another one beside it at the rate."""
    with AudioReader(path) as reader:
        if reader.rate == rate:
            return path
        target = path.with_name(f"rate{path.suffix}")
        source = at_rate(reader, rate)
        encoding = (reader.format, reader.subtype)
        with AudioWriter(target, rate=rate, channels=reader.channels, encoding=encoding) as writer:
            while len(block := source.read(rate)):
                writer.write(block)
    return target
