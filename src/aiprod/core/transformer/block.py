"""One transformer block: a stream attends to itself, to its text and to the other stream at once, then feeds forward.

The three attentions of a stream start from one normalised, modulated input, through one projection, and end in one
projection (parallel layers, as in ViT-22B, arXiv:2302.05442): fewer and larger matrix products than three attentions
in a row at the same number of parameters. Keys and values that the other stream reads come from the same projection,
so they carry this stream's own noise level.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from aiprod.core.transformer.attention import Presence, attend
from aiprod.core.transformer.local_mixing import DepthwiseConv, Grid
from aiprod.core.transformer.qkv_projection import Heads, HeadSizes, normalise_heads, split_heads
from aiprod.core.transformer.rotary import Rotation


class StreamContext(NamedTuple):
    """What stays the same for a stream in all blocks of one call."""

    modulation: Tensor  # [B, 1 or N, 6, width]
    rotation: Rotation  # of its own attention
    cross_rotation: Rotation  # of the attention between the streams, time only
    presence: Presence
    text: Tensor | None  # [B, T, width]
    text_presence: Presence
    grid: Grid | None = None  # that its first tokens lie on, where a convolution is to know it
    token_mask: Tensor | None = None


class StreamKeep(NamedTuple):
    """Factors ``[B, 1, 1]`` that switch attentions off for some samples (perturbations); None = all on."""

    self_attention: Tensor | None = None
    cross_attention: Tensor | None = None


class StreamState(NamedTuple):
    """A stream on its way into a block: hidden state ``[B, N, width]``, context and perturbations."""

    x: Tensor
    context: StreamContext
    keep: StreamKeep = StreamKeep()


class BlockProjections(NamedTuple):
    """What one stream's tokens give in one block: attention heads, and the six modulations (shift, scale, gate of the
    attentions, then of the feed-forward)."""

    heads: Heads
    modulation: tuple[Tensor, ...]


class StreamBlock(nn.Module):
    """The half of a block that belongs to one stream.

    Args:
        width, heads: of the stream.
        cross_width, cross_heads: of the attention between the streams.
        ff_width: hidden width of the feed-forward.
        cross_gated: what the other stream says is multiplied by factors that start at 0.
        convolved: tokens see their neighbours on the grid first.
    """

    def __init__(  # noqa: PLR0917
        self,
        width: int,
        heads: int,
        cross_width: int,
        cross_heads: int,
        ff_width: int,
        cross_gated: bool = False,
        convolved: bool = False,
    ) -> None:
        super().__init__()
        self.sizes = sizes = HeadSizes(width, heads, cross_width, cross_heads)
        self.project_in = nn.Linear(width, sizes.total)
        self.text_key_value = nn.Linear(width, 2 * width)
        self.project_out = nn.Linear(2 * width + cross_width, width)
        self.scale = nn.Parameter(torch.ones(3 * heads))
        self.cross_scale = nn.Parameter(torch.ones(2 * cross_heads))
        self.text_scale = nn.Parameter(torch.ones(heads))
        self.cross_gate = nn.Parameter(torch.zeros(cross_width)) if cross_gated else None
        self.modulation = nn.Parameter(torch.zeros(6, width))
        self.expand = nn.Linear(width, ff_width)
        self.contract = nn.Linear(ff_width, width)
        self.convolution = DepthwiseConv(width) if convolved else None

    def begin(self, stream: StreamState) -> StreamState:
        """The stream after what neighbours on the grid add."""
        grid = stream.context.grid
        if self.convolution is None or grid is None:
            return stream
        return stream._replace(x=self.convolution(stream.x, grid, stream.context.token_mask))

    def project(self, stream: StreamState) -> BlockProjections:
        """All queries, keys and values that this stream's tokens give, and its modulations."""
        context = stream.context
        modulation = (context.modulation + self.modulation).unbind(dim=2)
        projected = self.project_in(modulate(stream.x, modulation[0], modulation[1]))
        rotations = (context.rotation, context.cross_rotation)
        return BlockProjections(
            split_heads(projected, (self.scale, self.cross_scale), rotations, self.sizes), modulation
        )

    def forward(
        self,
        stream: StreamState,
        own: BlockProjections,
        other: BlockProjections | None,
        other_stream: StreamState | None,
    ) -> Float[Tensor, "batch tokens width"]:
        """The stream's hidden state after its attentions and its feed-forward."""
        _, _, gate, shift, scale, ff_gate = own.modulation
        x = torch.addcmul(stream.x, gate, self._attention(stream, own, other, other_stream))
        added = self.contract(F.gelu(self.expand(modulate(x, shift, scale))))
        return torch.addcmul(x, ff_gate, added)

    def _attention(
        self,
        stream: StreamState,
        own: BlockProjections,
        other: BlockProjections | None,
        other_stream: StreamState | None,
    ) -> Tensor:
        """What the three attentions add, before the gate; an attention without keys adds exactly nothing."""
        context, keep, heads, width = stream.context, stream.keep, own.heads, self.sizes.width
        seen = [attend(heads.query, heads.key, heads.value, context.presence, keep.self_attention)]
        if context.text is not None:
            key, value = self.text_key_value(context.text).unflatten(-1, (2, self.sizes.heads, -1)).unbind(dim=2)
            key = normalise_heads(key, self.text_scale)
            seen.append(attend(heads.text_query, key, value, context.text_presence))
        else:
            seen.append(torch.zeros_like(seen[0]))
        used = 2 * width
        if other is not None and other_stream is not None:
            there, presence = other.heads, other_stream.context.presence
            heard = attend(heads.cross_query, there.cross_key, there.cross_value, presence, keep.cross_attention)
            seen.append(heard if self.cross_gate is None else heard * self.cross_gate.to(heard.dtype))
            used += self.sizes.cross_width
        joined = torch.cat(seen, dim=-1)
        if used == self.project_out.in_features:
            return self.project_out(joined)
        if type(self.project_out) is nn.Linear:  # without the columns that nothing goes into
            return F.linear(joined, self.project_out.weight[:, :used], self.project_out.bias)
        # An adapter or a layer in 8 bits, which stands in its place, takes its whole input.
        return self.project_out(F.pad(joined, (0, self.project_out.in_features - used)))


class AVBlock(nn.Module):
    """Both streams of a block; either may be absent."""

    def __init__(self, video: StreamBlock, audio: StreamBlock) -> None:
        super().__init__()
        self.video, self.audio = video, audio

    def forward(self, video: StreamState | None, audio: StreamState | None) -> tuple[Tensor | None, Tensor | None]:
        """The hidden states ``[B, N, width]`` of both streams after the block."""
        video = None if video is None else self.video.begin(video)
        audio = None if audio is None else self.audio.begin(audio)
        seen_video = None if video is None else self.video.project(video)
        seen_audio = None if audio is None else self.audio.project(audio)
        return (
            None if video is None or seen_video is None else self.video(video, seen_video, seen_audio, audio),
            None if audio is None or seen_audio is None else self.audio(audio, seen_audio, seen_video, video),
        )


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm, then x·(1 + scale) + shift (AdaLN, Peebles and Xie 2022, arXiv:2212.09748).

    ``x`` is ``[B, N, width]``; shift and scale are too, or ``[B, 1, width]``, never written out for every token.
    """
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)
