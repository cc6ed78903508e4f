"""The output of a text encoder, and batches of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TextFeatures:
    """What the transformer is told of a text.

    Attributes:
        hidden: ``[B, T, D]``; padding is zero. A Gemma's vectors have a root mean square of 1 each, those of other
            encoders are as the encoder gives them.
        mask: ``[B, T]``; True = a token, False = padding. Texts are padded on the right.
    """

    hidden: Float[Tensor, "b t d"]
    mask: Bool[Tensor, "b t"]


def pad_text(texts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Stack features of different lengths: hidden ``[B, T, D]`` padded with zeros, and mask ``[B, T]``."""
    longest = max(hidden.shape[0] for hidden, _ in texts)
    hidden = torch.zeros(len(texts), longest, texts[0][0].shape[1])
    mask = torch.zeros(len(texts), longest, dtype=torch.bool)
    for row, (features, present) in enumerate(texts):
        hidden[row, : features.shape[0]] = features
        mask[row, : features.shape[0]] = present
    return hidden, mask
