"""Frozen linear layers in 8 bits: a quarter of the memory of float32 weights that only adapters are trained on.

Weights alone are quantised, each row by its own largest value; inputs stay as they are, and products are computed in
their type (weight-only quantisation, as W8A16). A row's error is at most half a step, 1/254 of its largest value.
bitsandbytes' ``Linear8bitLt`` also rounds what goes into a layer, and keeps its weights outside the module's
parameters, from where neither a checkpoint nor :mod:`~aiprod.trainer.loop.block_swap` would find them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LARGEST = 127


class Int8Linear(nn.Module):
    """A linear layer whose weight is held as int8 ``[out, in]`` with a factor ``[out, 1]`` for each row.

    Args:
        linear: what it stands for; never trained again.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        values, scale = quantised(linear.weight.detach())
        self.weight = nn.Parameter(values, requires_grad=False)
        self.register_buffer("scale", scale)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in] → [..., out]``, in the type of ``x``, or in that of autocast."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        product: Tensor = _Product.apply(x.to(dtype), self.weight, self.scale)  # type: ignore[no-untyped-call]
        return product if self.bias is None else product + self.bias.to(dtype)


class _Product(torch.autograd.Function):
    """``x · weightᵀ``, which keeps the int8 weight for the backward pass and not the weight written out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(weight, scale)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x, _written_out(weight, scale, x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        weight, scale = ctx.saved_tensors
        with torch.autocast(grads[0].device.type, enabled=False):
            return grads[0] @ _written_out(weight, scale, grads[0].dtype), None, None


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in steps of their largest value over 127: int8 ``[out, in]``, and the steps ``[out, 1]`` in float32."""
    scale = weight.float().abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
    return (weight.float() / scale).round().clamp(-_LARGEST, _LARGEST).to(torch.int8), scale


def quantise_frozen(blocks: Iterable[nn.Module]) -> int:
    """Put every frozen linear layer of ``blocks`` into 8 bits, in place; how many there were."""
    count = 0
    for block in blocks:
        for module in list(block.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear and not any(p.requires_grad for p in child.parameters()):
                    setattr(module, name, Int8Linear(child))
                    count += 1
    return count


def _written_out(weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype) * scale.to(dtype)
