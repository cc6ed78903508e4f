"""Our models as entrants of a side-by-side benchmark against public implementations.

The benchmark calls ``transformer(kind, size)`` and expects (module, inputs, forward FLOPs). Sizes are chosen so that
our parameter counts equal the peers' to within a few per cent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.costs import Workload, count_flops
from aiprod.core.transformer.modality import AVOutput, ModalityInput
from aiprod.core.transformer.model import AVTransformer

# video width, audio width, heads, depth, width of the feed-forward over the stream's, channels of video and audio
# tokens, text width. At small, ours is wider and shallower than the peer (384, 8 blocks): the cost of attention grows
# with width times depth, that of parameters with the square of the width.
_SIZES = {
    "tiny": (128, 64, 4, 4, 4.0, 32, 32, 64),
    "small": (512, 256, 4, 4, 4.25, 128, 64, 256),
    "base": (1536, 768, 12, 18, 4.0, 128, 128, 2048),
}


def transformer(
    kind: str, size: str
) -> tuple[nn.Module, Callable[[str, SimpleNamespace], Any], Callable[[str, SimpleNamespace], int]]:
    """The two-stream transformer on the benchmark's tokens."""
    if kind != "transformer":
        raise ValueError(f"this plug-in has a transformer, not a {kind}")
    video, audio, heads, depth, ff_ratio, video_channels, audio_channels, text_dim = _SIZES[size]
    config = AVTransformerConfig(
        video_channels=video_channels,
        audio_channels=audio_channels,
        text_dim=text_dim,
        video_width=video,
        audio_width=audio,
        cross_width=audio,
        video_heads=heads,
        audio_heads=heads,
        cross_heads=heads,
        depth=depth,
        ff_ratio=ff_ratio,
    )
    return AVTransformer(config), inputs, lambda op, spec: count_flops(config, workload(spec))


def workload(spec: SimpleNamespace) -> Workload:
    """The benchmark's task in our terms."""
    return Workload(spec.batch, math.prod(spec.grid), spec.audio_tokens, spec.text_tokens, spec.per_token_timesteps)


def inputs(op: str, spec: SimpleNamespace) -> tuple[tuple[ModalityInput, ModalityInput], dict[str, Any]]:
    """Both streams with text, at 24 frames a second and 25 audio latents a second."""
    generator = torch.Generator().manual_seed(spec.seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(spec.device, spec.dtype)

    batch, (frames, height, width) = spec.batch, spec.grid
    tokens = frames * height * width
    axes = torch.meshgrid(
        torch.arange(frames) * 8 / 24, torch.arange(height) * 32.0, torch.arange(width) * 32.0, indexing="ij"
    )
    video_positions = torch.stack(axes, dim=-1).reshape(1, tokens, 3).repeat(batch, 1, 1).to(spec.device)
    audio_positions = (torch.arange(spec.audio_tokens) / 25)[None, :, None].repeat(batch, 1, 1).to(spec.device)

    def stream(count: int, channels: int, positions: Tensor) -> ModalityInput:
        times = torch.full((batch, count if spec.per_token_timesteps else 1), 0.5, device=spec.device)
        return ModalityInput(
            noise(batch, count, channels), times, positions, noise(batch, spec.text_tokens, spec.text_dim)
        )

    video = stream(tokens, spec.video_ch, video_positions)
    return (video, stream(spec.audio_tokens, spec.audio_ch, audio_positions)), {}


def outputs(result: AVOutput) -> list[Tensor]:
    """The tensors of a call, for tests of this plug-in."""
    return [t for t in result if t is not None]
