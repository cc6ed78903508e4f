"""Tells a token where in its sample it lies, as it enters the transformer."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

_PERIODS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # shares of the picture's height or width; seconds along time
_FAR = 1e9  # pixels; no picture is as large


def place_values(axes: int) -> int:
    """Waves that describe one token of so many coordinates."""
    return 2 * axes * len(_PERIODS)


class PlaceFeatures(nn.Module):
    """Waves over a token's coordinates, projected to the width of the stream; without effect at first.

    Along y and x a coordinate is the share of the picture's size, so that what is in the middle does so at every
    resolution of a curriculum; along time it is in seconds, as everywhere. Fourier features of coordinates: Tancik et
    al. 2020, arXiv:2006.10739.

    Args:
        axes: coordinates of a token, the first in seconds, the others in pixels.
        width: of the stream.
    """

    def __init__(self, axes: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(place_values(axes), width)

    def reset_parameters(self) -> None:
        """No effect."""
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(
        self, positions: Float[Tensor, "batch tokens axes"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """What is added to each token's hidden state.

        Args:
            mask: False = absent; such a token has no say in the size of the picture, whatever its position holds.
        """
        space = positions[..., 1:]
        low = high = space
        if mask is not None:
            positions = positions.masked_fill(~mask[..., None], 0)
            space = positions[..., 1:]
            low, high = space.masked_fill(~mask[..., None], _FAR), space
        size = low.amin(dim=1, keepdim=True) + high.amax(dim=1, keepdim=True)  # of middles: half a token to each rim
        shares = torch.cat([positions[..., :1], space / size.clamp_min(1e-6)], dim=-1)
        angles = shares[..., None] * (2 * math.pi / positions.new_tensor(_PERIODS))
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(2)
        return self.project(waves.to(self.project.weight.dtype))
