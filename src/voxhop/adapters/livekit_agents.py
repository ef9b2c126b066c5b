"""livekit-agents: what an agent says beside its own microphone, told to its frame processor.

    processor = VqeProcessor()
    session.output.audio = ReferenceOutput(processor, session.output.audio)

with ``noise_cancellation=processor`` for the input. For agents that play through a loudspeaker of
their own; a remote participant's client takes the echo away itself. Needs the extra
``livekit-agents`` (1.8 or newer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities
except ImportError as error:
    raise ImportError('livekit-agents is missing: pip install "voxhop[livekit-agents]"') from error

if TYPE_CHECKING:
    from livekit import rtc

    from voxhop.adapters.livekit import VqeProcessor


class ReferenceOutput(AudioOutput):
    """Passes an agent's sound on, and to the processor of its microphone.

    Parameters
    ----------
    processor
        Of the microphone that hears the loudspeaker.
    next_in_chain
        The output that it stands before; it takes frames, pauses and interruptions as before.
    """

    def __init__(self, processor: VqeProcessor, next_in_chain: AudioOutput) -> None:
        super().__init__(
            label="voxhop reference",
            capabilities=AudioOutputCapabilities(pause=True),
            next_in_chain=next_in_chain,
            sample_rate=next_in_chain.sample_rate,
        )
        self._processor = processor

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take a frame that will be played; the session calls this."""
        await super().capture_frame(frame)
        self._processor.play(frame)
        await self.next_in_chain.capture_frame(frame)

    def flush(self) -> None:
        """End a segment; the session calls this."""
        super().flush()
        self.next_in_chain.flush()

    def clear_buffer(self) -> None:
        """Stop in the middle; the session calls this when somebody interrupts."""
        self._processor.interrupt()
        self.next_in_chain.clear_buffer()

    def pause(self) -> None:
        """Hold on; the session calls this."""
        self._processor.pause()
        super().pause()

    def resume(self) -> None:
        """Go on; the session calls this."""
        self._processor.resume()
        super().resume()
