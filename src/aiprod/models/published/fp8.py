"""8-bit floating-point weights with their factors, as Lightricks, ComfyUI and transformers store them.

A weight is the stored value times its factor. The factor stands beside it under one of three names, one number for the
tensor or one per row; factors of activations (``input_scale``) say how a GPU may round its inputs and change no weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.header import StoredTensor
from aiprod.models.checkpoint.variants import some_of

EIGHT_BIT = (torch.float8_e4m3fn, torch.float8_e5m2)

_FACTORS = (".weight_scale", ".scale_weight", ".weight_scale_inv")
_OF_INPUTS = (".input_scale", ".scale_input")
_MARKS = ("scaled_fp8", ".comfy_quant")
EIGHT_NAMES = ("F8_E4M3", "F8_E5M2")
_PLAIN = "give the same model in bf16, fp16 or fp32"


def apply_factor(weight: Tensor, factor: Tensor) -> Tensor:
    """The weight times its factor, or times that of each row, in bf16."""
    shape = (-1, *([1] * (weight.dim() - 1))) if factor.numel() > 1 else ()
    return (weight.float() * factor.float().reshape(shape)).bfloat16()


def find_factors(where: Path, tensors: Mapping[str, StoredTensor]) -> tuple[dict[str, str], set[str]]:
    """The factors among these tensors: weight → factor; and every name that is no weight.

    Raises:
        CheckpointError: a kind of quantisation that is not read, a factor without its weight or of another shape, or
            an fp8 weight without a factor among others that have one.
    """
    factors: dict[str, str] = {}
    for name in tensors:
        for ending in _FACTORS:
            if name.endswith(ending):
                base = name.removesuffix(ending) + ".weight"
                if base in factors:
                    raise CheckpointError(f"{where} holds two factors of {base}", _PLAIN)
                factors[base] = name
    alone = sorted(f for base, f in factors.items() if base not in tensors or tensors[base].dtype not in EIGHT_NAMES)
    if alone:
        raise CheckpointError(f"{where} is quantised in another way than fp8 with factors ({some_of(alone)})", _PLAIN)
    shapes = sorted(
        f"{factor} {list(tensors[factor].shape)} for {list(tensors[base].shape)}"
        for base, factor in factors.items()
        if not _fits(tensors[factor], tensors[base])
    )
    if shapes:
        raise CheckpointError(f"{where} holds fp8 factors of a shape that is not read: {some_of(shapes)}", _PLAIN)
    marks = {n for n in tensors if n.rpartition(".")[2] == _MARKS[0] or n.endswith(_MARKS[1])}
    eight = {name for name, about in tensors.items() if about.dtype in EIGHT_NAMES} - marks
    bare = sorted(eight - set(factors))
    if factors and bare:
        raise CheckpointError(f"{where} holds fp8 weights with factors, and {some_of(bare)} without one", _PLAIN)
    others = sorted(
        n for n, about in tensors.items() if about.dtype.startswith(("F8_", "F4", "F6_")) and n not in eight | marks
    )
    if others:
        raise CheckpointError(f"{where} holds weights in {tensors[others[0]].dtype} ({some_of(others)})", _PLAIN)
    inputs = {n for n in tensors if n.endswith(_OF_INPUTS)}
    return factors, {*factors.values(), *inputs, *marks}


def _fits(factor: StoredTensor, weight: StoredTensor) -> bool:
    if factor.dtype not in ("F32", "F16", "BF16"):
        return False
    rows = weight.shape[:1]
    return factor.numel == 1 or (len(weight.shape) == 2 and factor.shape in (rows, (*rows, 1)))
