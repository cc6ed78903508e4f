"""LoRA weights fused into a state dict while it is loaded (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from aiprod.models.checkpoint.lora_file import LoraLayer, fit_lora, read_lora


def fuse_lora(tensors: Mapping[str, Tensor], lora: Path | str, strength: float = 1.0) -> dict[str, Tensor]:
    """``W + strength · (alpha / rank) · B A`` for every adapted weight; linear layers and convolutions.

    Args:
        tensors: the base weights.
        lora: a safetensors file in a style of :mod:`~aiprod.models.checkpoint.lora_file`, or a peft folder.

    Raises:
        CheckpointError: an adapter weight that has no partner, no base weight, or another shape.
    """
    shapes = {n: tuple(t.shape) for n, t in tensors.items() if n.endswith(".weight")}
    layers = fit_lora(read_lora(lora), shapes)
    fused = dict(tensors)
    for name, layer in layers.items():
        fused[f"{name}.weight"] = add_layer(fused[f"{name}.weight"], layer, strength)
    return fused


def add_layer(weight: Tensor, layer: LoraLayer, strength: float) -> Tensor:
    """A weight with a layer of a LoRA added, in the weight's own type."""
    delta = strength * layer.delta().reshape(weight.shape).to(weight.device)
    return (weight.float() + delta).to(weight.dtype)
