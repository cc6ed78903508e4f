"""From one projection of a stream to normalised, turned attention heads.

Two ways to the same numbers: plain operations, which a compiler fuses, and an autograd function with a written-out
backward pass, which takes a third fewer passes over memory when run eagerly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from aiprod.core.transformer.rotary import Rotation, rotate

_EPS = 1e-6


class Heads(NamedTuple):
    """Queries, keys and values ``[B, N, heads, size]`` that one stream's tokens give in one block."""

    query: Tensor
    key: Tensor
    text_query: Tensor
    value: Tensor
    cross_query: Tensor
    cross_key: Tensor
    cross_value: Tensor


class HeadSizes(NamedTuple):
    """How the projection is divided: [query, key, text query, value] of the stream's width, then [query, key, value]
    of the attention between the streams."""

    width: int
    heads: int
    cross_width: int
    cross_heads: int

    @property
    def total(self) -> int:
        """Width of the projection."""
        return 4 * self.width + 3 * self.cross_width


def split_heads(
    projected: Float[Tensor, "batch tokens total"],
    scales: tuple[Tensor, Tensor],
    rotations: tuple[Rotation, Rotation],
    sizes: HeadSizes,
) -> Heads:
    """Divide a projection into heads; normalise queries and keys (QK normalisation, arXiv:2010.04245) and turn those
    that have positions.

    Args:
        projected: laid out as :class:`HeadSizes` says.
        scales: learned factors ``[3 · heads]`` of (query, key, text query) and ``[2 · cross_heads]`` of (query, key).
        rotations: of the stream's own attention, and of the one between the streams.
        sizes: widths and heads.
    """
    if torch.compiler.is_compiling():
        return split_heads_plainly(projected, scales, rotations, sizes)
    turns = [torch.complex(r.cos, r.sin) for r in rotations]
    return Heads(*_SplitHeads.apply(projected, *scales, *turns, sizes))  # type: ignore[no-untyped-call]


def split_heads_plainly(
    projected: Tensor, scales: tuple[Tensor, Tensor], rotations: tuple[Rotation, Rotation], sizes: HeadSizes
) -> Heads:
    """:func:`split_heads` in plain operations, sizes as there."""
    own, value, cross, cross_value = _parts(projected, sizes)
    own = normalise_heads(own, scales[0])
    cross = normalise_heads(cross, scales[1])
    h, c = sizes.heads, sizes.cross_heads
    turned, cross = rotate(own[:, :, : 2 * h], rotations[0]), rotate(cross, rotations[1])
    return Heads(
        turned[:, :, :h], turned[:, :, h:], own[:, :, 2 * h :], value, cross[:, :, :c], cross[:, :, c:], cross_value
    )


def normalise_heads(x: Float[Tensor, "batch tokens heads size"], scale: Float[Tensor, heads]) -> Tensor:
    """Each head's values ``[B, N, heads, size]`` over their root mean square, times the scale: bounded logits."""
    return F.rms_norm(x, x.shape[-1:], eps=_EPS) * scale[:, None].to(x.dtype)


def _parts(projected: Tensor, sizes: HeadSizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views: (query, key, text query), value, cross (query, key), cross value."""
    w, c = sizes.width, sizes.cross_width
    own, value, cross, cross_value = projected.split([3 * w, w, 2 * c, c], dim=-1)
    return (
        own.unflatten(-1, (3 * sizes.heads, -1)),
        value.unflatten(-1, (sizes.heads, -1)),
        cross.unflatten(-1, (2 * sizes.cross_heads, -1)),
        cross_value.unflatten(-1, (sizes.cross_heads, -1)),
    )


class _SplitHeads(torch.autograd.Function):
    """:func:`split_heads_plainly` with its derivative written out; values are views of the projection."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd functions take their tensors one by one)
        ctx: Any,
        projected: Tensor,
        scale: Tensor,
        cross_scale: Tensor,
        turn: Tensor,
        cross_turn: Tensor,
        sizes: HeadSizes,
    ) -> tuple[Tensor, ...]:
        own, value, cross, cross_value = _parts(projected, sizes)
        h, c = sizes.heads, sizes.cross_heads
        normal, inverse = _normalise(own, scale)
        _pairs(normal)[:, :, : 2 * h].mul_(turn.to(_pairs(normal).dtype))
        cross_normal, cross_inverse = _normalise(cross, cross_scale)
        _pairs(cross_normal).mul_(cross_turn.to(_pairs(cross_normal).dtype))
        ctx.save_for_backward(projected, scale, cross_scale, turn, cross_turn, inverse, cross_inverse)
        ctx.sizes = sizes
        normal, cross_normal = normal.to(projected.dtype), cross_normal.to(projected.dtype)
        return (
            normal[:, :, :h],
            normal[:, :, h : 2 * h],
            normal[:, :, 2 * h :],
            value,
            cross_normal[:, :, :c],
            cross_normal[:, :, c:],
            cross_value,
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        projected, scale, cross_scale, turn, cross_turn, inverse, cross_inverse = ctx.saved_tensors
        query, key, text_query, value, cross_query, cross_key, cross_value = grads
        sizes: HeadSizes = ctx.sizes
        h, c = sizes.heads, sizes.cross_heads
        own, _, cross, _ = _parts(projected, sizes)
        result = torch.empty(projected.shape, dtype=_precision(projected), device=projected.device)
        to_own, to_value, to_cross, to_cross_value = _parts(result, sizes)
        _turn_back(query, turn, to_own[:, :, :h])
        _turn_back(key, turn, to_own[:, :, h : 2 * h])
        to_own[:, :, 2 * h :].copy_(text_query)
        to_value.copy_(value)
        _turn_back(cross_query, cross_turn, to_cross[:, :, :c])
        _turn_back(cross_key, cross_turn, to_cross[:, :, c:])
        to_cross_value.copy_(cross_value)
        to_scale = _normalise_backward(own, scale, inverse, to_own)
        to_cross_scale = _normalise_backward(cross, cross_scale, cross_inverse, to_cross)
        return result.to(projected.dtype), to_scale, to_cross_scale, None, None, None


def _precision(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _pairs(x: Tensor) -> Tensor:
    """The values (2i, 2i + 1) of each head as complex numbers, a view."""
    return torch.view_as_complex(x.unflatten(-1, (-1, 2)))


def _normalise(x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised heads, and the inverse root mean square ``[B, N, heads, 1]``."""
    x = x.to(_precision(x))
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    inverse = (length.square() / x.shape[-1] + _EPS).rsqrt()
    return x * (inverse * scale[:, None]), inverse


def _normalise_backward(x: Tensor, scale: Tensor, inverse: Tensor, grad: Tensor) -> Tensor:
    """Turns ``grad`` (by the normalised heads) into that by ``x``, in place; returns that by ``scale``."""
    factor = inverse * scale[:, None]
    inner = (grad * x).sum(dim=-1, keepdim=True)
    grad.mul_(factor).addcmul_(x.to(grad.dtype), inner * (inverse.square() * factor / -x.shape[-1]))
    return (inner * inverse).sum(dim=(0, 1, 3)).to(scale.dtype)


def _turn_back(grad: Tensor, turn: Tensor, into: Tensor) -> None:
    """Writes ``grad`` turned by the opposite angle."""
    source = grad.to(into.dtype)
    if source.stride(-1) != 1 or any(s % 2 for s in source.stride()[:-1]):
        source = source.contiguous()
    torch.mul(_pairs(source), turn.conj().to(_pairs(source).dtype), out=_pairs(into))
