"""What one server gives away."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from voxhop.errors import ArgumentError


@dataclass(frozen=True)
class ServeLimits:
    """What one server gives away.

    Attributes
    ----------
    max_bytes
        Of an upload in all.
    max_seconds
        Of computing for an upload, and of sound in a stream.
    jobs, streams
        Uploads computed at once (others wait), and streams at once (others are refused).
    idle_s
        How long a stream may say nothing.
    max_speed
        Times real time that a stream may send.

    Raises
    ------
    ArgumentError
        For a limit that lets nothing through; without streams a server takes uploads alone.
    """

    max_bytes: int = 256 * 2**20
    max_seconds: float = 3600.0
    jobs: int = 1
    streams: int = 8
    idle_s: float = 30.0
    max_speed: float = 4.0

    def __post_init__(self) -> None:
        """Refuse what no server could keep to."""
        for name, value in asdict(self).items():
            good, wanted = value > 0, "more than 0"
            if name == "streams":
                good, wanted = value >= 0, "0 or more"
            if not good:  # NaN, too
                raise ArgumentError(f"{name}: {value}, expected {wanted}")
