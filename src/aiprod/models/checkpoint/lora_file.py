"""LoRA files (Hu et al. 2021, arXiv:2106.09685) in the key styles that people exchange, read and written.

A layer is two matrices and an alpha: its weight grows by ``alpha / rank · B A``. Styles differ in names:

- ``diffusers``: ``transformer.`` and the name in diffusers' class; alphas in the file's metadata.
- ``comfyui``: ``diffusion_model.`` and the name in the published code; an alpha beside each layer that needs one.
- ``kohya``: ``lora_unet_`` and the published name with ``_`` for dots; ``lora_down``, ``lora_up`` and ``alpha``.
- ``peft``: a folder of ``adapter_model.safetensors`` and ``adapter_config.json``, as training here leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors.torch
import torch
from torch import Tensor

from aiprod.base.files import atomic_folder, write_bytes, write_json
from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.folder import read_safetensors
from aiprod.models.checkpoint.header import ordered, read_header
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.lora_names import published_names
from aiprod.models.checkpoint.variants import some_of

Style = Literal["diffusers", "comfyui", "kohya", "peft"]
STYLES: tuple[Style, ...] = get_args(Style)
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
METADATA = "lora_adapter_metadata"  # where diffusers keeps what peft's configuration says

_PAIRS = (
    (".lora_A.weight", ".lora_B.weight"),
    (".lora_down.weight", ".lora_up.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    (".lora_A.default.weight", ".lora_B.default.weight"),
)
_ALPHA = ".alpha"
_STARTS: dict[Style, str] = {
    "kohya": "lora_unet_",
    "comfyui": "diffusion_model.",
    "peft": "base_model.model.",
    "diffusers": "transformer.",
}
_ANOTHER = "give a LoRA of this very model"


@dataclass(frozen=True)
class LoraLayer:
    """``down`` is A ``[rank, in, …]``, ``up`` is B ``[out, rank, …]``."""

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Rows of A."""
        return int(self.down.shape[0])

    def delta(self) -> Tensor:
        """What the weight grows by, in fp32, as a matrix."""
        return self.alpha / self.rank * (self.up.float().flatten(1) @ self.down.float().flatten(1))


@dataclass(frozen=True)
class Lora:
    """A LoRA as it lies in a file: its layers by the file's own names, without the prefix of the style."""

    where: Path
    style: Style
    layers: Mapping[str, LoraLayer]

    def within(self, prefix: str) -> Lora:
        """The layers of one part of the model, without its prefix; all, where none has it."""
        inner = {n.removeprefix(prefix): layer for n, layer in self.layers.items() if n.startswith(prefix)}
        return replace(self, layers=inner or self.layers)


def is_lora(names: Iterable[str]) -> bool:
    """Whether tensors of these names are a LoRA's."""
    return any(name.endswith(ending) for name in names for pair in _PAIRS for ending in pair)


def read_lora(path: Path | str) -> Lora:
    """Read a LoRA, a file or peft's folder.

    Raises:
        CheckpointError: damaged, a tensor that is not of a pair, two styles at once, or an alpha that is no number.
    """
    path = Path(path)
    file = path / ADAPTER if path.is_dir() else path
    tensors = read_safetensors(file)
    config = read_json_object(path / ADAPTER_CONFIG) if path.is_dir() and (path / ADAPTER_CONFIG).is_file() else {}
    settings = config or _metadata(file)
    downs = {n.removesuffix(a): n for n in tensors for a, _ in _PAIRS if n.endswith(a)}
    ups = {n.removesuffix(b): n for n in tensors for _, b in _PAIRS if n.endswith(b)}
    alphas = {n.removesuffix(_ALPHA) for n in tensors if n.endswith(_ALPHA)}
    known = {*downs.values(), *ups.values(), *(f"{n}{_ALPHA}" for n in alphas & set(downs))}
    lonely = sorted(set(downs) ^ set(ups)) + sorted(set(tensors) - known)
    if lonely or not downs:
        raise CheckpointError(
            f"{path} is not a LoRA of A and B pairs ({some_of(lonely) or 'empty'})", "give plain LoRA weights"
        )
    style = _style(path, downs)
    layers = {}
    for name, down in downs.items():
        layer = name.removeprefix(_STARTS[style])
        pair = tensors[down], tensors[ups[name]]
        if min(pair[0].dim(), pair[1].dim()) < 2 or pair[0].shape[0] != pair[1].shape[1] or pair[0].shape[0] < 1:
            shapes = f"{list(pair[0].shape)} and {list(pair[1].shape)}"
            raise CheckpointError(f"{path}: the matrices of {name} do not fit each other ({shapes})", _ANOTHER)
        stored = tensors.get(f"{name}{_ALPHA}")
        layers[layer] = LoraLayer(
            *pair, _alpha(f"{path}: the alpha of {name}", (name, layer), stored, pair[0], settings)
        )
    return Lora(path, style, layers)


def fit_lora(lora: Lora, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, LoraLayer]:
    """The layers by the names of a model's weights, without ``.weight``.

    Args:
        shapes: of the model's weights by name, with or without ``.weight``.

    Raises:
        CheckpointError: a layer that the model does not have, or of another size; names the first.
    """
    models = {n.removesuffix(".weight"): shape for n, shape in shapes.items()}
    known = _names_for(lora.style, models)
    unknown = sorted(n for n in lora.layers if n not in known)
    if unknown:
        raise CheckpointError(f"{lora.where}: {some_of(unknown)} has no weight in the model", _ANOTHER)
    fitted = {known[name]: layer for name, layer in lora.layers.items()}
    for name, layer in fitted.items():
        shape = models[name]
        wide, count = layer.down[0].numel(), layer.up.shape[0]
        if len(shape) < 2 or count != shape[0] or wide * count != _numel(shape):
            raise CheckpointError(f"{lora.where}: {name} does not fit {name}.weight {list(shape)}", _ANOTHER)
    return fitted


def write_lora(
    layers: Mapping[str, LoraLayer],
    target: Path,
    style: Style,
    names: Iterable[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write layers (named as in the model) in a style.

    Args:
        names: of all weights of the model, from which its published names follow.
        metadata: free texts for the file's header.

    Raises:
        CheckpointError: there are none.
    """
    if not layers:
        raise CheckpointError(f"there are no layers to write to {target}", "give a LoRA that is not empty")
    spoken = published_names([n.removesuffix(".weight") for n in names])
    ends = _PAIRS[1] if style == "kohya" else _PAIRS[0]
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        own = spoken.get(name, name) if style in ("comfyui", "kohya") else name
        start = f"{_STARTS[style]}{own.replace('.', '_') if style == 'kohya' else own}"
        tensors[f"{start}{ends[0]}"] = layer.down.detach().cpu().contiguous()
        tensors[f"{start}{ends[1]}"] = layer.up.detach().cpu().contiguous()
        if style == "kohya" or (style == "comfyui" and layer.alpha != layer.rank):
            tensors[f"{start}{_ALPHA}"] = torch.tensor(layer.alpha)
    texts = {"format": "pt", **(metadata or {})}
    config = _peft_config(layers)
    if style == "peft":
        with atomic_folder(target) as temporary:
            write_bytes(temporary / ADAPTER, ordered(safetensors.torch.save(tensors, texts)))
            write_json(temporary / ADAPTER_CONFIG, config)
        return
    if style == "diffusers":
        texts[METADATA] = json.dumps({f"transformer.{k}": v for k, v in config.items()}, sort_keys=True)
    write_bytes(target, ordered(safetensors.torch.save(tensors, texts)))


def _peft_config(layers: Mapping[str, LoraLayer]) -> dict[str, Any]:
    """What peft says of these layers; those that differ from the first stand in patterns."""
    first = next(iter(layers.values()))
    return {
        "peft_type": "LORA",
        "r": first.rank,
        "lora_alpha": first.alpha,
        "rank_pattern": {n: layer.rank for n, layer in layers.items() if layer.rank != first.rank},
        "alpha_pattern": {n: layer.alpha for n, layer in layers.items() if layer.alpha != first.alpha},
        "target_modules": sorted(layers),
        "lora_dropout": 0.0,
        "bias": "none",
    }


def _names_for(style: Style, models: Mapping[str, Any]) -> dict[str, str]:
    """Name in a file of this style → name in the model; a name that could be two of them is none."""
    spoken = published_names(models)
    forms: dict[str, set[str]] = {}
    for name in models:
        both = {name, spoken.get(name, name)}
        for form in {f.replace(".", "_") for f in both} if style == "kohya" else both:
            forms.setdefault(form, set()).add(name)
    return {form: next(iter(names)) for form, names in forms.items() if len(names) == 1}


def _style(path: Path, names: Iterable[str]) -> Style:
    names = list(names)
    styles = [style for style, start in _STARTS.items() if any(n.startswith(start) for n in names)]
    whole = [style for style in styles if all(n.startswith(_STARTS[style]) for n in names)]
    if styles and not whole:
        odd = sorted(n for n in names if not n.startswith(_STARTS[styles[0]]))
        raise CheckpointError(f"{path} holds layers of the transformer and others ({some_of(odd)})", _ANOTHER)
    return whole[0] if whole else "diffusers"


def _metadata(file: Path) -> dict[str, Any]:
    """What diffusers wrote beside the weights of a transformer, without its prefix."""
    text = read_header(file).metadata.get(METADATA)
    try:
        read = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise CheckpointError(f"{file} has damaged metadata ({METADATA})", "save it again")
    return {k.removeprefix("transformer."): v for k, v in read.items()}


def _alpha(
    what: str, names: tuple[str, str], stored: Tensor | None, down: Tensor, settings: Mapping[str, Any]
) -> float:
    if settings.get("use_dora"):
        raise CheckpointError(f"{what} is a DoRA's, whose magnitudes are not read", "give plain LoRA weights")
    rank, patterns = int(down.shape[0]), settings.get("alpha_pattern")
    pattern = next((patterns[n] for n in names if n in patterns), None) if isinstance(patterns, dict) else None
    value: Any = settings.get("lora_alpha", rank) if pattern is None else pattern
    if stored is not None:
        value = float(stored.float().reshape(-1)[0]) if stored.numel() == 1 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise CheckpointError(f"{what} is not a number", "save it again")
    return float(value) * (rank**0.5 if settings.get("use_rslora") else 1)


def _numel(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()
