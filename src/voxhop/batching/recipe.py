"""How the recordings of a batch become results."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from voxhop._enhancer import stream_settings
from voxhop._formats import ChannelRule
from voxhop._plain import plain
from voxhop._version import __version__
from voxhop.batching.jobs import OutputNames, Pairing
from voxhop.errors import ArgumentError
from voxhop.session_info import SessionOptions
from voxhop.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxhop.models import Model

_CHECK_RATE = 16000


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
        Its ``**settings``.
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

        rule = ChannelRule(self.mic_channel, self.ref_channel)
        if self.cross and (self.pair is not None or rule != ChannelRule()):
            raise ArgumentError("cross: the other channel is the reference; expected no other")
        if self.pair is not None and model.info.input_count == 1:
            raise ArgumentError("pair: this model takes a microphone alone; expected none")
        if self.subtype is not None and self.subtype.upper() not in soundfile.available_subtypes():
            known = " ".join(soundfile.available_subtypes())
            raise ArgumentError(f"subtype {self.subtype}: expected one of {known}")
        Stream(
            model,
            options=self.options,
            sample_rate=_CHECK_RATE,
            **stream_settings(self.settings, delay_ms="auto" if self.cross else 0.0),
        ).close()

    def made_with(self, model: Model) -> dict[str, Any]:
        """Return what the results depend on, as JSON has it."""
        _, (reference, digest) = model.__reduce__()
        name = "content" if isinstance(reference, bytes) else os.path.basename(reference)  # noqa: PTH119 - also a plain name
        facts = asdict(self) | {"version": __version__, "model": f"{name} {digest}"}
        facts["options"].pop("threads")  # which no result depends on
        made: dict[str, Any] = plain(facts)
        return made
