"""Rotary positions from real coordinates: seconds and pixels, not token numbers (Su et al. 2021, arXiv:2104.09864).

Turning a query by its position and a key by its own makes their product depend on the distance alone, in seconds
along time. So video at any frame rate and sound share one time axis.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Rotation(NamedTuple):
    """cos and sin of the angles ``[B, N, 1, head_size / 2]``, the same for all heads."""

    cos: Tensor
    sin: Tensor


def axis_pairs(head_size: int, axes: int) -> tuple[int, ...]:
    """How many value pairs of a head turn with each axis; the first axis (time) takes the remainder."""
    pairs = head_size // 2
    each = pairs // axes
    return (pairs - each * (axes - 1), *(each,) * (axes - 1))


def frequencies(pairs: int, shortest: float, longest: float) -> Float[Tensor, pairs]:
    """Angular frequencies 2π / period in fp64, periods spaced geometrically from ``shortest`` to ``longest``."""
    if pairs == 1:
        return torch.tensor([2 * math.pi / shortest], dtype=torch.float64)
    exponent = torch.arange(pairs, dtype=torch.float64) / (pairs - 1)
    return 2 * math.pi / (shortest * (longest / shortest) ** exponent)


def rotation(
    positions: Float[Tensor, "batch tokens axes"], head_size: int, periods: tuple[tuple[float, float], ...]
) -> Rotation:
    """The rotation of each token; angles in fp64, because a minute over a quarter-second period is 1500 radians.

    Args:
        positions: coordinates along each axis.
        head_size: values in an attention head.
        periods: (shortest, longest) along each axis, in the unit of that axis.
    """
    angles = [
        positions[..., axis, None].double() * frequencies(pairs, *periods[axis]).to(positions.device)
        for axis, pairs in enumerate(axis_pairs(head_size, len(periods)))
    ]
    angle = torch.cat(angles, dim=-1)[:, :, None, :]
    return Rotation(angle.cos().float(), angle.sin().float())


def rotate(x: Float[Tensor, "batch tokens heads head_size"], by: Rotation) -> Tensor:
    """Turn the pairs (x[2i], x[2i + 1]) of every head by the token's angles; at least fp32 within."""
    even, odd = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (-1, 2)).unbind(dim=-1)
    turned = torch.stack([even * by.cos - odd * by.sin, odd * by.cos + even * by.sin], dim=-1)
    return turned.flatten(-2).to(x.dtype)
