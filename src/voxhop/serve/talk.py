"""The WebSocket stream: one conversation with one client."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from voxhop.serve.limits import ServeLimits
    from voxhop.serve.offers import Live, Offer

_SAMPLES: Final = {"S16_LE": "<i2", "F32_LE": "<f4"}
_SIDES: Final = 2  # channel 0 is the microphone, channel 1 the reference
_SLACK_S: Final = 10.0


async def converse(
    socket: Any,  # noqa: ANN401 - of aiohttp
    offer_of: Callable[[str], Offer],
    limits: ServeLimits,
) -> None:
    """Answer each block of a client with as many clean samples, until it closes.

    Raises
    ------
    ArgumentError, EngineError
        For what it should not have sent, and for more than the limits give.
    asyncio.TimeoutError
        When it says nothing for too long.
    """
    start = _control(await socket.receive(limits.idle_s))
    if start.get("type") != "session.update":
        raise ArgumentError("first message: expected a JSON session.update")
    kind = start.get("sample_format", "S16_LE")
    if kind not in _SAMPLES:
        raise ArgumentError(f"sample_format {kind}: expected S16_LE or F32_LE")
    rate = whole("sample_rate", start.get("sample_rate", 16000), 8000, 192_000)
    most = whole("frame_samples", start.get("frame_samples", 256), 1, rate)
    offer = offer_of(str(start.get("model", "")))
    params = start.get("params") or {}
    if not isinstance(params, dict):
        raise ArgumentError("params: expected an object")
    with offer.live(rate, params) as live:
        began, frames = time.monotonic(), 0
        while True:
            message = await socket.receive(limits.idle_s)
            if message.type.name == "TEXT":
                if not _steer(live, _control(message)):
                    await socket.send_json({"type": "session.closed"})
                    return
            elif message.type.name == "BINARY":
                pair = _pairs(message.data, _SAMPLES[kind], most)
                frames += len(pair)
                _check_pace(limits, frames / rate, time.monotonic() - began)
                mic, played = (np.ascontiguousarray(pair[:, c]) for c in range(_SIDES))
                ref = played if offer.takes_ref else None
                out: npt.NDArray[Any] = await asyncio.to_thread(live.process, mic, ref)
                await socket.send_bytes(out.tobytes())
            else:  # closed
                return


def whole(name: str, value: Any, low: int, high: int) -> int:  # noqa: ANN401 - of a client
    """Return a whole number of a client within its limits.

    Raises
    ------
    ArgumentError
        For any other.
    """
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = low - 1
    if not low <= number <= high:
        raise ArgumentError(f"{name} {value}: expected {low} to {high}")
    return number


def _check_pace(limits: ServeLimits, sent_s: float, passed_s: float) -> None:
    if sent_s > limits.max_seconds:
        raise ArgumentError(f"more than {limits.max_seconds:g} s of sound")
    if sent_s > passed_s * limits.max_speed + _SLACK_S:
        raise ArgumentError(f"faster than {limits.max_speed:g} times real time")


def _steer(live: Live, control: Mapping[str, Any]) -> bool:
    """Do what a text message says; return False when that is to end."""
    kind = control.get("type")
    if kind not in {"session.update", "session.close"}:
        raise ArgumentError("text message: expected session.update or session.close")
    if kind == "session.update" and control.get("reset") is True:
        live.reset()
    return bool(kind == "session.update")


def _control(message: Any) -> dict[str, Any]:  # noqa: ANN401 - of aiohttp
    if message.type.name != "TEXT":
        raise ArgumentError("first message: expected a JSON session.update")
    try:
        found = json.loads(message.data)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"text message: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ArgumentError("text message: expected a JSON object")
    return found


def _pairs(data: bytes, dtype: str, most: int) -> Any:  # noqa: ANN401 - an array
    """Return ``(n, 2)`` samples of a binary message."""
    size = _SIDES * int(dtype[-1])
    if not data or len(data) % size or len(data) > most * size:
        expected = f"1 to {most} frames of {size} bytes (microphone and reference interleaved)"
        raise ArgumentError(f"binary message: {len(data)} bytes, expected {expected}")
    return np.frombuffer(data, dtype).reshape(-1, _SIDES)
