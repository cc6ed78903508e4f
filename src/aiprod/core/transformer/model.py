"""The audio-video transformer: noised tokens of both streams in, their predicted velocity out."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aiprod.core.perturbations import PerturbationSet, PerturbationType
from aiprod.core.transformer.attention import Presence
from aiprod.core.transformer.block import AVBlock, StreamBlock, StreamContext, StreamKeep, StreamState, modulate
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.fourier_features import PlaceFeatures
from aiprod.core.transformer.local_mixing import token_grid
from aiprod.core.transformer.modality import AVOutput, ModalityInput
from aiprod.core.transformer.rotary import rotation
from aiprod.core.types import ModalityType
from aiprod.errors import CoreError

_SINUSOID = 256
_GATES = [2, 5]  # of the six modulations of a block
_VIDEO_SKIPS = (PerturbationType.SKIP_VIDEO_SELF_ATTENTION, PerturbationType.SKIP_AUDIO_TO_VIDEO)
_AUDIO_SKIPS = (PerturbationType.SKIP_AUDIO_SELF_ATTENTION, PerturbationType.SKIP_VIDEO_TO_AUDIO)


class NoiseLevelEmbedding(nn.Module):
    """σ in [0, 1] → six modulations for the blocks and two for the output.

    Args:
        text_dim: width of text features whose mean modulates too; 0: none.
    """

    def __init__(self, width: int, hidden: int, text_dim: int = 0) -> None:
        super().__init__()
        self.width = width
        self.pooled = nn.Linear(text_dim, width) if text_dim else None
        self.expand = nn.Linear(_SINUSOID, hidden)
        self.contract = nn.Linear(hidden, width)
        self.modulate = nn.Linear(width, 8 * width)

    def forward(
        self,
        sigma: Float[
            Tensor,
            (
                batch  # tokens
            ),
        ],
        text: Float[Tensor, "batch text_dim"] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``[B, 1 or N, 6, width]`` for the blocks, ``[B, 1 or N, 2, width]`` for the output."""
        embedded = sinusoid(1000 * sigma.float(), _SINUSOID).to(self.expand.weight.dtype)
        embedded = self.contract(F.silu(self.expand(embedded)))
        if self.pooled is not None and text is not None:
            embedded = embedded + self.pooled(text.to(embedded.dtype))[:, None]
        modulation = self.modulate(F.silu(embedded)).unflatten(-1, (8, self.width))
        return modulation[:, :, :6], modulation[:, :, 6:]


class StreamEnds(nn.Module):
    """Where a stream enters and leaves: token, noise level and text projections, and the output."""

    def __init__(self, channels: int, width: int, axes: int, skip_share: float, c: AVTransformerConfig) -> None:
        super().__init__()
        text_dim = c.text_dim
        self.input_skip, self.skip_share = c.input_skip, skip_share
        if c.input_skip:
            self.variance: Tensor
            self.register_buffer("variance", torch.ones(channels))  # of each value of a clean token
        self.enter = nn.Linear(channels, width)
        self.place = PlaceFeatures(axes, width) if c.place_features else None
        self.noise_level = NoiseLevelEmbedding(width, round(width * c.time_ratio), text_dim if c.pooled_text else 0)
        self.text = nn.Sequential(nn.Linear(text_dim, width), nn.GELU(), nn.Linear(width, width))
        self.leave_modulation = nn.Parameter(torch.zeros(2, width))
        self.leave = nn.Linear(width, channels)

    @torch.no_grad()
    def measure(self, tokens: Float[Tensor, "tokens channels"]) -> None:
        """Take the variances of clean tokens."""
        if self.input_skip:
            self.variance.copy_(tokens.square().mean(dim=0).clamp_min(1e-6))

    def begin(self, modality: ModalityInput) -> Tensor:
        """The hidden state that tokens start with, ``[B, N, width]``; absent tokens count as 0."""
        latent = modality.latent.to(self.enter.weight.dtype)
        if modality.token_mask is not None:
            latent = latent.masked_fill(~modality.token_mask[:, :, None], 0)
        hidden: Tensor = self.enter(latent * self._spread(modality)[1].rsqrt() if self.input_skip else latent)
        return hidden if self.place is None else hidden + self.place(modality.positions, modality.token_mask)

    def _spread(self, modality: ModalityInput, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """A share of the variances of clean tokens ``[channels]``, and the variances of noised tokens that had no more,
        ``[B, 1 or N, channels]``."""
        clean = share * self.variance.to(self.enter.weight.dtype)
        sigma = modality.timesteps[:, :, None].to(clean.dtype)
        return clean, sigma.square() + (1 - sigma).square() * clean

    def project_text(self, context: Tensor | None) -> Tensor | None:
        """Text features ``[B, T, text_dim]`` in the width of the stream, ``[B, T, width]``."""
        return None if context is None else self.text(context.to(self.enter.weight.dtype))

    def finish(
        self, stream: StreamState | None, modulation: Tensor | None, modality: ModalityInput | None
    ) -> Tensor | None:
        """Velocity of each token ``[B, N, channels]``; 0 where it is absent."""
        if stream is None or modulation is None or modality is None:
            return None
        shift, scale = (modulation + self.leave_modulation).unbind(dim=2)
        out = self.leave(modulate(stream.x, shift, scale))
        if self.input_skip:
            unknown, size = self._spread(modality, self.skip_share)
            sigma = modality.timesteps[:, :, None].to(out.dtype)
            left = (sigma.square() * self.variance.to(out.dtype) + ((1 - sigma) * unknown).square()).sqrt() / size
            out = left * out + (sigma - (1 - sigma) * unknown) / size * modality.latent.to(out.dtype)
        return out if modality.token_mask is None else out.masked_fill(~modality.token_mask[:, :, None], 0)


class AVTransformer(nn.Module):
    """Two streams with attention between them, conditioned on text and on the noise level of every token.

    Args:
        config: fixes all sizes.

    ``model.gradient_checkpointing = True`` recomputes blocks in the backward pass instead of keeping their activations.
    The blocks are ``model.blocks``; wrap each, then the model, with FSDP2's ``fully_shard``. With mixed precision set
    ``cast_forward_inputs=False``: positions in seconds must stay fp32 (the model casts what it may).
    """

    def __init__(self, config: AVTransformerConfig) -> None:
        super().__init__()
        self.config = c = config
        self.gradient_checkpointing = False
        self.video_ends = StreamEnds(c.video_channels, c.video_width, 3, c.video_skip_share, c)
        self.audio_ends = StreamEnds(c.audio_channels, c.audio_width, 1, c.audio_skip_share, c)
        self.blocks = nn.ModuleList(
            AVBlock(_stream_block(c, "video"), _stream_block(c, "audio")) for _ in range(c.depth)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights so that every block starts near the identity: gates at 1 and what they let through small,
        normal with deviation 0.02 / √(2 · depth) (GPT-2); the noise level has no effect yet and the output is 0."""
        if next(self.parameters()).is_meta:  # nothing to draw into; torch would load its compiler to find that out
            return
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, StreamBlock):
                nn.init.zeros_(module.modulation)
                with torch.no_grad():
                    module.modulation[_GATES] = 1.0
                for linear in (module.project_out, module.contract):
                    nn.init.normal_(linear.weight, std=0.02 / math.sqrt(2 * self.config.depth))
        for ends in (self.video_ends, self.audio_ends):
            nn.init.zeros_(ends.noise_level.modulate.weight)
            nn.init.zeros_(ends.leave.weight)
            if ends.place is not None:
                ends.place.reset_parameters()

    def enable_gradient_checkpointing(self, enabled: bool = True) -> None:
        """Switch recomputation in the backward pass on or off."""
        self.gradient_checkpointing = enabled

    def forward(
        self,
        video: ModalityInput | None,
        audio: ModalityInput | None,
        perturbations: PerturbationSet | None = None,
    ) -> AVOutput:
        """Predicted velocity of every token.

        Raises:
            CoreError: both streams are None, or sizes do not fit together.
        """
        self._check(video, audio, perturbations)
        video_stream, video_leave = self._enter(video, ModalityType.VIDEO)
        audio_stream, audio_leave = self._enter(audio, ModalityType.AUDIO)
        for index, block in enumerate(self.blocks):
            video_stream = _perturbed(video_stream, perturbations, index, _VIDEO_SKIPS)
            audio_stream = _perturbed(audio_stream, perturbations, index, _AUDIO_SKIPS)
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x_video, x_audio = checkpoint(block, video_stream, audio_stream, use_reentrant=False)
            else:
                x_video, x_audio = block(video_stream, audio_stream)
            video_stream = None if video_stream is None else video_stream._replace(x=x_video)
            audio_stream = None if audio_stream is None else audio_stream._replace(x=x_audio)
        return AVOutput(
            self.video_ends.finish(video_stream, video_leave, video),
            self.audio_ends.finish(audio_stream, audio_leave, audio),
        )

    def _enter(self, modality: ModalityInput | None, kind: ModalityType) -> tuple[StreamState | None, Tensor | None]:
        """The stream before the first block, and the modulation of its output."""
        if modality is None:
            return None, None
        c = self.config
        if kind == ModalityType.VIDEO:
            ends, head_size = self.video_ends, c.video_width // c.video_heads
            periods: tuple[tuple[float, float], ...] = (c.time_periods_s, c.space_periods_px, c.space_periods_px)
        else:
            ends, head_size, periods = self.audio_ends, c.audio_width // c.audio_heads, (c.time_periods_s,)
        dtype = ends.enter.weight.dtype
        convolved = kind == ModalityType.VIDEO and c.depthwise_conv
        modulation, leave = ends.noise_level(modality.timesteps, pooled_text(modality) if c.pooled_text else None)
        context = StreamContext(
            modulation,
            rotation(modality.positions, head_size, periods),
            rotation(modality.positions[..., :1], c.cross_width // c.cross_heads, (c.time_periods_s,)),
            Presence.of(modality.token_mask, dtype),
            ends.project_text(modality.context),
            Presence.of(modality.context_mask, dtype),
            (modality.grid or token_grid(modality.positions, modality.token_mask, modality.own)) if convolved else None,
            modality.token_mask,
        )
        return StreamState(ends.begin(modality), context), leave

    def _check(
        self, video: ModalityInput | None, audio: ModalityInput | None, perturbations: PerturbationSet | None
    ) -> None:
        if video is None and audio is None:
            raise CoreError("neither video nor audio was given", "give at least one stream")
        if video is not None and audio is not None and video.latent.shape[0] != audio.latent.shape[0]:
            raise CoreError(
                f"video has {video.latent.shape[0]} samples and audio {audio.latent.shape[0]}", "give the same batch"
            )
        for name, modality, channels, axes in (
            ("video", video, self.config.video_channels, 3),
            ("audio", audio, self.config.audio_channels, 1),
        ):
            if modality is not None:
                _check_stream(name, modality, channels, axes, self.config.text_dim)
                if perturbations is not None:
                    perturbations.check(modality.latent.shape[0], self.config.depth)


def pooled_text(modality: ModalityInput) -> Tensor | None:
    """Mean of the text features over tokens that are there ``[B, text_dim]``; 0 where a sample has no text."""
    if modality.context is None or modality.context_mask is None:
        return None if modality.context is None else modality.context.mean(dim=1)
    there = modality.context_mask[:, :, None].to(modality.context.dtype)
    return (modality.context * there).sum(dim=1) / there.sum(dim=1).clamp_min(1)


def sinusoid(t: Float[Tensor, "batch tokens"], size: int) -> Float[Tensor, "batch tokens size"]:
    """[cos(t·f), sin(t·f)] with f from 1 down to 1/10000 (Vaswani et al. 2017, arXiv:1706.03762)."""
    half = size // 2
    frequency = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angle = t[..., None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def _stream_block(c: AVTransformerConfig, name: str) -> StreamBlock:
    width, heads = getattr(c, f"{name}_width"), getattr(c, f"{name}_heads")
    convolved = c.depthwise_conv and name == "video"
    return StreamBlock(width, heads, c.cross_width, c.cross_heads, round(width * c.ff_ratio), c.cross_gates, convolved)


def _perturbed(
    stream: StreamState | None, perturbations: PerturbationSet | None, block: int, skips: tuple[PerturbationType, ...]
) -> StreamState | None:
    """The stream with the attentions that this block skips."""
    if stream is None or perturbations is None:
        return stream
    return stream._replace(keep=StreamKeep(*(perturbations.keep(skip, block, stream.x) for skip in skips)))


def _check_stream(name: str, modality: ModalityInput, channels: int, axes: int, text_dim: int) -> None:
    batch, tokens = modality.latent.shape[:2]
    wanted: list[tuple[str, Tensor | None, tuple[tuple[int, ...], ...]]] = [
        ("latent", modality.latent, ((batch, tokens, channels),)),
        ("timesteps", modality.timesteps, ((batch, tokens), (batch, 1))),
        ("positions", modality.positions, ((batch, tokens, axes),)),
        ("token_mask", modality.token_mask, ((batch, tokens),)),
    ]
    if modality.context is not None:
        text = modality.context.shape[1]
        wanted += [
            ("context", modality.context, ((batch, text, text_dim),)),
            ("context_mask", modality.context_mask, ((batch, text),)),
        ]
    for field, tensor, shapes in wanted:
        if tensor is not None and tuple(tensor.shape) not in shapes:
            raise CoreError(
                f"{name} {field} has size {tuple(tensor.shape)}", f"it needs {' or '.join(map(str, shapes))}"
            )
