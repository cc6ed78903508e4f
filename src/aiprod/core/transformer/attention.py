"""Attention over keys of which some, or all, may be absent."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


class Presence(NamedTuple):
    """Which keys of a stream (or text) are there.

    Attributes:
        keys: ``[B, 1, 1, N]`` bool for the attention; None = all.
        sample: ``[B, 1, 1]`` 1 or 0, whether the sample has any key; None = all samples do.
    """

    keys: Bool[Tensor, "batch 1 1 keys"] | None = None
    sample: Float[Tensor, "batch 1 1"] | None = None

    @classmethod
    def of(cls, mask: Bool[Tensor, "batch keys"] | None, dtype: torch.dtype) -> Presence:
        """From a token mask. A sample without any key lets all be seen, so that the softmax is defined everywhere,
        forward and backward; ``sample`` then takes the result out exactly."""
        if mask is None:
            return cls()
        present = mask.any(dim=1, keepdim=True)
        return cls((mask | ~present)[:, None, None, :], present.to(dtype)[:, :, None])


def attend(
    query: Float[Tensor, "batch queries heads size"],
    key: Float[Tensor, "batch keys heads size"],
    value: Float[Tensor, "batch keys heads size"],
    presence: Presence,
    keep: Float[Tensor, "batch 1 1"] | None = None,
) -> Float[Tensor, "batch queries width"]:
    """Fused scaled dot-product attention; exactly 0 for samples without keys and where ``keep`` is 0."""
    q, k, v = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=presence.keys).transpose(1, 2).flatten(2)
    if presence.sample is not None:
        out = out * presence.sample
    return out if keep is None else out * keep
