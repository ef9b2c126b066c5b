"""LocalVQE: joint echo cancellation, noise suppression and dereverberation.

B batch, N samples, T = N / 256 frames, F = 256 bins, D = d_max delays. Frame t is made of
the hop before and hop t, so whole clips and single hops are the same computation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from voxhop.errors import ShapeError
from voxhop.reference.canceller import Canceller, CancellerOutput, CancellerState
from voxhop.reference.comfort import ComfortState, comfort_noise
from voxhop.reference.filterbank import Analysis, Synthesis, dct_basis, stft_basis
from voxhop.reference.localvqe.align import Align, AlignOutput, AlignState
from voxhop.reference.localvqe.blocks import ConvPair, DecoderBlock, EncoderBlock
from voxhop.reference.localvqe.config import (
    ENCODER_STAGES,
    FAR_STAGES,
    MASK_CHANNELS,
    LocalVQEConfig,
)
from voxhop.reference.localvqe.mask import CURRENT_TAP, ConvolvingMask
from voxhop.reference.localvqe.s4d import S4D
from voxhop.reference.tone_canceller import ToneState, cancel_tones

FEATURE_EPS = 1e-12
INITIAL_MASK_SCALE = 0.1


class FrontState(NamedTuple):
    """State of the filterbank input, the encoders and the alignment."""

    audio: Tensor  # (2B, 256): the last hop of microphone, then of reference
    mic: tuple[ConvPair, ...]
    far: tuple[ConvPair, ...]
    align: AlignState
    echo: CancellerState | None  # None without a canceller
    tones: ToneState | None  # None without a tone canceller


class LocalVQEState(NamedTuple):
    """Everything a stream remembers between hops."""

    front: FrontState
    bottleneck: Tensor  # (B, H) complex
    dec: tuple[ConvPair, ...]  # dec5 first
    mask: Tensor  # (B, 2, F, 2)
    overlap: Tensor | None  # (B, 256); None until the audio is synthesised
    comfort: ComfortState | None  # the same, and None for a model without comfort noise


class Front(NamedTuple):
    """What encoders and alignment give."""

    heard: Tensor  # (B, T, F, 2), the microphone's spectrum, less its tones
    mic_spectrum: Tensor  # (B, T, F, 2), what is left of it behind the canceller
    ref_spectrum: Tensor  # (B, T, F, 2)
    skips: list[Tensor]  # outputs of mic_enc1, mic_enc2
    align: AlignOutput


class LocalVQEOutput(NamedTuple):
    """Result of `LocalVQE`.

    Attributes
    ----------
    audio : Tensor, (B, N), or None when not asked for
        Enhanced samples in streamed time: they lag the input by 256.
    spectrum, mic_spectrum : Tensor, (B, T, F, 2)
        After and before the mask, real and imaginary part; without the comfort noise
        that `audio` has. Behind the canceller, when there is one.
    align_logits, align : Tensor, (B, T, D)
        Delay scores after the temperature and their softmax; index i is a delay of
        D-1-i frames.
    decoder_inputs : list of five Tensor, (B, T, F_k, C_k)
        Inputs of dec5 to dec1: 8, 16, 32, 64, 128 positions.
    """

    audio: Tensor | None
    spectrum: Tensor
    mic_spectrum: Tensor
    align_logits: Tensor
    align: Tensor
    decoder_inputs: list[Tensor]


class LocalVQE(nn.Module):
    """The network between two streams of 16 kHz audio and an enhanced one.

    Parameters
    ----------
    config
        Widths and generation.
    """

    def __init__(self, config: LocalVQEConfig) -> None:
        super().__init__()
        self.config = config
        version, mic, far = config.version, config.mic_channels, config.far_channels
        analysis, synthesis = dct_basis() if version == 1 else stft_basis()
        self.encoder = Analysis(analysis)
        self.canceller = (
            Canceller(config.echo_partitions, follow=config.echo_follower)
            if config.echo_partitions
            else None
        )
        for i in range(1, ENCODER_STAGES + 1):
            # The third stage sees the aligned far-end features next to its own.
            c_in = mic[2] + far[2] if i == FAR_STAGES + 1 else mic[i - 1]
            self.add_module(f"mic_enc{i}", EncoderBlock(c_in, mic[i], version))
        for i in range(1, FAR_STAGES + 1):
            self.add_module(f"far_enc{i}", EncoderBlock(far[i - 1], far[i], version))
        self.align = Align(mic[2], far[2], config.align_hidden, config.d_max)
        self.bottleneck = S4D(mic[-1] * config.bottleneck_bins, config.bottleneck_hidden)
        for i in range(ENCODER_STAGES, 0, -1):
            c_out = MASK_CHANNELS if i == 1 else mic[i - 1]
            last = i == 1
            block = DecoderBlock(mic[i], c_out, version, shuffle=config.shuffle, last=last)
            self.add_module(f"dec{i}", block)
        self.mask = ConvolvingMask()
        # The DCT has no window, so two full frames overlap everywhere.
        self.decoder = Synthesis(synthesis, gain=0.5 if version == 1 else 1.0)
        self.identity_mask_(INITIAL_MASK_SCALE)

    def forward(
        self,
        mic: Tensor,
        ref: Tensor,
        state: LocalVQEState | None = None,
        *,
        synthesize: bool = True,
        echo: CancellerOutput | None = None,
    ) -> tuple[LocalVQEOutput, LocalVQEState]:
        """Enhance a clip or the next hops of a stream.

        Parameters
        ----------
        mic, ref : Tensor, (B, N) f32 or f64
            Microphone and loudspeaker samples, nominally in [-1, 1]; N a multiple of 256.
        state
            What the previous call returned; None starts from silence.
        synthesize
            Whether to make audio. A stream must keep to one choice.
        echo
            What the front-end makes of the clip where that is known already, None to run it.

        Returns
        -------
        output : LocalVQEOutput
        state : LocalVQEState

        Raises
        ------
        ShapeError
            For shapes that do not fit.
        """
        front_state = None if state is None else state.front
        front, front_state = self.encode_and_align(mic, ref, front_state, echo=echo)
        x = torch.cat((front.skips[-1], front.align.aligned), dim=3)
        skips, states = list(front.skips), list(front_state.mic)
        for i in range(FAR_STAGES + 1, ENCODER_STAGES + 1):
            past = None if state is None else state.front.mic[i - 1]
            x, new = self._block("mic_enc", i)(x, past)
            skips.append(x)
            states.append(new)
        front_state = front_state._replace(mic=tuple(states))

        u = x.transpose(2, 3)  # (B, T, C, 8): channel-major
        o, h = self.bottleneck(u.flatten(2), None if state is None else state.bottleneck)
        x = o.view(u.shape).transpose(2, 3).contiguous()

        inputs, dec_states = [], []
        for i in range(ENCODER_STAGES, 0, -1):
            inputs.append(x)
            past = None if state is None else state.dec[ENCODER_STAGES - i]
            x, new = self._block("dec", i)(x, skips[i - 1], past)
            dec_states.append(new)

        mask_state = None if state is None else state.mask
        z, mask_state = self.mask(x, front.mic_spectrum, mask_state)
        audio, overlap, comfort = None, None, None
        if synthesize:
            with torch.autocast(mic.device.type, enabled=False):
                raised, comfort = self._comfort(z, front, None if state is None else state.comfort)
                audio, overlap = self.decoder(raised, None if state is None else state.overlap)
        logits, weights = front.align.logits, front.align.weights
        output = LocalVQEOutput(audio, z, front.mic_spectrum, logits, weights, inputs)
        return output, LocalVQEState(
            front_state, h, tuple(dec_states), mask_state, overlap, comfort
        )

    def encode_and_align(
        self,
        mic: Tensor,
        ref: Tensor,
        state: FrontState | None = None,
        *,
        echo: CancellerOutput | None = None,
    ) -> tuple[Front, FrontState]:
        """Run filterbank, both level-2 encoders and the alignment only.

        Parameters
        ----------
        mic, ref : Tensor, (B, N) f32 or f64
        echo
            As for `forward`.
        state
            The ``front`` of a stream's state; None starts from silence.

        Returns
        -------
        front : Front
            ``front.align`` has the logits and weights of the delay.
        state : FrontState
            Without the later encoder stages.
        """
        self._check(mic, ref)
        past = None if state is None else state.audio
        tones = None if state is None else state.tones
        with torch.autocast(mic.device.type, enabled=False):
            if self.config.cancel_tones and echo is None:
                mic, tones = cancel_tones(mic, tones)
            spectra, audio = self.encoder(torch.cat((mic, ref)), past)  # (2B, T, F, 2)
            heard, ref_spectrum = spectra.chunk(2)
            known = None if state is None else state.echo
            mic_spectrum, mic_features, new = self._cancel(mic, ref, heard, known, echo)
            ref_features = self.compress(ref_spectrum)
        level2 = FAR_STAGES
        mic_past = None if state is None else state.mic[:level2]
        skips, mic_states = self._encode("mic_enc", mic_features, mic_past)
        far_past = None if state is None else state.far
        far, far_states = self._encode("far_enc", ref_features, far_past)
        align_past = None if state is None else state.align
        align, align_state = self.align(skips[-1], far[-1], align_past)
        front = Front(heard, mic_spectrum, ref_spectrum, skips, align)
        return front, FrontState(audio, mic_states, far_states, align_state, new, tones)

    def _cancel(
        self,
        mic: Tensor,
        ref: Tensor,
        heard: Tensor,
        past: CancellerState | None,
        output: CancellerOutput | None,
    ) -> tuple[Tensor, Tensor, CancellerState | None]:
        """Return spectrum and features behind the canceller, and its state."""
        new = None
        if output is None:
            if self.canceller is None:
                return heard, self.compress(heard), None
            output, new = self.canceller.cancel(mic, ref, self.encoder, heard, past)
        features = self.compress(output.residual)
        if self.config.sees_echo:
            features = torch.cat((features, self.compress(output.echo)), 3)
        return output.residual, features, new

    def compress(self, spectrum: Tensor) -> Tensor:
        """Compress magnitudes to the power c, eq. (2); (B, T, F, 2) -> same."""
        power = spectrum.square().sum(dim=3, keepdim=True) + FEATURE_EPS
        return spectrum / (power ** ((1.0 - self.config.power_law_c) / 2.0) + FEATURE_EPS)

    @torch.no_grad()
    def identity_mask_(self, weight_scale: float) -> None:
        """Make the mask start from the identity.

        Parameters
        ----------
        weight_scale
            What is kept of the last convolution's weights; 0 gives the exact identity.
        """
        conv = self._block("dec", 1).deconv.conv
        conv.weight.mul_(weight_scale)
        conv.bias.zero_()
        # One per bin of the pair that the shuffle makes, in either layout.
        conv.bias[[CURRENT_TAP, MASK_CHANNELS + CURRENT_TAP]] = 1.0

    def fold_temperature(self) -> None:
        """Fold the alignment's temperature into its weights; a second call does nothing."""
        self.align.fold_temperature()

    def _comfort(
        self, z: Tensor, front: Front, state: ComfortState | None
    ) -> tuple[Tensor, ComfortState | None]:
        gain_db = self.config.comfort_noise_db
        if gain_db is None:
            return z, None
        return comfort_noise(z, front.heard, front.ref_spectrum, gain_db, state)

    def _block(self, name: str, stage: int) -> Any:  # noqa: ANN401  (encoder or decoder)
        return self.get_submodule(f"{name}{stage}")

    def _encode(
        self, name: str, x: Tensor, past: tuple[ConvPair, ...] | None
    ) -> tuple[list[Tensor], tuple[ConvPair, ...]]:
        """Run the first two stages of an encoder; return all outputs and histories."""
        outputs, states = [], []
        for i in range(1, FAR_STAGES + 1):
            x, new = self._block(name, i)(x, None if past is None else past[i - 1])
            outputs.append(x)
            states.append(new)
        return outputs, tuple(states)

    def _check(self, mic: Tensor, ref: Tensor) -> None:
        hop = self.config.hop_length
        if mic.dim() != 2 or mic.shape[1] == 0 or mic.shape[1] % hop:  # noqa: PLR2004
            raise ShapeError(
                f"mic: shape {tuple(mic.shape)}, expected (B, N), N a positive multiple of {hop}"
            )
        if ref.shape != mic.shape:
            raise ShapeError(f"ref: shape {tuple(ref.shape)}, expected {tuple(mic.shape)} as mic")
