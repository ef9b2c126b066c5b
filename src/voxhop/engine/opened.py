"""What is open on a model: a session, or a group of streams."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from voxhop._bindings import native
from voxhop.engine.owner import Owner
from voxhop.engine.ports import PortInfo, read_ports
from voxhop.engine.session_info import SessionInfo, SessionOptions, computed_by, read_info

if TYPE_CHECKING:
    from voxhop.models import Model


class Opened(Owner):
    """Owns what is open on a model, and knows with which options.

    Parameters
    ----------
    handle
        As for `Owner`.
    model, options, values
        On what, and how: the general options, and the model's own as C takes them.
    """

    def __init__(
        self,
        handle: Any,  # noqa: ANN401 - a C pointer
        model: Model,
        options: SessionOptions,
        values: tuple[tuple[str, str], ...],
    ) -> None:
        super().__init__(handle)
        self._model, self._options, self._values = model, options, values
        n = native()
        self._figures = n.ffi.new("vh_session_figures *")
        self._call("get_figures", self._figures)
        if not options.comfort_noise:
            self._call("set_comfort_noise", 0)
        self._ports = read_ports(
            getattr(n.lib, f"vh_{self._noun}_port_count")(handle),
            lambda i, info: self._call("get_port", i, info),
        )

    def _opening(self, *, elsewhere: bool = False) -> dict[str, Any]:
        """Return the options that open its like, `elsewhere` with the same kernels."""
        pinned = computed_by(self.info) if elsewhere else {}
        return asdict(self._options) | pinned | dict(self._values)

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        return int(self._figures.sample_rate)

    @property
    def inputs(self) -> tuple[PortInfo, ...]:
        """What a hop takes, in order."""
        return self._ports.inputs

    @property
    def outputs(self) -> tuple[PortInfo, ...]:
        """What a hop gives."""
        return self._ports.outputs

    @property
    def model(self) -> Model:
        """The model that it is open on."""
        return self._model

    @property
    def options(self) -> SessionOptions:
        """The options it was opened with."""
        return self._options

    @property
    def info(self) -> SessionInfo:
        """What it runs on; of a group `state_bytes` per stream, `scratch_bytes` per thread."""
        return read_info(self._call)
