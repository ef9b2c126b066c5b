"""Streams: any block length, rate and clock; where the echo is."""

from voxhop.stream.stream import Stream
from voxhop.stream.types import StreamMetrics, StreamOptions

__all__ = ["Stream", "StreamMetrics", "StreamOptions"]
