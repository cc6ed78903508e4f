"""Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) through peft: put in, train alone, fuse, save."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.lora_file import LoraLayer, write_lora

_NAME = "default"


class LoraParams(Params):
    """Train adapters instead of the weights themselves."""

    rank: int = Field(default=8, ge=1, le=65_536)
    alpha: float = Field(default=8.0, gt=0, description="the update is scaled by alpha over rank")
    quantize: Literal["int8"] | None = Field(
        default=None, description="precision of the frozen linear layers of the blocks while adapters are trained"
    )
    targets: str = Field(
        default=r"(.*\.)?(transformer_)?blocks\..*",
        description="regular expression over the full names of linear layers that get adapters",
    )

    @field_validator("targets")
    @classmethod
    def _can_be_matched(cls, targets: str) -> str:
        try:
            re.compile(targets)
        except re.error as error:
            example = cls.model_fields["targets"].default
            raise ValueError(f"is not a regular expression: {error} → for example {example}") from None
        return targets


def add_lora(model: nn.Module, params: LoraParams, seed: int) -> None:
    """Put adapters into the model's linear layers and freeze everything else.

    Raises:
        AiprodError: no layer has such a name, or peft is absent.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise AiprodError("LoRA needs peft", "install it or leave train_diffusion.lora out") from None
    linear = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and re.fullmatch(params.targets, n)]
    if not linear:
        raise AiprodError(f"lora.targets {params.targets!r} matches no linear layer", r"for example blocks\..*")
    torch.manual_seed(seed)
    config = LoraConfig(r=params.rank, lora_alpha=params.alpha, target_modules=linear, lora_dropout=0.0)  # type: ignore[arg-type]
    inject_adapter_in_model(config, model, adapter_name=_NAME)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


def lora_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapters alone, named as peft names them in its files."""
    return {n.replace(f".{_NAME}.weight", ".weight"): w for n, w in weights.items() if "lora_" in n}


def base_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that the adapters adapt, named as in the model without them."""
    return {n.replace(".base_layer.", "."): w for n, w in weights.items() if "lora_" not in n}


def save_lora(weights: Mapping[str, Tensor], params: LoraParams, folder: Path) -> None:
    """Write ``adapter_model.safetensors`` and ``adapter_config.json``, which peft and our loader read."""
    matrices = lora_weights(weights)
    downs = {n.removesuffix(".lora_A.weight"): w for n, w in matrices.items() if n.endswith(".lora_A.weight")}
    layers = {n: LoraLayer(w, matrices[f"{n}.lora_B.weight"], params.alpha) for n, w in downs.items()}
    write_lora(layers, folder, "peft")
