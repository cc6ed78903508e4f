"""LoRA weights fused into a state dict while it is loaded (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.folder import read_safetensors
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.variants import some_of

_PREFIXES = ("base_model.model.", "transformer.", "diffusion_model.", "")
_ADAPTER = "adapter_model.safetensors"


def fuse_lora(tensors: Mapping[str, Tensor], lora: Path | str, strength: float = 1.0) -> dict[str, Tensor]:
    """``W + strength · (alpha / rank) · B A`` for every adapted weight; linear layers and convolutions.

    Args:
        tensors: the base weights.
        lora: a safetensors file, or a peft folder with ``adapter_model.safetensors`` and ``adapter_config.json``.

    Raises:
        CheckpointError: an adapter weight that has no partner, no base weight, or another shape.
    """
    path = Path(lora)
    config: dict[str, object] = {}
    if path.is_dir():
        file = path / "adapter_config.json"
        if file.is_file():
            config = read_json_object(file)
        path = path / _ADAPTER
    adapter = read_safetensors(path)
    downs = {k.removesuffix(".lora_A.weight"): v for k, v in adapter.items() if k.endswith(".lora_A.weight")}
    ups = {k.removesuffix(".lora_B.weight"): v for k, v in adapter.items() if k.endswith(".lora_B.weight")}
    known = {f"{n}{s}" for n in downs for s in (".lora_A.weight", ".lora_B.weight", ".alpha")}
    lonely = sorted(set(downs) ^ set(ups)) + sorted(set(adapter) - known)
    if lonely or not downs:
        raise CheckpointError(
            f"{path} is not a LoRA of A and B pairs ({some_of(lonely) or 'empty'})", "give a peft adapter"
        )
    fused = dict(tensors)
    for name, down in downs.items():
        base = _base_name(name, fused, path)
        rank = down.shape[0]
        alpha = (
            float(adapter[f"{name}.alpha"])
            if f"{name}.alpha" in adapter
            else float(str(config.get("lora_alpha", rank)))
        )
        scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
        weight = fused[base]
        delta = ups[name].float().flatten(1) @ down.float().flatten(1)
        if delta.numel() != weight.numel() or delta.shape[0] != weight.shape[0]:
            raise CheckpointError(
                f"{path}: {name} does not fit {base} {list(weight.shape)}", "give a LoRA of this very model"
            )
        fused[base] = (weight.float() + strength * scale * delta.reshape(weight.shape).to(weight.device)).to(
            weight.dtype
        )
    return fused


def _base_name(name: str, tensors: Mapping[str, Tensor], path: Path) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix) and (base := f"{name.removeprefix(prefix)}.weight") in tensors:
            return base
    raise CheckpointError(f"{path}: {name} has no weight in the model", "give a LoRA of this very model")
