"""PL-BERT: an ALBERT over phonemes, whose one layer is applied again and again (Lan et al. 2020; Li et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aiprod.models.styletts2.config import AlbertConfig

_EPS = 1e-12


class _Embeddings(nn.Module):
    def __init__(self, config: AlbertConfig, tokens: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(tokens, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        summed = self.word_embeddings(tokens) + self.position_embeddings(places) + self.token_type_embeddings.weight[0]
        embedded: Tensor = self.LayerNorm(summed)
        return embedded


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.dense = (nn.Linear(width, width) for _ in range(4))
        self.LayerNorm = nn.LayerNorm(width, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        split = [
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        ]
        seen = nn.functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
        attended: Tensor = self.LayerNorm(x + self.dense(seen))
        return attended


class _Layer(nn.Module):
    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention = _Attention(width, config.num_attention_heads)
        self.ffn = nn.Linear(width, config.intermediate_size)
        self.ffn_output = nn.Linear(config.intermediate_size, width)
        self.full_layer_layer_norm = nn.LayerNorm(width, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x)
        y = self.ffn_output(nn.functional.gelu(self.ffn(x), approximate="tanh"))
        states: Tensor = self.full_layer_layer_norm(x + y)
        return states


class _Group(nn.Module):
    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.albert_layers = nn.ModuleList([_Layer(config)])


class _Encoder(nn.Module):
    def __init__(self, config: AlbertConfig, width: int) -> None:
        super().__init__()
        self.times = config.num_hidden_layers
        self.embedding_hidden_mapping_in = nn.Linear(width, config.hidden_size)
        self.albert_layer_groups = nn.ModuleList([_Group(config)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding_hidden_mapping_in(x)
        (group,) = self.albert_layer_groups
        (layer,) = group.albert_layers  # type: ignore[union-attr, misc]
        for _ in range(self.times):
            x = layer(x)
        return x


class Albert(nn.Module):
    """States ``[B, N, hidden_size]`` of tokens ``[B, N]`` without padding."""

    def __init__(self, config: AlbertConfig, tokens: int, width: int) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config, tokens, width)
        self.encoder = _Encoder(config, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens to states."""
        states: Tensor = self.encoder(self.embeddings(tokens))
        return states
