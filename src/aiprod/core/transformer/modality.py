"""What the transformer takes and gives for each stream."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

# Named tuples, not dataclasses: DDP, FSDP, Accelerate and torch.compile all walk through them.


class ModalityInput(NamedTuple):
    """One stream of a batch.

    Attributes:
        latent: ``[B, N, C]`` noised tokens.
        timesteps: ``[B, N]`` noise level σ in [0, 1] of each token, or ``[B, 1]`` where all tokens of a sample share it
            (same result, and the modulation is then computed once per sample instead of once per token).
        positions: ``[B, N, axes]`` fp32 middle of each token: (seconds, y pixels, x pixels) for video, (seconds,) for
            audio.
        context: ``[B, T, D]`` text features, or None for no text.
        context_mask: ``[B, T]`` bool, False = padding; a sample that is False throughout has no text.
        token_mask: ``[B, N]`` bool, False = absent or padding; a sample that is False throughout lacks this stream.
        own: tokens of the stream itself, which stand before those of references; None = all.
        grid: frames, rows and columns of video tokens, where they are known; None = found by their positions.
    """

    latent: Float[Tensor, "batch tokens channels"]
    timesteps: Float[
        Tensor,
        (
            batch  # tokens
        ),
    ]
    positions: Float[Tensor, "batch tokens axes"]
    context: Float[Tensor, "batch text text_dim"] | None = None
    context_mask: Bool[Tensor, "batch text"] | None = None
    token_mask: Bool[Tensor, "batch tokens"] | None = None
    own: int | None = None
    grid: tuple[int, int, int] | None = None


class AVOutput(NamedTuple):
    """Predicted velocity v = noise − x₀ of each token; None for a stream that was not given, 0 for absent tokens."""

    video: Float[Tensor, "batch video_tokens video_channels"] | None
    audio: Float[Tensor, "batch audio_tokens audio_channels"] | None
