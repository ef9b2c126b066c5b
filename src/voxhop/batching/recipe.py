"""How the recordings of a batch become results."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._version import __version__
from voxhop.batching.jobs import OutputNames, Pairing
from voxhop.engine.plain import plain
from voxhop.engine.session_info import SessionOptions
from voxhop.errors import ArgumentError
from voxhop.files.enhancer import stream_settings
from voxhop.files.restoration import restore
from voxhop.media.formats import ChannelRule
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxhop.models import Model

_CHECK_RATE = 16000
_RESTORING: Final = ("solver", "steps", "seed", "level", "out_sample_rate")


@dataclass(frozen=True)
class Recipe:
    """How recordings become results; every field is a keyword of `voxhop.batch`.

    Attributes
    ----------
    pair
        Which recording of a folder is whose reference, as ``"_mic=_ref"``: in the name, folders
        included, the last ``_mic`` becomes ``_ref``. None: there are no references.
    suffix
        Of all outputs, such as ``".flac"``; None: that of each recording, or ``".wav"`` where
        its format cannot be written.
    pass_through
        Where the result is doubtful, let the output be the recording itself.
    cross, mic_channel, ref_channel, subtype, options
        As for `voxhop.enhance_file`.
    settings
        Its ``**settings``; with a restoring model ``solver``, ``steps``, ``seed``, ``level`` and
        ``out_sample_rate`` of `voxhop.restore_file`, which takes none of the above but
        ``suffix``, ``pass_through``, ``subtype`` and ``options``.
    """

    pair: str | None = None
    suffix: str | None = None
    pass_through: bool = False
    cross: bool = False
    mic_channel: int | None = None
    ref_channel: int | None = None
    subtype: str | None = None
    options: SessionOptions = field(default_factory=SessionOptions)
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, how: Mapping[str, Any]) -> Recipe:
        """Return the recipe of keywords: its own fields, and those of `StreamOptions`."""
        own = {f.name for f in fields(cls)} - {"settings"}
        chosen = {name: value for name, value in how.items() if name in own and value is not None}
        return cls(**chosen, settings={n: v for n, v in how.items() if n not in own})

    @property
    def pairing(self) -> Pairing | None:
        """The parsed `pair`."""
        return None if self.pair is None else Pairing.parse(self.pair)

    def outputs(self) -> OutputNames:
        """Return what gives each recording its output."""
        suffix = self.suffix
        return OutputNames(None if suffix is None else "." + suffix.lower().removeprefix("."))

    def check(self, model: Model) -> None:
        """Raise for what no recording could be done with.

        Raises
        ------
        ArgumentError, EngineError
            For settings that are unknown, out of range, do not go together, or that this model
            or build cannot serve.
        """
        import soundfile  # noqa: PLC0415 - not needed to import voxhop

        if self.subtype is not None and self.subtype.upper() not in soundfile.available_subtypes():
            known = " ".join(soundfile.available_subtypes())
            raise ArgumentError(f"subtype {self.subtype}: expected one of {known}")
        if restores(model):
            self._check_restoring(model)
        else:
            self._check_enhancing(model)

    def _check_enhancing(self, model: Model) -> None:
        rule = ChannelRule(self.mic_channel, self.ref_channel)
        if self.cross and (self.pair is not None or rule != ChannelRule()):
            raise ArgumentError("cross: the other channel is the reference; expected no other")
        if self.pair is not None and model.info.input_count == 1:
            raise ArgumentError("pair: this model takes a microphone alone; expected none")
        Stream(
            model,
            options=self.options,
            sample_rate=_CHECK_RATE,
            **stream_settings(self.settings, delay_ms="auto" if self.cross else 0.0),
        ).close()

    def _check_restoring(self, model: Model) -> None:
        for name in ("pair", "cross", "mic_channel", "ref_channel"):
            value = getattr(self, name)
            if value is not None and value is not False:  # 0 is a channel
                raise ArgumentError(f"{name}: a restoring model takes a recording alone")
        if unknown := sorted(set(self.settings) - set(_RESTORING)):
            raise ArgumentError(
                f"{unknown[0]}: a restoring model has no such setting, "
                f"expected {', '.join(_RESTORING)}"
            )
        # The shortest recording there is: what it refuses, every other would be refused for.
        silence = np.zeros(1, np.float32)
        restore(
            silence, sample_rate=_CHECK_RATE, model=model, options=self.options, **self.settings
        )

    def made_with(self, model: Model) -> dict[str, Any]:
        """Return what the results depend on, as JSON has it."""
        _, (reference, digest) = model.__reduce__()
        name = "content" if isinstance(reference, bytes) else os.path.basename(reference)  # noqa: PTH119 - also a plain name
        facts = asdict(self) | {"version": __version__, "model": f"{name} {digest}"}
        facts["options"].pop("threads")  # which no result depends on
        made: dict[str, Any] = plain(facts)
        return made


def restores(model: Model) -> bool:
    """Return whether recordings go through `voxhop.restore_file`."""
    return model.info.purpose == "restorer"
