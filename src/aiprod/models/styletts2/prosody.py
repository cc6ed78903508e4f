"""What phonemes are, how long each lasts, and how pitch and energy move."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aiprod.models.styletts2.config import StyleTts2Config
from aiprod.models.styletts2.layers import AdaptiveLayerNorm, ChannelNorm, StyledBlock, both_ways


class TextEncoder(nn.Module):
    """Tokens ``[B, N]`` to what the decoder speaks ``[B, hidden, N]``."""

    def __init__(self, config: StyleTts2Config) -> None:
        super().__init__()
        width, kernel = config.hidden_dim, config.text_encoder_kernel_size
        self.embedding = nn.Embedding(config.n_token, width)
        self.cnn = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2), ChannelNorm(width), nn.LeakyReLU(0.2)
            )
            for _ in range(config.n_layer)
        )
        self.lstm = both_ways(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens to channels."""
        x = self.embedding(tokens).transpose(1, 2)
        for layer in self.cnn:
            x = layer(x)
        encoded: Tensor = self.lstm(x.transpose(1, 2))[0].transpose(1, 2)
        return encoded


class _DurationEncoder(nn.Module):
    """Recurrent layers and adaptive norms in turn; the style is put beside the channels after each pair."""

    def __init__(self, config: StyleTts2Config) -> None:
        super().__init__()
        width, style = config.hidden_dim, config.style_dim
        self.lstms = nn.ModuleList(
            layer
            for _ in range(config.n_layer)
            for layer in (both_ways(width + style, width), AdaptiveLayerNorm(style, width))
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        beside = style[:, None].expand(-1, x.shape[1], -1)
        x = torch.cat([x, beside], 2)
        for n in range(0, len(self.lstms), 2):
            x = torch.cat([self.lstms[n + 1](self.lstms[n](x)[0], style), beside], 2)
        return x


class _Projection(nn.Module):
    """A linear layer under the name it is published with."""

    def __init__(self, enter: int, leave: int) -> None:
        super().__init__()
        self.linear_layer = nn.Linear(enter, leave)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.linear_layer(x)
        return projected


class Prosody(nn.Module):
    """Durations, F0 and energy."""

    def __init__(self, config: StyleTts2Config) -> None:
        super().__init__()
        width, style = config.hidden_dim, config.style_dim
        self.text_encoder = _DurationEncoder(config)
        self.lstm = both_ways(width + style, width)
        self.duration_proj = _Projection(width, config.max_dur)
        self.shared = both_ways(width + style, width)
        self.F0, self.N = (
            nn.ModuleList(
                [
                    StyledBlock(width, width, style),
                    StyledBlock(width, width // 2, style, double=True),
                    StyledBlock(width // 2, width // 2, style),
                ]
            )
            for _ in range(2)
        )
        self.F0_proj, self.N_proj = (nn.Conv1d(width // 2, 1, 1) for _ in range(2))

    def durations(self, states: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Encoded phonemes ``[B, N, hidden + style]``, and how many steps each lasts ``[B, N]``, not yet whole."""
        encoded = self.text_encoder(states, style)
        votes = self.duration_proj(self.lstm(encoded)[0])
        return encoded, votes.sigmoid().sum(2)

    def melody(self, expanded: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and energy, each ``[B, 2·T]``, of encoded phonemes repeated over their durations ``[B, T, …]``."""
        x = self.shared(expanded)[0].transpose(1, 2)
        tracks = []
        for blocks, project in ((self.F0, self.F0_proj), (self.N, self.N_proj)):
            y = x
            for block in blocks:
                y = block(y, style)
            tracks.append(project(y)[:, 0])
        return tracks[0], tracks[1]
